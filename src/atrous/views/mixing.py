"""Best class and probability in a block of rows that are mixed of the same two.

Down a column logits are evenly spaced, so that of four rows only two exponentials a class are
needed: that of the first, and the factor from one row to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.types import FloatMap

BLOCK_PX = 256
ROWS = 4
"""Rows that are worked out together where they lie evenly between the same rows of cells."""
_BLOCK = np.uint64(BLOCK_PX)
_LOW, _FIRST, _FACTOR, TOTAL = (np.uint64(n * BLOCK_PX) for n in (1, 2, 3, 4))
_SECOND, _THIRD, _FOURTH, _TOP, _LAST = (np.uint64(n * BLOCK_PX) for n in (5, 6, 7, 8, 11))
_LEAST, _MOST, _FAR = np.float32(-87.0), np.float32(87.0), np.float32(-80.0)
_LOG2_E = np.float32(1.4426950408889634)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_C1, _C2, _C3 = np.float32(0.6931471806), np.float32(0.2402265070), np.float32(0.0555041087)
_C4, _C5, _C6 = np.float32(0.0096181291), np.float32(0.0013333558), np.float32(0.00015403530)
_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)


class Room(NamedTuple):
    """Room for a block of up to `ROWS` rows, `BLOCK_PX` numbers for each thing that is kept.

    best   (ROWS * n,) the best class
    space  (12 * n,) what logits count from; the lowest of them from there; two exponentials but for
           their powers of two; `total` and `top` of `ROWS` rows: sums and the best logits
    bits   (2 * n,) those of these powers

    Few arrays, for where there are many it cannot be known that none lies in another one.
    """

    best: NDArray[np.int32]
    space: NDArray[np.float32]
    bits: NDArray[np.int32]


@compiled
def block_room() -> Room:
    """Room for a block."""
    return Room(
        np.empty(ROWS * BLOCK_PX, np.int32),
        np.empty(12 * BLOCK_PX, np.float32),
        np.empty(2 * BLOCK_PX, np.int32),
    )


@lean
def work_out(
    above: FloatMap,
    below: FloatMap,
    shares: NDArray[np.float32],
    start: np.uint64,
    size: np.uint64,
    room: Room,
) -> None:
    """Best classes of a block of columns, and in `total` their probabilities.

    above, below  (classes, n) logits of the rows of cells
    shares        (rows,) of the one below: of one row, or of `ROWS` that lie evenly

    Where a logit is not finite the probability is 0.
    """
    for row in range(np.uint64(shares.size)):
        at = row * _BLOCK
        best, top = room.best[at : at + _BLOCK], room.space[_TOP + at : _TOP + at + _BLOCK]
        _best(above, below, shares[row], start, size, best, top)
    if shares.size == ROWS and _sum_all(above, below, shares, start, size, room):
        return
    for row in range(np.uint64(shares.size)):
        _sum(above, below, shares[row], start, size, room, row * _BLOCK)


@lean
def _best(
    above: FloatMap,
    below: FloatMap,
    share: np.float32,
    start: np.uint64,
    size: np.uint64,
    best: NDArray[np.int32],
    top: NDArray[np.float32],
) -> None:
    """The largest logit of each pixel of a row, and the first class that has it."""
    for x in range(size):
        best[x], top[x] = 0, -np.inf
    for c in range(np.uint64(above.shape[0])):
        for x in range(size):
            low = above[c, start + x]
            value = low + share * (below[c, start + x] - low)
            more = value > top[x]
            best[x] = np.int32(c) if more else best[x]
            top[x] = value if more else top[x]


@lean
def _sum(
    above: FloatMap,
    below: FloatMap,
    share: np.float32,
    start: np.uint64,
    size: np.uint64,
    room: Room,
    at: np.uint64,
) -> None:
    """The probability of the best class of each pixel of a row, which in `room` begins at `at`."""
    space, bits, total, top = room.space, room.bits, TOTAL + at, _TOP + at
    powers = bits.view(np.float32)
    for x in range(size):
        space[total + x] = _ZERO
    for c in range(np.uint64(above.shape[0])):
        for x in range(size):
            low = above[c, start + x]
            value = low + share * (below[c, start + x] - low) - space[top + x]
            bits[x], space[_FIRST + x] = _exp(value)
        for x in range(size):
            space[total + x] += space[_FIRST + x] * powers[x]
    for x in range(size):
        sure = _ONE / space[total + x]
        space[total + x] = sure if sure > _ZERO else _ZERO


@lean
def _exp(value: np.float32) -> tuple[np.int32, np.float32]:
    """The bits of 2^n and 2^t, whose product is exp(value), with n whole and |t| <= 1/2.

    2^t is a polynomial; it is NaN where the value is not finite.
    """
    scaled = min(max(value, _LEAST), _MOST) * _LOG2_E
    whole = np.floor(scaled + _HALF)
    t = scaled - whole
    p = _C3 + t * (_C4 + t * (_C5 + t * _C6))
    part = _ONE + t * (_C1 + t * (_C2 + t * p)) + (value - value)
    return (np.int32(whole) + _BIAS) << _MANTISSA_BITS, part


@lean
def _sum_all(
    above: FloatMap,
    below: FloatMap,
    shares: NDArray[np.float32],
    start: np.uint64,
    size: np.uint64,
    room: Room,
) -> bool:
    """`_sum` of `ROWS` rows; whether it can be relied on.

    Logits count from the highest of all rows, which is in the first or the last one. They cannot
    be relied on where one is so low that its exponential says nothing of the next row's, or where
    all of a row are.
    """
    space, bits = room.space, room.bits
    for x in range(size):
        space[x], space[_LOW + x] = max(space[_TOP + x], space[_LAST + x]), _ZERO
    for x in range(_BLOCK * np.uint64(ROWS)):
        space[TOTAL + x] = _ZERO
    for c in range(np.uint64(above.shape[0])):
        _part(above[c], below[c], shares[0], shares[1] - shares[0], start, size, space, bits)
        _add(size, space, bits.view(np.float32))
    return _divide(size, room)


@lean
def _part(
    above: NDArray[np.float32],
    below: NDArray[np.float32],
    share: np.float32,
    step: np.float32,
    start: np.uint64,
    size: np.uint64,
    space: NDArray[np.float32],
    bits: NDArray[np.int32],
) -> None:
    """The exponentials of a class in the first row, and the factors from a row to the next."""
    for x in range(size):
        value = above[start + x]
        change = below[start + x] - value
        value += share * change - space[x]
        space[_LOW + x] = min(space[_LOW + x], value)
        bits[x], space[_FIRST + x] = _exp(value)
        bits[_BLOCK + x], space[_FACTOR + x] = _exp(step * change)


@lean
def _add(size: np.uint64, space: NDArray[np.float32], powers: NDArray[np.float32]) -> None:
    """Adds the exponentials of a class to the sums of all rows."""
    for x in range(size):
        each, by = space[_FIRST + x] * powers[x], space[_FACTOR + x] * powers[_BLOCK + x]
        space[TOTAL + x] += each
        space[_SECOND + x] += each * by
        space[_THIRD + x] += each * by * by
        space[_FOURTH + x] += each * by * by * by


@lean
def _divide(size: np.uint64, room: Room) -> bool:
    """Makes probabilities of sums; whether all logits were high enough."""
    space, bits, least = room.space, room.bits, _ZERO
    powers = bits.view(np.float32)
    for row in range(np.uint64(ROWS)):
        top, total = _TOP + row * _BLOCK, TOTAL + row * _BLOCK
        for x in range(size):
            fall = space[top + x] - space[x]
            space[_LOW + x] = min(space[_LOW + x], fall)
            bits[x], space[_FIRST + x] = _exp(fall)
        for x in range(size):
            whole = space[total + x]
            sure = space[_FIRST + x] * powers[x] / (whole if whole != _ZERO else _ONE)
            sure = sure if sure > _ZERO else _ZERO
            space[total + x] = sure if sure < _ONE else _ONE
    for x in range(size):
        least = min(least, space[_LOW + x])
    return bool(least > _FAR)
