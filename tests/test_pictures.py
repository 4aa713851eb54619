"""Pictures change where they should, and nowhere else."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers.engine import pictures

LINES = {"layerwise": [0.9, 0.8, 0.4], "global": [0.95, 0.9, 0.6]}
X = [0.0, 0.5, 0.9]


@pytest.fixture
def picture():
    def curves(ax):
        for values in LINES.values():
            ax.plot(X, 100 * np.array(values))

    return pictures.RingAndImage(curves, (4, 5), "mask")


def pixels(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def both(picture, *seen):
    return [pixels(png) for png in picture.pngs(*seen)]


def test_the_curves_change_when_the_ring_moves(picture):
    image = np.eye(4, 5)
    one, other = (both(picture, *at, image) for at in [(0, 0.9), (0.5, 0.8)])
    assert [shown.shape for shown in one] == [(300, 490, 3), (300, 340, 3)]
    assert (one[0] != other[0]).any(axis=2).sum() > 50
    assert (one[1] == other[1]).all()  # the image has not


def test_limits_are_those_of_the_curves(picture):
    left = picture.ring.axes
    assert left.get_ylim()[0] > 20
    assert left.get_ylim()[1] > 95
    assert left.get_position().height > 0.6  # nothing far off was laid out


def test_the_ring_is_never_outside(picture):
    low, high = picture.ring.axes.get_ylim()
    for accuracy, height in ((0.0, low), (0.8, 80), (9.9, high)):
        picture.pngs(0.5, accuracy, np.eye(4, 5))
        assert picture.ring.get_ydata()[0] == pytest.approx(height)


def test_the_image_changes_and_the_curves_do_not(picture):
    one, other = (
        both(picture, 0.5, 0.8, image)
        for image in (np.eye(4, 5), 1 - np.eye(4, 5))
    )
    assert (one[1] != other[1]).any(axis=2).sum() > 10_000
    assert (one[0] == other[0]).all()


def test_a_mask_that_keeps_all_does_not_look_like_one_that_keeps_none(picture):
    none, every, some = (
        both(picture, 0.5, 0.8, image)[1]
        for image in (np.zeros((4, 5)), np.ones((4, 5)), np.eye(4, 5))
    )
    assert (none != every).any(axis=2).sum() > 10_000
    assert every[150, 170].tolist() in some.reshape(-1, 3).tolist()


def test_true_is_black_on_white(picture, recwarn):
    shown = both(picture, 0.5, 0.8, np.eye(4, 5, dtype=bool))[1]
    assert list(recwarn) == []
    middle = shown[170, 60:300]
    assert {0, 255} == set(middle[(middle == middle[:, :1]).all(axis=1)].flat)


def test_signed_values_are_red_above_zero_and_blue_below(picture):
    image = np.full((4, 5), np.nan)
    image[:, 0], image[:, 4] = -1, 0.5
    shown = both(picture, 0.5, 0.8, image)[1]
    middle = shown[170]
    columns = np.flatnonzero((middle < 255).any(axis=1))
    left, right = middle[columns[5]], middle[columns[-5]]
    assert left[2] > left[0] + 50
    assert right[0] > right[2] + 50
    assert middle[170].tolist() == [255, 255, 255]


def test_ring_sits_on_the_curve_in_percent(picture):
    picture.pngs(0.5, 0.8, np.zeros((4, 5)))
    curve = picture.ring.axes.lines[0].get_xydata()
    assert np.ravel(picture.ring.get_data()).tolist() == [0.5, 80]
    assert [0.5, 80] in curve.round(9).tolist()


def test_moves_leave_no_trail(picture):
    image = np.zeros((4, 5))
    first = picture.pngs(0.5, 0.8, image)
    picture.pngs(0.0, 0.9, np.ones((4, 5)))
    assert picture.pngs(0.5, 0.8, image) == first


def test_explorers_open_no_figure(picture):
    picture.pngs(0.5, 0.8, np.zeros((4, 5)))
    assert plt.get_fignums() == []


def test_pictures_beside_each_other_are_one():
    pngs = []
    for level, width in ((50, 3), (200, 2)):
        stream = io.BytesIO()
        Image.new("L", (width, 2), level).save(stream, "PNG")
        pngs.append(stream.getvalue())
    whole = pixels(pictures.side_by_side(pngs))
    assert whole[0, :, 0].tolist() == [50, 50, 50, 200, 200]


def test_a_small_picture_has_the_same_size_and_fewer_bytes(picture):
    png = picture.pngs(0.5, 0.8, np.eye(4, 5))[0]
    small = pictures.small(png)
    assert len(small) < len(png) / 2
    assert Image.open(io.BytesIO(small)).size == (490, 300)


@pytest.mark.parametrize("dtype", [np.uint64, np.int32, np.float32])
def test_arrays_of_any_numbers_are_drawn(picture, recwarn, dtype):
    image = np.zeros((4, 5), dtype)
    image[0, 0] = 1
    pngs = picture.pngs(0.5, 0.8, image)
    assert pngs == picture.pngs(0.5, 0.8, image.astype(float))
    assert list(recwarn) == []
