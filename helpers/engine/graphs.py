"""A network's graph as boxes and lines, what goes together in one colour.

A box is a step in which units are new, or meet. What only passes them on, a
normalization, an activation, pooling, belongs to the box before it.
"""

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path

ALONE, HELD, LINE = "#ffffff", "#bdbdbd", "#8c8c8c"
WIDE, HIGH = 0.76, 0.62  # a box, where columns and lanes are 1 apart
ARC = 0.5  # how high a line passes over boxes
PER_ROW = 13  # columns
NAMED = 8  # groups in the legend
SIGNS = {"Add": "+", "Multiply": "×", "Subtract": "−"}


class Box:
    """Steps, coloured by `units`, its lines by what it `gives` to others.

    `after` are the boxes that it reads.
    """

    def __init__(self, words, units, after=(), heads=None):
        self.words, self.gives, self.after = words, units, list(after)
        self.units = units if heads is None else heads.units
        self.count = f"{len(self.units)}{' heads' if heads else ''}"
        self.width = WIDE if len(words) > 1 else WIDE / 2
        self.column = 1 + max((box.column for box in self.after), default=-1)
        self.lane = 0


def boxes(channels):
    """The boxes of a network, in order, each with its column and lane."""
    source = {flow: Box("input", flow.units) for flow in channels.inputs}
    found = list(source.values())
    for step in channels.steps:
        before = list(dict.fromkeys(source[flow] for flow in step.takes))
        if _passes_on(step, before):
            source.update(dict.fromkeys(step.makes, before[0]))
            continue
        box = Box(_words(step), step.makes[0].units, before, step.heads)
        source.update(dict.fromkeys(step.makes, box))
        found.append(box)
    _give_lanes(found)
    return found


def _passes_on(step, before):
    """The units of one box, or an input that no kernel has read yet."""
    if len(before) != 1 or step.kernels():
        return False
    if before[0].words == "input" and not step.matrices():
        return True
    made, taken = step.makes[0].units, step.takes[0].units
    return len(made) > 0 and set(made) == set(taken)


def _words(step):
    kind, name = type(step.layer).__name__, step.name.split("/")[-1]
    if kind in SIGNS:
        return SIGNS[kind]
    lines = textwrap.wrap(name.replace("_", " "), 10, break_long_words=False)
    if len(lines) > 3:
        lines = [*lines[:2], f"…{lines[-1]}"]
    return "\n".join(lines).replace(" ", "_")


def _give_lanes(found):
    """Go on in the uppermost lane of those that are read, if it is free."""
    taken = set()
    for box in found:
        lane = min((other.lane for other in box.after), default=0)
        free = (n for n in itertools.count() if (box.column, n) not in taken)
        box.lane = next(free) if (box.column, lane) in taken else lane
        taken.add((box.column, box.lane))


def shortened(found, most):
    """At most as many columns; one box says how many steps are not drawn."""
    columns = 1 + max(box.column for box in found)
    if columns <= most:
        return found
    first = most * 2 // 3
    last = columns - (most - first - 1)
    hidden = [box for box in found if first <= box.column < last]
    gap = Box(f"{len(hidden)} more\nnot drawn", np.zeros(0, int))
    gap.column, kept = first, []
    stand_in = dict.fromkeys(hidden, gap)
    read = {other: None for box in hidden for other in box.after}
    gap.after = [other for other in read if other not in stand_in]
    for box in found:
        if box not in stand_in:
            box.after = [stand_in.get(other, other) for other in box.after]
            box.column -= (last - first - 1) * (box.column >= last)
            kept.append(box)
    return [*kept, gap]


def draw(channels, most):
    """Draw it from left to right, in rows; returns the axes."""
    found = shortened(boxes(channels), most)
    shades, names = colours_of(channels)
    columns = 1 + max(box.column for box in found)
    per_row = -(-columns // -(-columns // PER_ROW))  # of rows equally long
    place = _places(found, per_row)
    low = min(y for _, y in place.values()) - 0.6
    size = 0.3 + 0.75 * per_row, 0.5 + 0.7 * -low
    _, ax = plt.subplots(figsize=size)
    for box in found:
        for other in dict.fromkeys(box.after):
            paths = _lines(other, box, place, per_row)
            _arrow(ax, paths, _shade(other, shades))
        _box(ax, box, *place[box], shades)
    ax.set(xlim=(-0.6, per_row - 0.4), ylim=(low, 0.4))
    ax.axis("off")
    _legend(ax, names)
    return ax


def colours_of(channels):
    """From unit number to its colour, and from names of tied layers."""
    families = channels.families()
    tied = [name for name in families if ", " in name]
    palette = sns.husl_palette(len(tied), l=0.75)
    if len(tied) <= 7:
        palette = sns.color_palette("Set2", len(tied))
    names = dict(zip(tied, palette.as_hex(), strict=True))
    shades = np.full(len(channels.held), HELD, object)
    for name, units in families.items():
        shades[units] = names.get(name, ALONE)
    return shades, names


def _places(found, per_row):
    """From each box to the middle of it; rows have room for their lanes."""
    lanes = {}
    for box in found:
        row = box.column // per_row
        lanes[row] = max(lanes.get(row, 0), box.lane + 1)
    tops = np.cumsum([0, *(lanes[row] + 0.5 for row in sorted(lanes))])
    return {
        box: (
            box.column % per_row,
            -0.5 - tops[box.column // per_row] - box.lane,
        )
        for box in found
    }


def _shade(box, shades):
    """The colour of a line from it: grey if it carries several kinds."""
    own = set(shades[box.gives])
    (only,) = own if len(own) == 1 else [HELD]
    return LINE if only == ALONE else only


def _box(ax, box, x, y, shades):
    """A stripe for each run of units of one colour, and words."""
    kinds = list(shades[box.units]) or ["white"]
    edges = np.flatnonzero([a != b for a, b in itertools.pairwise(kinds)]) + 1
    left, whole = x - box.width / 2, box.width / len(kinds)
    for start, end in itertools.pairwise([0, *edges, len(kinds)]):
        corner = left + start * whole, y - HIGH / 2
        part = {"fc": kinds[start], "lw": 0, "zorder": 2}
        ax.add_patch(Rectangle(corner, (end - start) * whole, HIGH, **part))
    outline = {"fill": False, "ec": "0.4", "lw": 0.8, "zorder": 3}
    ax.add_patch(Rectangle((left, y - HIGH / 2), box.width, HIGH, **outline))
    words = box.words
    if len(words) > 1 and len(box.units):
        words = f"{words}\n{box.count}"
    lines = words.split("\n")
    size = 6.5 * min(1, 9 / max(map(len, lines)), 3.3 / len(lines))
    ax.text(x, y, words, ha="center", va="center", size=size,
            linespacing=1.15, zorder=4)  # fmt: skip


def _lines(start, end, place, per_row):
    """One path, or two where the next row goes on with it."""
    (x0, y0), (x1, y1) = place[start], place[end]
    out, into = x0 + start.width / 2, x1 - end.width / 2
    apart = end.column - start.column
    if start.column // per_row == end.column // per_row:
        over = y0 == y1 and apart > 1
        return [_over(x0, x1, y0) if over else _along(out, y0, into, y1)]
    right, left = per_row - 0.45, -0.55
    if apart == 1:
        return [_along(out, y0, right, y0), _along(left, y1, into, y1)]
    low0, high0, low1, high1 = (
        y + up for y in (y0, y1) for up in (HIGH / 2, ARC)
    )
    turn0, turn1 = min(x0 + 0.5, right), max(x1 - 0.5, left)
    leaves = [(x0, low0), (x0, high0), (turn0, high0), (right, high0)]
    enters = [(left, high1), (turn1, high1), (x1, high1), (x1, low1)]
    return [(leaves, [1, 3, 3, 2]), (enters, [1, 2, 3, 3])]


def _along(x0, y0, x1, y1):
    """Level in the lane that is further down, with one bend to the other."""
    bend = min(0.5, x1 - x0)
    middle, codes = x1 - bend / 2, [1, 2, 4, 4, 4]
    near = x1 - bend, y0
    if y1 < y0:
        middle, near = x0 + bend / 2, (x0 + bend, y1)
        points = [(x0, y0), (middle, y0), (middle, y1), near, (x1, y1)]
        return points, [1, 4, 4, 4, 2]
    return [(x0, y0), near, (middle, y0), (middle, y1), (x1, y1)], codes


def _over(x0, x1, y):
    """From the top of one box to the top of another, above those between."""
    low, high = y + HIGH / 2, y + ARC + 0.1
    return [(x0, low), (x0, high), (x1, high), (x1, low)], [1, 4, 4, 4]


def _arrow(ax, paths, colour):
    """Lines, the last of them with a head."""
    for number, path in enumerate(paths, start=1):
        style = "-|>" if number == len(paths) else "-"
        ax.add_patch(
            FancyArrowPatch(path=Path(*path), arrowstyle=style, lw=1.5,
                            mutation_scale=6, color=colour, zorder=1)
        )  # fmt: skip


def _legend(ax, names):
    """What colours mean; the first groups by name."""
    shown = {_short(name): names[name] for name in list(names)[:NAMED]}
    if more := len(names) - len(shown):
        shown[f"and {more} more groups"] = "none"
    shown |= {"tied to no other layer": ALONE, "has to stay": HELD}
    handles = [
        Patch(fc=colour, ec="none" if colour == "none" else "0.4", label=label)
        for label, colour in shown.items()
    ]
    ax.legend(
        handles=handles, ncols=max(1, int(ax.figure.get_figwidth() / 2.5)),
        loc="upper center", bbox_to_anchor=(0.5, 0), fontsize=7.5,
        frameon=False,
    )  # fmt: skip


def _short(names):
    first, *others = names.split(", ")
    return names if len(names) < 36 else f"{first} and {len(others)} more"
