"""The cells of things in short spans along their rows, which kernels take as one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled

MOST = 32
"""Cells of a span: many, so that looking up is shared; few, so that they point to one place."""
_ALL = np.uint64(0x0101010101010101)
_NONE, _THREE, _EIGHT = np.uint64(0), np.uint64(3), np.int64(8)


class Spans(NamedTuple):
    """Cells of things: span n begins at `starts[n]`, counted row by row, and has `counts[n]` cells.

    Before it there are `before[n]` cells in spans, and `before[-1]` in all.
    """

    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    before: NDArray[np.int64]


def spans(is_thing: NDArray[np.bool_]) -> Spans:
    """The spans of a mask (h, w), row by row."""
    mask = np.ascontiguousarray(is_thing)
    cells = int(np.count_nonzero(mask))
    room = min(cells, cells // MOST + (mask.size + mask.shape[0]) // 2 + 1)
    starts, counts = np.empty(room, np.int64), np.empty(room, np.int64)
    found = _cut(mask.reshape(-1).view(np.uint8), mask.shape[1], starts, counts)
    before = np.zeros(found + 1, np.int64)
    np.cumsum(counts[:found], out=before[1:])
    return Spans(starts[:found], counts[:found], before)


def thing_cells(
    classes: NDArray[np.uint8] | NDArray[np.uint16], is_thing: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which cells of a class map are things; void is none."""
    known, found = np.zeros(1 << 8 * classes.itemsize, np.bool_), np.empty(classes.shape, np.bool_)
    known[: len(is_thing)] = is_thing
    _look_up(np.ascontiguousarray(classes).reshape(-1), known, found.reshape(-1))
    return found


@compiled
def _look_up(classes: NDArray[Any], known: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
    for n in range(classes.size):
        found[n] = known[classes[n]]


@compiled
def _cut(
    mask: NDArray[np.uint8], width: int, starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> int:
    found, at, total = 0, 0, mask.size
    words = mask[: total // 8 * 8].view(np.uint64)
    while at < total:
        while at < words.size * 8 and at & 7 == 0 and words[at >> 3] == _NONE:
            at += 8
        if at < total and mask[at]:
            end = min(at + MOST, (at // width + 1) * width)
            start = at
            while at < end and mask[at]:
                at += 1
            starts[found], counts[found] = start, at - start
            found += 1
        else:
            at += 1
    return found
