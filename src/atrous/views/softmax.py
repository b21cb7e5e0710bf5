"""The best class and its probability of bilinearly upsampled logits, which never exist as a whole.

Logits of a coarse row are upsampled along it once; the rows that are wanted between two of these
are mixed of them, in blocks that are short enough for the cache.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.types import ClassMap, FloatMap
from atrous.views.mixing import BLOCK_PX, ROWS, TOTAL, block_room, work_out

_BLOCK = np.uint64(BLOCK_PX)  # unsigned: an index that may be negative hinders whole vectors
_EVEN = np.float32(2.5e-7)
_ZERO, _NEXT = np.float32(0), np.uint64(1)
_WORTH = 1 << 22
"""Logits to mix from which on threads are worth their while."""


def best_classes(
    logits: FloatMap,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    *,
    out: tuple[ClassMap, FloatMap],
    threads: int = 1,
) -> None:
    """Fills `out` with the best class and its softmax probability (m, n) at each row and column.

    logits  (h, w, classes) float32; quickest if they lie so in memory
    rows    (m,) rising, columns (n,), in cells of the logits; those outside move to the border

    Of equally good classes the first counts. Where a logit is NaN or infinite the class is the
    largest number of its type, void, and the probability 0. Probabilities are exact to about 1e-6,
    where logits change by tens from cell to cell to 1e-5. Threads change no answer.

    Source: DeepLabv3, section 4.1 (upsampled logits).
    """
    (up, down), (left, right) = (
        _split(at, n) for at, n in zip((rows, columns), logits.shape[:2], strict=True)
    )
    logits = np.ascontiguousarray(logits, dtype=np.float32)
    void, across = np.iinfo(out[0].dtype).max, left.astype(np.uint64)

    def fill(part: slice) -> None:
        _fill(logits, up[part], down[part], across, right, out[0][part], out[1][part], void)

    parts = _parts(up, threads if len(rows) * len(columns) * logits.shape[2] > _WORTH else 1)
    if len(parts) == 1:
        fill(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(fill, parts))


def _parts(up: NDArray[np.int64], count: int) -> list[slice]:
    """Rows in so many parts or fewer, cut where another cell begins, so that no answer changes."""
    cuts = np.searchsorted(up, up[np.arange(count) * len(up) // count])
    places = [*np.unique(cuts).tolist(), len(up)]
    return [slice(*pair) for pair in pairwise(places)]


def _split(at: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The cell before each position, and the share of the next one."""
    at = np.clip(at, 0, count - 1)
    low = np.minimum(at.astype(np.int64), max(count - 2, 0))
    return low, (at - low).astype(np.float32)


@compiled
def _fill(
    logits: FloatMap,
    up: NDArray[np.int64],
    down: NDArray[np.float32],
    left: NDArray[np.uint64],
    right: NDArray[np.float32],
    classes: ClassMap,
    confidence: FloatMap,
    void: int,
) -> None:
    """Fills classes and confidence, row by row; `up` must not fall."""
    height, width, count = logits.shape
    plane = np.empty((count, width), np.float32)
    room = block_room()
    above = np.empty((count, len(left)), np.float32)
    below = np.empty((count, len(left)), np.float32)
    i, wide, held = 0, np.uint64(len(left)), np.int64(-2)
    while i < len(up):
        if up[i] != held:
            if up[i] == held + 1:
                above, below = below, above
            else:
                _stretch(logits, up[i], left, right, plane, above)
            _stretch(logits, min(up[i] + 1, height - 1), left, right, plane, below)
            held = up[i]
        rows = _together(up, down, i)
        for first in range(0, len(left), BLOCK_PX):
            start = np.uint64(first)
            size = min(_BLOCK, wide - start)
            work_out(above, below, down[i : i + rows], start, size, room)
            for row in range(rows):
                at = np.uint64(row) * _BLOCK
                for x in range(size):
                    sure = room.space[TOTAL + at + x]
                    confidence[i + row, start + x] = sure
                    classes[i + row, start + x] = room.best[at + x] if sure > _ZERO else void
        i += rows


@lean
def _together(up: NDArray[np.int64], down: NDArray[np.float32], i: int) -> int:
    """How many rows from one on lie evenly between the same rows of cells: `ROWS`, or one."""
    if i + ROWS > len(up) or up[i + ROWS - 1] != up[i]:
        return 1
    step = down[i + 1] - down[i]
    for n in range(1, ROWS):
        if abs(down[i] + np.float32(n) * step - down[i + n]) > _EVEN:
            return 1
    return ROWS


@lean
def _stretch(
    logits: FloatMap,
    row: int,
    left: NDArray[np.uint64],
    right: NDArray[np.float32],
    plane: FloatMap,
    out: FloatMap,
) -> None:
    """A row of cells upsampled to (classes, n); `plane` is room for its transpose."""
    width, count = logits.shape[1:]
    for j in range(width):
        for c in range(count):
            plane[c, j] = logits[row, j, c]
    wide, last = np.uint64(len(left)), np.uint64(width - 1)
    for c in range(count):
        for x in range(wide):
            low = plane[c, left[x]]
            high = plane[c, min(left[x] + _NEXT, last)]
            out[c, x] = low + right[x] * (high - low)
