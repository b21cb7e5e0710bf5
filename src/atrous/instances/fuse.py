"""Semantic classes and instance indices become one panoptic map.

Source: DeeperLab, section 3.3 (semantic and instance fusion).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import cast

import numpy as np
from numpy.typing import NDArray

from atrous.instances import neighbours, runs
from atrous.instances.runs import Runs
from atrous.labels import LabelSpace
from atrous.types import ClassMap, FloatMap, Parse, Segment

Elsewhere = Callable[[NDArray[np.int64]], NDArray[np.int32]]
"""The instance index of cells, counted row by row, whose index nobody has yet."""


def to_pixels(
    cells: NDArray[np.int32],
    cell_class: ClassMap,
    pixel_class: ClassMap,
    *,
    is_thing: NDArray[np.bool_],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    elsewhere: Elsewhere | None = None,
) -> NDArray[np.int32]:
    """Instance index of every thing pixel, taken from the best of the four cells around it.

    cells, cell_class  (h, w) on the grid; pixel_class (H, W); rows (H,) and columns (W,) in cells
    elsewhere          gives the index of cells that are no things: `cells` has -1 for these. They
                       are asked for where a pixel is a thing and none of its four cells is
    Returns (H, W), -1 on stuff. The best cell is the nearest of the pixel's class, else the nearest
    of any thing, else the nearest.
    """
    cut = _cut(cells, cell_class, pixel_class, is_thing, (rows, columns), elsewhere)
    return _painted(cut, np.maximum(cut.owners, -1), pixel_class.shape)


def fuse(
    semantic: ClassMap,
    confidence: FloatMap,
    instance: NDArray[np.int32],
    *,
    labels: LabelSpace,
) -> Parse:
    """The parse of an image from its classes and instance indices (-1 = none), all (h, w).

    An instance has the class of most of its pixels, the lowest on a tie. Stuff, and thing pixels
    without an instance, form one segment a class. Ids count from 1, instances first, and
    segments without a pixel have none. A segment's score is its pixels' mean confidence.

    # Invariant: every pixel that is not void has exactly one segment.
    """
    classes_of = cast(ClassMap, np.ascontiguousarray(semantic))
    index = np.ascontiguousarray(instance, np.int32)
    starts, owners = _room(semantic.size)
    found = runs.of_map(
        *(classes_of.reshape(-1), index.reshape(-1), semantic.shape[1], len(labels)),
        *(starts, owners),
    )
    return _parse(_shut(starts, owners, found), classes_of, confidence, labels)


def merge(
    cells: NDArray[np.int32],
    cell_class: ClassMap,
    semantic: ClassMap,
    confidence: FloatMap,
    *,
    labels: LabelSpace,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    elsewhere: Elsewhere | None = None,
) -> Parse:
    """`fuse` of what `to_pixels` answers, in one go; arguments and answer as for these."""
    classes_of = cast(ClassMap, np.ascontiguousarray(semantic))
    at = rows, columns
    cut = _cut(cells, cell_class, classes_of, labels.is_thing, at, elsewhere)
    return _parse(cut, classes_of, confidence, labels)


def one_segment_a_class(semantic: ClassMap, confidence: FloatMap, *, labels: LabelSpace) -> Parse:
    """The parse of a semantic answer, in which no two things are told apart."""
    nobody = np.full(semantic.shape, -1, dtype=np.int32)
    return fuse(semantic, confidence, nobody, labels=labels)


def _cut(
    cells: NDArray[np.int32],
    cell_class: ClassMap,
    pixel_class: ClassMap,
    is_thing: NDArray[np.bool_],
    at: tuple[NDArray[np.float64], NDArray[np.float64]],
    elsewhere: Elsewhere | None,
) -> Runs:
    """The image cut into runs whose owners are known."""
    height, width = cells.shape
    rows, columns = (neighbours.axis(place, n) for place, n in zip(at, cells.shape, strict=True))
    pixels = cast(ClassMap, np.ascontiguousarray(pixel_class))
    grid_class = np.ascontiguousarray(cell_class, dtype=pixels.dtype)
    is_same = pixels.shape == (height, width) and _are_cells(rows) and _are_cells(columns)
    index = np.ascontiguousarray(cells, dtype=np.int32).reshape(-1)
    grid = neighbours.Grid(index, grid_class.reshape(-1), width, is_same)
    known = np.zeros(np.iinfo(pixels.dtype).max + 1, dtype=np.bool_)
    known[: len(is_thing)] = is_thing
    starts, owners = _room(pixels.size)
    found = runs.of_grid(
        *(grid, pixels.reshape(-1), rows, columns, known, len(is_thing)),
        *(starts, owners),
    )
    cut = _shut(starts, owners, found)
    _ask(cut, pixels, elsewhere)
    return cut


def _are_cells(axis: neighbours.Axis) -> bool:
    return bool((axis.low == np.arange(len(axis.low))).all() and not axis.part.any())


def _ask(cut: Runs, pixels: ClassMap, elsewhere: Elsewhere | None) -> None:
    """Puts an owner in the place of all who ask for that of a cell."""
    asking = np.flatnonzero(cut.owners <= runs.ASKS)
    if not len(asking):
        return
    wanted, each = np.unique(runs.ASKS - cut.owners[asking], return_inverse=True)
    nobody = np.full(len(wanted), -1, dtype=np.int32)
    index = (nobody if elsewhere is None else elsewhere(wanted))[each].astype(np.int64)
    classes = pixels.reshape(-1)[cut.starts[asking]].astype(np.int64)
    cut.owners[asking] = np.where(index >= 0, index, runs.CLASS - classes)


def _room(pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Room for as many runs as pixels; what is not used takes no memory."""
    return np.empty(pixels + 1, np.int64), np.empty(pixels + 1, np.int64)


def _shut(starts: NDArray[np.int64], owners: NDArray[np.int64], found: int) -> Runs:
    return Runs(starts[: found + 1].copy(), owners[:found].copy())


def _painted(cut: Runs, values: NDArray[np.int64], size_hw: tuple[int, ...]) -> NDArray[np.int32]:
    out = np.empty(size_hw, dtype=np.int32)
    runs.paint(cut.starts, values.astype(np.int32), out.reshape(-1))
    return out


def _parse(cut: Runs, semantic: ClassMap, confidence: FloatMap, labels: LabelSpace) -> Parse:
    """Segments out of runs."""
    classes, size = len(labels), max(int(cut.owners.max(initial=-1)) + 1, 1)
    owners = np.where(cut.owners <= runs.CLASS, size + runs.CLASS - cut.owners, cut.owners)
    areas = np.bincount(owners + 1, np.diff(cut.starts), size + classes + 1)[1:].astype(np.int64)
    present = np.flatnonzero(areas)
    ids = np.zeros(size + classes + 1, dtype=np.int32)
    ids[present] = np.arange(1, len(present) + 1)
    found = runs.measures(size, classes, semantic.shape)
    panoptic = np.empty(semantic.shape, dtype=np.int32)
    sure = np.ascontiguousarray(confidence, dtype=np.float32).reshape(-1)
    maps = semantic.reshape(-1), sure, panoptic.reshape(-1)
    runs.measure(Runs(cut.starts, owners), ids[owners], semantic.shape[1], *maps, found)
    class_of = np.concatenate([found.tally.argmax(axis=1), np.arange(classes)])[present]
    scores, boxes = found.sums[present] / areas[present], found.boxes[present]
    columns = (x.tolist() for x in (class_of, scores, areas[present], boxes))
    segments = tuple(map(partial(_segment, labels), count(1), *columns))
    return Parse(panoptic, semantic, confidence, segments)


def _segment(
    labels: LabelSpace, identity: int, class_id: int, score: float, area: int, box: list[int]
) -> Segment:
    label, (y0, x0, y1, x1) = labels[class_id], box
    return Segment(
        identity, class_id, label.name, label.is_thing, round(score, 4), area, (y0, x0, y1, x1)
    )
