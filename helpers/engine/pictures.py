"""PNG pictures for an explorer: drawn once, and redrawn in milliseconds."""

import base64
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


class RingAndImage:
    """Two pictures: curves with a moving ring, and an image.

    The curves are drawn once. A move draws the ring and the image again and
    takes a few milliseconds, where a new figure takes a hundred. The
    image's colours are scaled anew at each move, those of signed values from
    blue below zero to red above; True is black, NaN white.

    Args:
        curves: draws them, in percent, on the axes that it is given.
        shape, title, aspect: of the image.
    """

    def __init__(self, curves, shape, title, aspect="equal"):
        left = Figure(figsize=(4.9, 3), dpi=100, layout="constrained")
        axes = left.subplots()
        curves(axes)
        axes.margins(y=0.2)  # the ring may lie beside the curves
        axes.axis(axes.axis())
        (self.ring,) = axes.plot(
            [0], [0], "o", ms=12, mfc="none", mew=2.5, color="black",
            clip_on=False, in_layout=False,
        )  # fmt: skip
        right = Figure(figsize=(3.4, 3), dpi=100, layout="constrained")
        self.image = right.subplots().imshow(
            np.zeros(shape), aspect=aspect, interpolation="nearest"
        )
        right.axes[0].set_title(title)
        right.axes[0].axis("off")
        self.moving = [_background(self.ring), _background(self.image)]

    def pngs(self, x, accuracy, image):
        """Two PNGs: the ring at (x, accuracy), and `image`."""
        height = np.clip(100 * accuracy, *self.ring.axes.get_ylim())
        self.ring.set_data([x], [height])
        colours = "Greys" if np.asarray(image).dtype == bool else "viridis"
        image = np.asarray(image, float)  # masks are unsigned
        top, signed = np.nanmax(np.abs(image)) or 1, np.nanmin(image) < 0
        self.image.set_data(image)
        self.image.set_cmap("RdBu_r" if signed else colours)
        self.image.set_clim(-top * signed, top)
        return [_redrawn(*moving) for moving in self.moving]


def side_by_side(pngs):
    """One PNG of several, all as high as the first."""
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    whole = Image.new("RGB", (sum(i.width for i in images), images[0].height))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    return _png(whole, optimize=True)


def small(png, colours=64):
    """The same picture in few colours: a third of the bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    return _png(picture.quantize(colours), optimize=True)


def as_text(png):
    """The bytes in base64, as pages hold them."""
    return base64.b64encode(png).decode()


def _background(artist):
    """Draw all but `artist`: it, the canvas, and its pixels to start from."""
    canvas = FigureCanvasAgg(artist.figure)
    canvas.draw()
    artist.figure.set_layout_engine("none")
    artist.set_animated(True)
    canvas.draw()
    return artist, canvas, canvas.copy_from_bbox(artist.figure.bbox)


def _redrawn(artist, canvas, background):
    """PNG bytes of the background with `artist` on it."""
    canvas.restore_region(background)
    artist.axes.draw_artist(artist)
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return _png(Image.fromarray(pixels), compress_level=1)


def _png(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()
