"""Loops over a few pixels and classes at a time: sampling, the greatest values, softmax.

A line holds the values of m classes, rising, at n pixels, which are a row of an image or a block of
one: that of class k at pixel p stands in place k * n + p, for the longer a loop, the faster it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.types import FloatMap

_LOWEST = np.float32(-87)
"""e^-87 is about the smallest number that float32 holds in full."""
_INV_LN2, _LN2 = np.float32(1.44269504), np.float32(0.693147181)
_ROUND = np.float32(12582912)  # 1.5 * 2^23: what is added to it is rounded to a whole number
_C0, _C1, _C2, _C3, _C4, _C5 = (
    np.float32(v)
    for v in (1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 0.5)
)
_ONE, _NONE, _LAST = np.float32(1), np.int32(-1), np.int32(1 << 30)


class Desk(NamedTuple):
    """Room for the answer of a line, and to work.

    best, which  (top, n) the greatest values, or their probabilities, and whose they are
    """

    best: FloatMap
    which: NDArray[np.int32]
    carry: NDArray[np.float32]
    carried: NDArray[np.int32]


@compiled
def desk(top: int, pixels: int) -> Desk:
    """An empty one."""
    return Desk(
        np.empty((top, pixels), np.float32),
        np.empty((top, pixels), np.int32),
        np.empty(pixels, np.float32),
        np.empty(pixels, np.int32),
    )


@compiled
def mix(first: FloatMap, second: FloatMap, share: np.float32, mixed: FloatMap) -> None:
    """Between two rows of a map."""
    for j in range(mixed.size):
        mixed[j] = first[j] + (second[j] - first[j]) * share


@compiled
def stretch(
    cells: FloatMap,
    low: NDArray[np.uint32],
    high: NDArray[np.uint32],
    share: NDArray[np.float32],
    pixels: FloatMap,
) -> None:
    """Between the cells of a row."""
    for x in range(pixels.size):
        first = cells[low[x]]
        pixels[x] = first + (cells[high[x]] - first) * share[x]


@compiled
def within(
    corners: NDArray[np.float32],
    ids: NDArray[np.int32],
    shares: NDArray[np.float32],
    n: int,
    line: NDArray[np.float32],
) -> None:
    """At n pixels between four cells.

    corners  (classes, 4): upper left, upper right, lower left, lower right
    shares   (2, n) of the lower cells, and of the right ones
    """
    for k in range(ids.size):
        own = ids[k] if ids[k] >= 0 else -1 - ids[k]
        a, b = corners[own, 0], corners[own, 1]
        c, d = corners[own, 2] - a, corners[own, 3] - b
        for p in range(n):
            first, second = a + c * shares[0, p], b + d * shares[0, p]
            line[k * n + p] = first + (second - first) * shares[1, p]


@compiled
def sort(
    line: NDArray[np.float32], ids: NDArray[np.int32], n: int, places: int, desk: Desk
) -> None:
    """The greatest values of the first n pixels and whose they are; of equal ones the lowest.

    ids  (m,) the classes of the line; less than 0 where one need not be looked at: it is -1 - id
    """
    best, which, carry, carried = desk
    for place in range(places):
        for p in range(n):
            best[place, p], which[place, p] = -np.inf, _LAST
    for k in range(ids.size):
        if ids[k] < 0:
            continue
        for p in range(n):
            carry[p], carried[p] = line[k * n + p], ids[k]
        for place in range(places):
            for p in range(n):
                a, b, i, j = carry[p], best[place, p], carried[p], which[place, p]
                goes = (a > b) | ((a == b) & (i < j))
                best[place, p], carry[p] = (a, b) if goes else (b, a)
                which[place, p], carried[p] = (i, j) if goes else (j, i)


@compiled
def normalise(line: NDArray[np.float32], m: int, n: int, desk: Desk) -> None:
    """Makes probabilities of the greatest logits of m classes; the line is used up.

    The sum begins with 1, taken off at last: so a class of less than e^-17 changes no bit of it.
    """
    best, total = desk.best, desk.carry
    for k in range(m):
        for p in range(n):
            line[k * n + p] -= best[0, p]
    for place in range(m * n):
        line[place] = exponential(line[place])
    for p in range(n):
        total[p] = _ONE
    for k in range(m):
        for p in range(n):
            total[p] += line[k * n + p]
    for place in range(best.shape[0] - 1, -1, -1):
        for p in range(n):
            power = exponential(best[place, p] - best[0, p])
            best[place, p] = np.divide(power, total[p] - _ONE)


@compiled
def exponential(power: np.float32) -> np.float32:
    """Of a power of 0 or less, right to 1e-7 for each unit of it; each step is rounded to float32.

    Ours, for libraries differ in the last bit, and the order of seeds depends on it.
    """
    x = power if power > _LOWEST else _LOWEST
    shifted = x * _INV_LN2 + _ROUND
    r = x - (shifted - _ROUND) * _LN2
    series = ((((_C0 * r + _C1) * r + _C2) * r + _C3) * r + _C4) * r + _C5
    series = series * (r * r) + r + _ONE
    # Adds the whole number to the exponent's bits.
    bits = np.float32(series).view(np.int32) + (np.float32(shifted).view(np.int32) << 23)
    return np.int32(bits).view(np.float32)


@compiled
def leave_out(line: NDArray[np.float32], m: int, n: int, desk: Desk) -> None:
    """Marks pixels of which one of m values is not finite with the class -1."""
    finite = desk.carried
    for p in range(n):
        finite[p] = 0
    for k in range(m):
        for p in range(n):
            finite[p] += np.int32(np.abs(line[k * n + p]) < np.inf)
    for place in range(desk.which.shape[0]):
        for p in range(n):
            desk.which[place, p] = desk.which[place, p] if finite[p] == m else _NONE
