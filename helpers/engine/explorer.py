"""The widget of an explorer: a slider, a line of readings, pictures.

It talks to the page by widget traits only, so Jupyter, the regression test
and a page without a kernel all see the same cell output.
"""

import html
import itertools
import threading

import ipywidgets as widgets
import numpy as np

from helpers.engine import pictures

REST = 0.2  # seconds: who drags a slider has moved on by then
END = object()


class Explorer(widgets.VBox):
    """A slider over `positions` that shows what is measured at each.

    Args:
        positions: the values it can take, such as sparsities.
        look: called with a position; returns a dict of readings, from label
            to text or number, and an image (array), or whatever is drawn.
            Or it yields them, better each time, and None in between: after
            the first it goes on in the background until the slider moves.
        draw: called with position, the reading "accuracy" (or None) and
            image; returns pictures, as a list of PNG bytes, always as many.
        start: the position to begin at.
        label: what a position is.
        choices: buttons beside the slider, from name to list of values; the
            chosen ones are passed to `look` and `draw` by name.

    Attributes:
        pngs: the pictures shown now, as `draw` returned them.
    """

    def __init__(
        self, positions, look, draw, start, label="sparsity", choices=None
    ):
        self.slider = _slider(positions, start, label)
        self.choices = {
            name: _buttons(name, values)
            for name, values in (choices or {}).items()
        }
        self.controls = [*self.choices.values(), self.slider]
        self.readout, self.pictures = widgets.HTML(), widgets.HTML()
        self.pngs, self._turn = [], threading.RLock()
        self._seen, self._done = {}, set()
        self._look, self._draw, self._rest = look, draw, None
        for control in self.controls:
            control.observe(self._move, "value")
        super().__init__([*self.controls, self.readout, self.pictures])
        self._move()

    @property
    def readings(self):
        """What is shown where the controls are, when all has been seen."""
        self.settle()
        return self._readings

    def settle(self):
        """Wait until nothing is left to look at where the controls are."""
        if self._rest:
            self._rest.join()

    def at(self, place):
        """The words at a place, in two parts, and its pictures, at last."""
        *_, (readings, pngs) = filter(None, self._see(place))
        return *self._words(place, readings), pngs

    def visit(self):
        """Look at every place; an error there is raised. Returns how many."""
        self.settle()  # what goes on there may share a network with these
        for place in self.places:
            readings, _ = next(self._see(place))
            error = next(iter(readings.values()), None)
            if isinstance(error, Exception):
                raise RuntimeError(f"At {place}: {readings}") from error
        return f"{len(self.places)} places"

    def _move(self, change=None):
        """Look where the controls are now; they may be moved meanwhile.

        Jupyter may call this from a thread for each control.
        """
        with self._turn:
            place = self.place
            self._now = steps = self._see(place)
            self._show(place, *next(steps))
            if place in self._done:
                return
            self._rest = threading.Timer(REST, self._go_on, (place, steps))
            self._rest.start()

    def _go_on(self, place, steps):
        """Look on, a little at a time, until the controls have moved."""
        while self.place == place:
            with self._turn:
                seen = next(steps, END) if self._now is steps else END
                if seen is END:
                    return
                if seen:
                    self._show(place, *seen)

    @property
    def place(self):
        """Where the controls are: the choices, then the position."""
        return tuple(control.value for control in self.controls)

    @property
    def places(self):
        """Wherever they can be."""
        values = [[v for _, v in c.options] for c in self.controls]
        return list(itertools.product(*values))

    def _see(self, place):
        """Yield readings and pictures at a place; of an error, its text.

        What was seen is kept; where that was the last, nobody looks again.
        """
        chosen = dict(zip(self.choices, place, strict=False))
        if place in self._seen:
            yield self._seen[place]
        if place in self._done:
            return
        try:
            found = self._look(place[-1], **chosen)
            whole = isinstance(found, tuple)
            for step in [found] if whole else found:
                if step:
                    readings, image = step
                    accuracy = readings.get("accuracy")
                    pngs = self._draw(place[-1], accuracy, image, **chosen)
                    self._seen[place] = readings, pngs
                if whole:
                    self._done.add(place)
                yield step and self._seen[place]
            self._done.add(place)
        except Exception as error:  # nobody sees a traceback from a slider
            yield {type(error).__name__: error}, self.pngs

    def _show(self, place, readings, pngs):
        self._readings, self.pngs = readings, pngs
        where, rest = map(html.escape, self._words(place, readings))
        self.readout.value = (
            '<p role="status" style="margin: 0; line-height: 1.4">'
            f"<b>{where}</b>{rest}</p>"
        )
        self.pictures.value = "".join(
            f'<img style="max-width: 100%" alt="Picture at {where}{rest}" '
            f'src="data:image/png;base64,{pictures.as_text(png)}">'
            for png in self.pngs
        )

    def _words(self, place, readings):
        """The position, and the readings; lines break between these only."""
        words = [f"{self.slider.description} {_shown(place[-1])}"]
        words += [f"{name} {_read(value)}" for name, value in readings.items()]
        place, *rest = [
            word.replace(" ", "\N{NO-BREAK SPACE}") for word in words
        ]
        return place, "".join(f" · {word}" for word in rest)

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and a still picture for pages without a kernel."""
        self.settle()
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        bundle["text/plain"] = (
            f"[slider: {self.slider.description}, "
            f"{len(self.slider.options)} positions; run this cell to move it]"
        )
        if self.pngs:
            still = pictures.side_by_side(self.pngs)
            bundle["image/png"] = pictures.as_text(still)
        return bundle


def _slider(positions, start, label):
    return widgets.SelectionSlider(
        options=[(_shown(p), p) for p in positions],
        value=start,
        description=label,
        layout=widgets.Layout(width="95%", max_width="480px"),
        style={"description_width": "initial"},
    )


def _buttons(name, values):
    return widgets.ToggleButtons(
        options=[(_shown(v), v) for v in values],
        description=name,
        style={"description_width": "initial", "button_width": "auto"},
    )


def _shown(value):
    """Two decimals, or as many as it has; other values as they are."""
    if isinstance(value, float) and round(value, 2) == value:
        return f"{value:.2f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(value):
    """Fractions in percent, counts with commas, text as it is."""
    if isinstance(value, float | np.floating):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)
