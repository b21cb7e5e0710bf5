"""FCRN's box representation of instances, both ways: encode and decode.

Each pixel of a thing says where the tight box of its instance is: the way to the box's centre, and
the box's height and width. There are four channels for each class of things: 4 k to 4 k + 3 belong
to the k-th of them. All numbers are in pixels of the network's input; cell (i, j) of a map lies on
pixel (stride * i, stride * j). How boxes become instances is told in `transform`.

Source: Wu, Shen, van den Hengel 2016 (FCRN), the section on localisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances import voting
from atrous.instances.boxes.sampling import Axis, Sampled
from atrous.types import FloatMap, Labelled

WEIGHT_RANGE = (0.1, 10.0)
"""The weight of an instance in the loss is clipped to this."""


@dataclass(frozen=True, slots=True)
class BoxNumbers:
    """The numbers of encoding and decoding; they travel in the checkpoint.

    mean, std      of the targets (cy - y, cx - x, h, w) in pixels; what the network is trained on
                   and answers is (target - mean) / std
    top            a pixel takes part in the instances of its `top` most probable classes (the
                   paper's n; one mask a class for each m = 1 ... n)
    box_nms_iou    a pixel joins a seed whose box overlaps its own by this or more
    region_nms_iou   an instance whose mask overlaps a better one of its class by more is dropped
    seed_stride    seeds are sought on this grid first, in cells; 1 is the exact greedy suppression
    seeds          largest number of seeds for a class and m
    least_px       an instance of fewer cells is dropped
    least_score    an instance of less confidence is dropped
    instances      largest number of instances of an image

    A network has learnt what `learnt` names: with other values its answers mean nothing.

    Raises: ValueError if a number is out of range.
    """

    learnt: ClassVar[tuple[str, ...]] = ("mean", "std")
    mean: tuple[float, float, float, float] = (0.0, 0.0, 150.0, 150.0)
    std: tuple[float, float, float, float] = (50.0, 50.0, 100.0, 100.0)
    top: int = 2
    box_nms_iou: float = 0.5
    region_nms_iou: float = 0.3
    seed_stride: int = 8
    seeds: int = 100
    least_px: int = 10
    least_score: float = 0.0
    instances: int = 100

    def __post_init__(self) -> None:
        for mend in self._faults():
            raise ValueError(mend)

    def _faults(self) -> Iterator[str]:
        """What is wrong with the numbers, and how to mend it."""
        for name in ("mean", "std"):
            value = getattr(self, name)
            if len(value) != 4 or not np.isfinite(value).all():
                yield f"{name} is {value}: give four finite numbers (dy, dx, h, w)"
        if min(self.std) <= 0:
            yield f"std is {self.std}: all four must be above 0"
        for name in ("top", "seed_stride", "seeds", "least_px", "instances"):
            if getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}: it must be 1 or more"
        if not 0 < self.box_nms_iou <= 1:
            yield f"box_nms_iou is {self.box_nms_iou}: it must be above 0, at most 1"
        for name in ("region_nms_iou", "least_score"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} is {getattr(self, name)}: it must be between 0 and 1"


@dataclass(frozen=True, slots=True)
class BoxTargets:
    """What the network shall answer on the cells of a grid.

    targets  (4, h, w) float32, standardised (cy - y, cx - x, h, w); 0 where not supervised
    thing    (h, w) int16, k where the channels 4 k to 4 k + 3 are supervised, -1 elsewhere: stuff,
             crowds and void
    weight   (h, w) float32, constant inside an instance; 0 where not supervised
    """

    targets: FloatMap
    thing: NDArray[np.int16]
    weight: FloatMap


def encode(
    truth: Labelled, is_thing: NDArray[np.bool_], *, stride: int, numbers: BoxNumbers
) -> BoxTargets:
    """Box targets of a labelled image on the grid of a stride.

    An instance of height h and width w weighs 1 / (h * w), scaled so that the mean over the
    supervised cells is 1, then clipped to [0.1, 10]: large instances do not drown the small.

    Source: FCRN, localisation network; weights and standardisation are ours.
    # Deviates: boxes are those of what is visible in `truth`; a crop clips them.
    """
    seen = np.unique(truth.ids)
    things = [r for r in truth.regions if is_thing[r.class_id] and not r.is_crowd and r.id in seen]
    table = np.full(int(seen.max(initial=0)) + 1, -1)
    table[[r.id for r in things]] = np.arange(len(things))
    owner = table[truth.ids[::stride, ::stride]]
    channel = (np.cumsum(is_thing) - 1)[[r.class_id for r in things]]
    rows = _boxes(truth, np.array([r.id for r in things], dtype=np.int64))
    return BoxTargets(
        targets=_targets(rows, owner, stride=stride, numbers=numbers),
        thing=np.append(channel, -1)[owner].astype(np.int16),
        weight=_weights(rows, owner),
    )


def _boxes(truth: Labelled, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows (n + 1, 4) of (cy, cx, h, w), the mean pixel and size of tight boxes; the last is 1s.

    The index -1 (no instance) so finds a harmless row.
    """
    corners = voting.locate(truth.ids, wanted)
    first, last = corners[:, 0], corners[:, 3]
    rows = np.ones((len(wanted) + 1, 4), dtype=np.float32)
    rows[:-1] = np.concatenate([(first + last) / 2, last - first + 1], axis=1)
    return rows


def _targets(
    rows: NDArray[np.float32], owner: NDArray[np.int64], *, stride: int, numbers: BoxNumbers
) -> FloatMap:
    targets = rows[owner].transpose(2, 0, 1)
    targets[:2] -= voting.cells((owner.shape[0], owner.shape[1])) * np.float32(stride)
    targets = (targets - _column(numbers.mean)[..., None]) / _column(numbers.std)[..., None]
    return np.where(owner >= 0, targets, np.float32(0))


def _column(numbers: tuple[float, ...]) -> NDArray[np.float32]:
    """A number for each target, (4, 1)."""
    return np.array(numbers, dtype=np.float32)[:, None]


def _weights(rows: NDArray[np.float32], owner: NDArray[np.int64]) -> FloatMap:
    """(h, w) weights: inverse box areas with mean 1, clipped. Source: FCRN, weighted loss."""
    supervised = owner >= 0
    weight = 1 / rows[:, 2:].prod(axis=1, dtype=np.float64)[owner]
    mean = weight[supervised].mean() if supervised.any() else 1.0
    return np.where(supervised, np.clip(weight / mean, *WEIGHT_RANGE), 0).astype(np.float32)


def pixel_boxes(
    prediction: Sampled,
    cells: NDArray[np.int32],
    *,
    thing: int,
    stride: float,
    numbers: BoxNumbers,
) -> NDArray[np.float32]:
    """Boxes (n, 4), (y0, x0, y1, x1) in pixels of the input, that chosen pixels predict.

    prediction  (4 * things, h, w), standardised
    cells       (n,) pixels of its grid, counted row by row, rising
    thing       the index of the class among those of things
    stride      pixels of the input from cell to cell of the map

    Sides are at least one pixel long, whatever is predicted; a box is not finite where a value is
    not. Undoes `encode`.
    """
    boxes = np.empty((len(cells), 4), dtype=np.float32)
    values = prediction.values[4 * thing : 4 * thing + 4]
    y, x = (np.asarray(at, np.float32) * np.float32(stride) for at in prediction.positions)
    scale = np.array([numbers.std, numbers.mean], dtype=np.float32)
    if len(cells):
        values = np.ascontiguousarray(values, dtype=np.float32)
        rows, columns = prediction.axes()
        _decode(values, rows, columns, y, x, scale, cells, boxes)
    return boxes


@compiled
def _decode(
    values: FloatMap,
    rows: Axis,
    columns: Axis,
    here_y: NDArray[np.float32],
    here_x: NDArray[np.float32],
    scale: NDArray[np.float32],
    cells: NDArray[np.int32],
    boxes: NDArray[np.float32],
) -> None:
    """Fills in the boxes. `scale` (2, 4) holds what values are multiplied by, and what is added."""
    wide, nought, half, one = len(here_x), np.float32(0), np.float32(0.5), np.float32(1)
    y, begin, found = 0, 0, np.empty(4, np.float32)
    for place in range(cells.size):
        while cells[place] >= begin + wide:
            y, begin = y + 1, begin + wide
        x = cells[place] - begin
        up, down, down_share = rows.low[y], rows.high[y], rows.share[y]
        left, right, right_share = columns.low[x], columns.high[x], columns.share[x]
        for k in range(4):
            first, second = values[k, up, left], values[k, up, right]
            first += (values[k, down, left] - first) * down_share
            second += (values[k, down, right] - second) * down_share
            found[k] = (first + (second - first) * right_share) * scale[0, k] + scale[1, k]
        # The box is half open: the middle of pixels 3, 4, 5 is 4, the edges of their box 3 and 6.
        middle_y, middle_x = found[0] + here_y[y] + half, found[1] + here_x[x] + half
        bad = found[2] * nought + found[3] * nought  # NaN if one of both is not finite
        half_y, half_x = max(found[2], one) * half + bad, max(found[3], one) * half + bad
        boxes[place, 0], boxes[place, 1] = middle_y - half_y, middle_x - half_x
        boxes[place, 2], boxes[place, 3] = middle_y + half_y, middle_x + half_x
