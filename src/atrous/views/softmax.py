"""The best class and its probability of bilinearly upsampled logits, which never exist as a whole.

Logits of a coarse row are upsampled along it once; each row that is wanted mixes two of these in
blocks short enough for the cache: once for the best class, once for the sum of exponentials.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.types import ClassMap, FloatMap

BLOCK_PX = 256
_BLOCK = np.uint64(BLOCK_PX)  # unsigned: an index that may be negative hinders whole vectors
_LEAST = np.float32(-87.0)
_LOG2_E = np.float32(1.4426950408889634)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_C1, _C2, _C3 = np.float32(0.6931471806), np.float32(0.2402265070), np.float32(0.0555041087)
_C4, _C5, _C6 = np.float32(0.0096181291), np.float32(0.0013333558), np.float32(0.00015403530)
_NEXT = np.uint64(1)
_BIAS = np.int32(127)
_MANTISSA_BITS = np.int32(23)


def best_classes(
    logits: FloatMap,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    *,
    out: tuple[ClassMap, FloatMap],
) -> None:
    """Fills `out` with the best class and its softmax probability (m, n) at each row and column.

    logits  (h, w, classes) float32; quickest if they lie so in memory
    rows    (m,) rising, columns (n,), in cells of the logits; those outside move to the border

    Of equally good classes the first counts. Where a logit is NaN or infinite the class is the
    largest number of its type, void, and the probability 0. Probabilities are exact to about 1e-6.

    Source: DeepLabv3, section 4.1 (upsampled logits).
    """
    (up, down), (left, right) = (
        _split(at, n) for at, n in zip((rows, columns), logits.shape[:2], strict=True)
    )
    logits = np.ascontiguousarray(logits, dtype=np.float32)
    void = np.iinfo(out[0].dtype).max
    _fill(logits, up, down, left.astype(np.uint64), right, *out, void)


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
    above = np.empty((count, len(left)), np.float32)
    below = np.empty((count, len(left)), np.float32)
    best, top = np.empty(BLOCK_PX, np.int32), np.empty(BLOCK_PX, np.float32)
    total = np.empty(BLOCK_PX, np.float32)
    wide, held = np.uint64(len(left)), np.int64(-2)
    for i in range(len(up)):
        if up[i] != held:
            if up[i] == held + 1:
                above, below = below, above
            else:
                _stretch(logits, up[i], left, right, plane, above)
            _stretch(logits, min(up[i] + 1, height - 1), left, right, plane, below)
            held = up[i]
        for first in range(0, len(left), BLOCK_PX):
            start = np.uint64(first)
            size = min(_BLOCK, wide - start)
            _best(above, below, down[i], start, size, best, top)
            _sum(above, below, down[i], start, size, top, total)
            for x in range(size):
                finite = total[x] >= _HALF
                classes[i, start + x] = best[x] if finite else void
                confidence[i, start + x] = _ONE / total[x] if finite else np.float32(0)


@compiled
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


@compiled
def _best(
    above: FloatMap,
    below: FloatMap,
    share: np.float32,
    start: np.uint64,
    size: np.uint64,
    best: NDArray[np.int32],
    top: NDArray[np.float32],
) -> None:
    """The largest logit of each pixel of a block, and the first class that has it."""
    best[:size] = 0
    top[:size] = -np.inf
    for c in range(above.shape[0]):
        for x in range(size):
            low = above[c, start + x]
            value = low + share * (below[c, start + x] - low)
            more = value > top[x]
            best[x] = np.int32(c) if more else best[x]
            top[x] = value if more else top[x]


@compiled
def _sum(
    above: FloatMap,
    below: FloatMap,
    share: np.float32,
    start: np.uint64,
    size: np.uint64,
    top: NDArray[np.float32],
    total: NDArray[np.float32],
) -> None:
    """The sum of exp(logit - top) of each pixel of a block; NaN where a logit is not finite.

    exp(v) = 2^n 2^t with n whole and |t| <= 1/2; 2^n is made of bits, 2^t is a polynomial.
    """
    powers, parts = np.empty(BLOCK_PX, np.int32), np.empty(BLOCK_PX, np.float32)
    floats = powers.view(np.float32)
    total[:size] = 0
    for c in range(above.shape[0]):
        for x in range(size):
            low = above[c, start + x]
            value = low + share * (below[c, start + x] - low) - top[x]
            scaled = max(value, _LEAST) * _LOG2_E
            whole = np.int32(scaled - _HALF)
            powers[x] = (whole + _BIAS) << _MANTISSA_BITS
            t = scaled - np.float32(whole)
            p = _C3 + t * (_C4 + t * (_C5 + t * _C6))
            parts[x] = _ONE + t * (_C1 + t * (_C2 + t * p)) + (value - value)
        for x in range(size):
            total[x] += parts[x] * floats[x]
