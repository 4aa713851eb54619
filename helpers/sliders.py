"""The interactive explorer: a slider, a line of readings, a picture.

It talks to the page by widget traits only, so Jupyter, the regression test
and a page without a kernel all see the same cell output.
"""

import base64
import html

import ipywidgets as widgets
import numpy as np


class Explorer(widgets.VBox):
    """A slider over `positions` that shows what is measured at each.

    Args:
        positions: the values it can take, such as sparsities.
        look: called with a position; returns a dict of readings, from label
            to text or number, one of them "accuracy", and an image (array).
        draw: called with position, accuracy and image; returns PNG bytes.
        start: the position to begin at.
        label: what a position is.
        choices: buttons beside the slider, from name to list of values; the
            chosen ones are passed to `look` by name.
    """

    def __init__(
        self, positions, look, draw, start, label="sparsity", choices=None
    ):
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
        self.readout, self.image = widgets.HTML(), widgets.Image(format="png")
        self.image.layout = widgets.Layout(width="100%", max_width="820px")
        self._look, self._draw = look, draw
        controls = [*self.choices.values(), self.slider]
        for control in controls:
            control.observe(self._move, "value")
        super().__init__([*controls, self.readout, self.image])
        self._move()

    def _move(self, change=None):
        position = self.slider.value
        chosen = {name: c.value for name, c in self.choices.items()}
        try:
            readings, image = self._look(position, **chosen)
            picture = self._draw(position, readings["accuracy"], image)
        except Exception as error:  # nobody sees a traceback from a slider
            readings = {type(error).__name__: error}
            picture = self.image.value
        self.readout.value = _as_html(self.slider, readings)
        self.image.value = picture

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and a still picture for pages without a kernel."""
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        bundle["text/plain"] = (
            f"[slider: {self.slider.description}, "
            f"{len(self.slider.options)} positions; run this cell to move it]"
        )
        if self.image.value:
            bundle["image/png"] = base64.b64encode(self.image.value).decode()
        return bundle


def _shown(value):
    """Two decimals, or as many as it has; other values as they are."""
    if isinstance(value, float) and round(value, 2) == value:
        return f"{value:.2f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_html(slider, readings):
    position = f"{slider.description} {_shown(slider.value)}"
    parts = [f"<b>{html.escape(position)}</b>"]
    for label, value in readings.items():
        if isinstance(value, float | np.floating):
            value = f"{100 * value:.1f} %"
        elif isinstance(value, int | np.integer):
            value = f"{value:,}"
        parts.append(f"{html.escape(label)} {html.escape(str(value))}")
    return f'<span role="status">{" · ".join(parts)}</span>'
