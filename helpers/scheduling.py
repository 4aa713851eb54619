"""When to prune while training: once, in rounds, or gradually.

A schedule is a function from the number of optimizer steps done to the
sparsity wanted by then.
"""

from helpers import masking, pruning
from helpers.engine.backend import keras


def one_shot(final_sparsity):
    """All at once, before the first step."""
    masking.require_sparsity(final_sparsity)
    return lambda step: final_sparsity


def in_rounds(final_sparsity, rounds, steps_per_round):
    """The same fraction of what is left, at the start of each round."""
    masking.require_sparsity(final_sparsity)
    masking.require_count("rounds", rounds)
    masking.require_count("steps_per_round", steps_per_round)

    def sparsity_at(step):
        number = min(step // steps_per_round + 1, rounds)
        return 1 - (1 - final_sparsity) ** (number / rounds)

    return sparsity_at


def gradual(final_sparsity, begin_step, end_step, initial_sparsity=0.0):
    """Along a cubic, fast at first and slow at the end (Zhu, Gupta, 2017)."""
    masking.require_sparsity(final_sparsity)
    masking.require_sparsity(initial_sparsity)
    if initial_sparsity > final_sparsity:
        raise ValueError(
            f"`initial_sparsity` ({initial_sparsity}) is above "
            f"`final_sparsity` ({final_sparsity}), but pruned weights do not "
            "come back. Pass the lower one as `initial_sparsity`."
        )
    numbers = all(map(masking.is_number, (begin_step, end_step)))
    if not (numbers and 0 <= begin_step < end_step):
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

    What was pruned stays pruned, also what was zero before training.

    Args:
        schedule: one for all hidden layers, or a dict from layer name.
        frequency: steps between two prunings.

    Attributes:
        sparsities: the overall sparsity after each pruning, by step.
    """

    def __init__(self, schedule, frequency=50):
        super().__init__()
        masking.require_count("frequency", frequency)
        schedules = schedule.values() if isinstance(schedule, dict) else ()
        if not all(map(callable, schedules or [schedule])):
            raise ValueError(
                "`schedule` is a function from step to sparsity, or a dict of "
                f"such functions; got {schedule!r}. Pass e.g. "
                "`scheduling.one_shot(0.9)`."
            )
        self.schedule, self.frequency = schedule, frequency
        self.sparsities = {}

    def on_train_begin(self, logs=None):
        """Prune before the first step."""
        self._prune()

    def on_train_batch_end(self, batch, logs=None):
        """Prune if it is time to."""
        if self._steps_done() % self.frequency == 0:
            self._prune()

    def on_train_end(self, logs=None):
        """Prune after the last step, whatever the frequency."""
        if self._steps_done() not in self.sparsities:
            self._prune()

    def _steps_done(self):
        return int(self.model.optimizer.iterations)

    def _prune(self):
        step, schedule = self._steps_done(), self.schedule
        if not isinstance(schedule, dict):
            hidden = pruning.prunable_kernels(self.model)
            schedule = dict.fromkeys(hidden, schedule)
        kernels = pruning.prunable_kernels(self.model, include_output=True)
        masks = {}
        for name, sparsity_at in schedule.items():
            if name not in kernels:
                raise ValueError(
                    f"There is no prunable layer {name!r}; pass schedules "
                    f"for {', '.join(kernels)}."
                )
            scores = masking.magnitude_scores({name: kernels[name]})
            mask = masking.layerwise_masks(scores, sparsity_at(step))[name]
            masks[name] = mask & (kernels[name] != 0)
        pruning.apply_masks(self.model, masks)
        self.sparsities[step] = masking.sparsity_of(masks)
