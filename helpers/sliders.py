"""Explorers: pull a slider, and a real network is pruned and judged."""

import html

import ipywidgets as widgets
import numpy as np

from helpers import measuring, plotting, pruning
from helpers.engine import pictures
from helpers.engine.doors import FUNCTION, door
from helpers.engine.explorer import Explorer
from helpers.engine.words import digits

AT_ONCE = 100  # images between two looks at whether the slider has moved


@door(look=FUNCTION)
def explore(look, models, splits, sweep, shown="", start=None):
    """Make an explorer of what a sweep has measured.

    The slider goes along the last level of the sweep's index, buttons choose
    the values of the others, its accuracies are the curves. A move prunes a
    copy of the network and shows at once what is left, beside the accuracy
    that the sweep found there; then, as long as nobody moves, that copy
    classifies all test images, the sweep's, and shows its own accuracy.

    Args:
        look: called with `data` and the sweep's other levels, by name;
            returns masks for `models[data]`, or a network or LiteRT file to
            take instead, and an array to be drawn as an image.
        models, splits: by name of the data set.
        sweep: what `studying.sweep` returned; its other readings are shown.
        shown: the title of the image.
        start: the position to begin at; by default in the middle.
    """
    table = sweep.to_frame("accuracy") if sweep.ndim == 1 else sweep
    levels = {n: list(table.index.unique(n)) for n in table.index.names}
    slider, positions = levels.popitem()
    slider = slider.replace("_", " ")
    return Explorer(
        positions,
        _Looks(look, models, splits, table),
        _drawing(table["accuracy"], slider, shown),
        positions[len(positions) // 2] if start is None else start,
        label=slider,
        choices=levels,
    )


class _Looks:
    """Prunes and judges one network per data set, wherever the slider is."""

    def __init__(self, look, models, splits, table):
        self.look, self.splits = look, splits
        self.names, self.known = table.index.names, table.to_dict("index")
        self.copies = {n: pruning.copy_of(m) for n, m in models.items()}
        self.weights = {n: m.get_weights() for n, m in models.items()}

    def __call__(self, position, **chosen):
        """Yield readings and image; None at times; what they are at last."""
        place = (*chosen.values(), position)
        found, image = self.look(**dict(zip(self.names, place, strict=True)))
        split, model = self.splits[chosen["data"]], found
        if isinstance(found, dict):
            model = self.copies[chosen["data"]]
            model.set_weights(self.weights[chosen["data"]])
            pruning.apply_masks(model, found)
        known = self.known[place]
        readings = {"accuracy": known["accuracy"], **_left(model), **known}
        yield readings, image
        right = 0
        for start in range(0, len(split.x_test), AT_ONCE):
            yield None
            part = slice(start, start + AT_ONCE)
            said = measuring.predictions(model, split.x_test[part])
            right += np.count_nonzero(said == split.y_test[part])
        yield {**readings, "accuracy": right / len(split.x_test)}, image


def _left(model):
    if isinstance(model, bytes):
        return {"bytes": len(model)}
    return measuring.left_in(model)


def _drawing(accuracy, xlabel, title):
    """A function that draws curves with a ring, and an image."""
    lines = accuracy.unstack(accuracy.index.names[:-1], sort=False)
    drawn = {}

    def draw(position, accuracy, image, data, **others):
        image = np.asarray(image)
        if image.size == 784:
            image = image.reshape(28, 28)
        if not drawn:  # all at once: a move has no time for a new figure
            for name in lines.columns.get_level_values(0).unique():
                drawn[name] = _curves(lines, name, xlabel, title, image.shape)
        return drawn[data].pngs(position, accuracy, image)

    return draw


def _curves(lines, name, xlabel, title, shape):
    """The curves of one data set, beside an image of that shape."""
    wide = lines[name] if lines[name].ndim > 1 else lines[[name]]

    def curves(ax):
        for label, values in wide.items():
            ax.plot(wide.index, 100 * values, marker="o", label=label)
        panel = plotting.TITLES.get(name, name)
        ax.set(title=panel, xlabel=xlabel, ylabel="test accuracy, %")
        if wide.shape[1] > 1:
            ax.legend()
        if xlabel == "sparsity":
            plotting.show_what_is_left(ax)

    aspect = "auto" if max(shape) > 4 * min(shape) else "equal"
    return pictures.RingAndImage(curves, shape, title, aspect)


class Prediction(widgets.VBox):
    """A question, a control to commit with, then the answer and the gap.

    A page without a kernel shows the question, with the answer folded.

    Args:
        question: a sentence.
        answer: a number that has been measured, or one of `choices`.
        ends: what a number may be guessed between.
        unit: what follows the number.
        choices: the answers to choose from, where it is not to be guessed
            on a scale.

    Raises:
        ValueError: nobody could guess the answer.
    """

    def __init__(self, question, answer, ends=(0, 100), unit="%", choices=()):
        self.question, self.answer, self.unit = question, answer, unit
        self.choices, (low, high) = list(choices), ends
        _require_possible(answer, self.choices, low, high)
        if self.choices:
            self.guess = widgets.ToggleButtons(options=self.choices)
        else:
            self.guess = widgets.FloatSlider(
                value=(low + high) / 2,
                min=low,
                max=high,
                step=(high - low) / 100,
                description="your guess",
            )
        self.commit = widgets.Button(description="That is my guess")
        self.said = widgets.HTML()
        self.commit.on_click(self._tell)
        asked = widgets.HTML(f"<b>{html.escape(question)}</b>")
        super().__init__([asked, self.guess, self.commit, self.said])

    def _tell(self, _):
        guess, told = self.guess.value, f"It is {self._shown()}."
        if self.choices:
            right = guess == self.answer
            told += " So you said." if right else f" You said {guess}."
        else:
            side = "above" if guess > self.answer else "below"
            gap = digits(abs(guess - self.answer))
            gap += " points" if self.unit == "%" else ""
            told += f" You said {digits(guess)}, which is {gap} {side}."
        self.said.value = f'<p role="status">{html.escape(told)}</p>'
        self.commit.disabled = True

    def _shown(self):
        if self.choices:
            return str(self.answer)
        return f"≈ {digits(self.answer)} {self.unit}".strip()

    def _repr_mimebundle_(self, **kwargs):
        """The live widget; for other pages the answer, folded."""
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        asked, told = map(html.escape, (self.question, self._shown()))
        bundle["text/plain"] = f"{self.question} It is {self._shown()}."
        bundle["text/html"] = (
            f"<p><b>{asked}</b></p>"
            f"<details><summary>The answer</summary>{told}</details>"
        )
        return bundle


def _require_possible(answer, choices, low, high):
    """Refuse what the control cannot be set to, such as NaN."""
    if not (answer in choices if choices else low <= answer <= high):
        what = f"one of {choices}" if choices else f"from {low} to {high}"
        hint = "other `choices`" if choices else "other `ends`"
        raise ValueError(
            f"`answer` is {what}, or nobody could guess it; got {answer!r}. "
            f"Pass {hint}, or an answer in their unit."
        )


__all__ = ["Explorer", "Prediction", "explore"]
