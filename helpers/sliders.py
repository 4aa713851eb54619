"""The interactive explorer: a slider, a line of readings, a picture.

It talks to the page by widget traits only, so Jupyter, the regression test
and a page without a kernel all see the same cell output.
"""

import base64
import html
import io
import itertools
import os
import pathlib
import threading
from collections.abc import Iterable

import ipywidgets as widgets
import jinja2
import numpy as np
from PIL import Image

TEMPLATE = (
    pathlib.Path(__file__).with_name("workshop") / "site/explorer.html.j2"
)


class Explorer(widgets.VBox):
    """A slider over `positions` that shows what is measured at each.

    Args:
        positions: the values it can take, such as sparsities.
        look: called with a position; returns a dict of readings, from label
            to text or number, one of them "accuracy", and an image (array).
        draw: called with position, accuracy and image; returns pictures, as
            a list of PNG bytes, always as many.
        start: the position to begin at.
        label: what a position is.
        choices: buttons beside the slider, from name to list of values; the
            chosen ones are passed to `look` and `draw` by name.

    Attributes:
        readings, pngs: what is shown now, as `look` and `draw` returned it.
    """

    def __init__(
        self, positions, look, draw, start, label="sparsity", choices=None
    ):
        positions = _require_place(label, positions, start)
        for name, values in (choices or {}).items():
            _require_place(name, values, next(iter(values), None))
        if not (callable(look) and callable(draw)):
            raise ValueError(
                f"`look` and `draw` are functions; got {look!r} and {draw!r}. "
                "Pass one that measures and one that draws."
            )
        self.slider = widgets.SelectionSlider(
            options=[(_shown(p), p) for p in positions],
            value=start,
            description=label,
            layout=widgets.Layout(width="95%", max_width="480px"),
            style={"description_width": "initial"},
        )
        self.choices = {
            name: widgets.ToggleButtons(
                options=[(_shown(v), v) for v in values],
                description=name,
                style={"description_width": "initial", "button_width": "auto"},
            )
            for name, values in (choices or {}).items()
        }
        self.readout, self.pictures = widgets.HTML(), widgets.HTML()
        self.pngs, self._seen, self._turn = [], {}, threading.RLock()
        self._look, self._draw = look, draw
        controls = [*self.choices.values(), self.slider]
        for control in controls:
            control.observe(self._move, "value")
        super().__init__([*controls, self.readout, self.pictures])
        self._move()

    def _move(self, change=None):
        """Look where the controls are now; they may be moved meanwhile.

        Jupyter may call this from a thread for each control.
        """
        with self._turn:
            chosen = {name: c.value for name, c in self.choices.items()}
            position = self.slider.value
            self.readings, self.pngs = self._see(position, chosen)
            self._show(*map(html.escape, self._words(position, self.readings)))

    def _show(self, place, rest):
        self.readout.value = (
            '<p role="status" style="margin: 0; line-height: 1.4">'
            f"<b>{place}</b>{rest}</p>"
        )
        self.pictures.value = "".join(
            f'<img style="max-width: 100%" alt="Picture at {place}{rest}" '
            f'src="data:image/png;base64,{_base64(png)}">'
            for png in self.pngs
        )

    def _see(self, position, chosen):
        """Readings and pictures at a position; of an error, its text.

        Each place is looked at once: what was seen there is kept.
        """
        place = position, *chosen.values()
        try:
            if place not in self._seen:
                readings, image = self._look(position, **chosen)
                self._seen[place] = (
                    readings,
                    self._draw(position, readings["accuracy"], image, **chosen),
                )
            return self._seen[place]
        except Exception as error:  # nobody sees a traceback from a slider
            return {type(error).__name__: error}, self.pngs

    def _words(self, position, readings):
        """The position, and the readings; lines break between these only."""
        words = [f"{self.slider.description} {_shown(position)}"]
        words += [f"{name} {_read(value)}" for name, value in readings.items()]
        place, *rest = [
            word.replace(" ", "\N{NO-BREAK SPACE}") for word in words
        ]
        return place, "".join(f" · {word}" for word in rest)

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and a still picture for pages without a kernel.

        With `PRUNING_SITE` set, also a page of HTML in which it moves.
        """
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        bundle["text/plain"] = (
            f"[slider: {self.slider.description}, "
            f"{len(self.slider.options)} positions; run this cell to move it]"
        )
        if self.pngs:
            bundle["image/png"] = _base64(_side_by_side(self.pngs))
        if os.environ.get("PRUNING_SITE"):
            bundle["text/html"] = self.as_html()
        return bundle

    def as_html(self):
        """A part of a page that shows every position without a kernel.

        Every position of every choice is looked at; the readings, the
        pictures and the few lines of script that show them are in the text.
        """
        controls = [*self.choices.values(), self.slider]
        values = [[v for _, v in c.options] for c in controls]
        states = [
            self._state(place[-1], dict(zip(self.choices, place, strict=False)))
            for place in itertools.product(*values)
        ]
        now = np.ravel_multi_index(
            [c.index for c in controls], [len(v) for v in values]
        )
        template = jinja2.Template(TEMPLATE.read_text(), autoescape=True)
        return template.render(explorer=self, states=states, first=states[now])

    def _state(self, position, chosen):
        readings, pngs = self._see(position, chosen)
        place, rest = self._words(position, readings)
        pictures = [_base64(_small(png)) for png in pngs]
        return {"place": place, "rest": rest, "pictures": pictures}


def _require_place(name, values, start=None):
    """The values as a list, if a control can begin at `start`."""
    values = list(values) if isinstance(values, Iterable) else []
    if start in values:
        return values
    raise ValueError(
        f"The control {name!r} begins at one of its values, {values}; got "
        f"{start!r}. Pass a `start` among them."
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


def _base64(png):
    return base64.b64encode(png).decode()


def _side_by_side(pngs):
    """One PNG of several, all as high as the first."""
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    whole = Image.new("RGB", (sum(i.width for i in images), images[0].height))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    return _png(whole)


def _small(png):
    """The same picture in 64 colours: a third of the bytes."""
    return _png(Image.open(io.BytesIO(png)).convert("RGB").quantize(64))


def _png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
