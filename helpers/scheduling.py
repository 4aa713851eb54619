"""When to prune while training: once, in rounds, or gradually.

A schedule is a function from the number of optimizer steps done to the
sparsity wanted by then.
"""

from helpers import masking, pruning
from helpers.engine.backend import keras
from helpers.engine.doors import COUNT, SPARSITY, Kind, door

SCHEDULE = Kind(
    lambda x: all(map(callable, x.values() if isinstance(x, dict) else [x])),
    "a function from step to sparsity, or a dict of such functions",
    "Pass e.g. `scheduling.one_shot(0.9)`.",
)


@door(final_sparsity=SPARSITY)
def one_shot(final_sparsity):
    """All at once, before the first step."""
    return lambda step: final_sparsity


@door(final_sparsity=SPARSITY, rounds=COUNT, steps_per_round=COUNT)
def in_rounds(final_sparsity, rounds, steps_per_round):
    """The same fraction of what is left, at the start of each round."""

    def sparsity_at(step):
        number = min(step // steps_per_round + 1, rounds)
        return 1 - (1 - final_sparsity) ** (number / rounds)

    return sparsity_at


@door(final_sparsity=SPARSITY, initial_sparsity=SPARSITY)
def gradual(final_sparsity, begin_step, end_step, initial_sparsity=0.0):
    """Along a cubic, fast at first and slow at the end (Zhu, Gupta, 2017)."""
    if initial_sparsity > final_sparsity:
        raise ValueError(
            f"`initial_sparsity` ({initial_sparsity}) is above "
            f"`final_sparsity` ({final_sparsity}), but pruned weights do not "
            "come back. Pass the lower one as `initial_sparsity`."
        )
    if not 0 <= begin_step < end_step:
        raise ValueError(
            "`begin_step` is at least 0 and less than `end_step`; got "
            f"{begin_step!r} and {end_step!r}. Pass e.g. 0 and 1000."
        )

    def sparsity_at(step):
        done = (step - begin_step) / (end_step - begin_step)
        missing = (1 - min(max(done, 0), 1)) ** 3
        return final_sparsity + (initial_sparsity - final_sparsity) * missing

    return sparsity_at


class PruneOnSchedule(keras.callbacks.Callback):
    """Prunes the smallest weights of each layer while the model trains.

    What was pruned stays pruned, also what was zero before training or what
    `EarlyStopping` gives back at its end. Of a
    `keras.distillation.Distiller`, the student is pruned.

    Args:
        schedule: one for all hidden layers, or a dict from layer name.
        frequency: steps between two prunings, or a few more where Keras runs
            several in one call (`steps_per_execution`).

    Attributes:
        sparsities: the overall sparsity after each pruning, by step.
    """

    @door(schedule=SCHEDULE, frequency=COUNT)
    def __init__(self, schedule, frequency=50):
        super().__init__()
        self.schedule, self.frequency = schedule, frequency
        self.sparsities, self._last = {}, 0

    def on_train_begin(self, logs=None):
        """Prune before the first step."""
        self._prune()
        # Keras' own history comes last, after whatever gives weights back.
        if history := getattr(self.model, "history", None):
            history.on_train_end = self.on_train_end

    def on_train_batch_end(self, batch, logs=None):
        """Prune if it is time to."""
        if self._steps() // self.frequency > self._last // self.frequency:
            self._prune()

    def on_train_end(self, logs=None):
        """Prune after the last step, whatever the frequency."""
        self._prune()

    def _steps(self):
        return int(self.model.optimizer.iterations)

    def _prune(self):
        model = getattr(self.model, "student", self.model)
        self._last = step = self._steps()
        kernels = pruning.prunable_kernels(model, include_output=True)
        schedule, masks = self.schedule, {}
        if not isinstance(schedule, dict):
            schedule = dict.fromkeys(pruning.prunable_kernels(model), schedule)
        if unknown := schedule.keys() - kernels:
            raise ValueError(
                f"There is no prunable layer {unknown.pop()!r}; pass "
                f"schedules for {', '.join(kernels)}."
            )
        for name, sparsity_at in schedule.items():
            scores = masking.magnitude_scores({name: kernels[name]})
            mask = masking.layerwise_masks(scores, sparsity_at(step))[name]
            masks[name] = mask & (kernels[name] != 0)
        pruning.apply_masks(model, masks)
        self.sparsities[step] = masking.sparsity_of(masks)
