"""Hough maps that exist only where somebody votes: square tiles, taken when the first vote falls.

Each tile holds two planes, of short-range and of long-range votes. A plane has two more rows and
columns than the tile: votes fall on up to three cells a side, and those of the last rows and
columns lie in a neighbour, which gets them when all have voted. Cells count from 1 in tiles: votes
may fall half outside of the grid, before its first cell or behind its last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.types import BadInput

SIDE, ROW, CELLS = 16, 18, 512
PLANE, TILE = ROW * ROW, 2 * ROW * ROW
SHORT, LONG = 0, PLANE
_RIGHT, _BELOW, _BOTH, _ROW = (np.uint64(n) for n in (1, ROW, ROW + 1, ROW))
_ZERO, _ONE, _CELLS = np.float32(0), np.float32(1), np.uint64(CELLS)


class Tiles(NamedTuple):
    """The Hough maps of all kinds of keypoints.

    down, across   tiles of a kind along each side
    number         (kinds * down * across,) the place of each tile in the pool, -1 without votes
    pool           the tiles, one after the other
    used           (1,) how many tiles there are
    extent         (tiles, 3) once settled, of each tile in the pool: its rows with any short-range
                   votes as bits, the first column with any, and that behind the last
    """

    height: int
    width: int
    down: int
    across: int
    number: NDArray[np.int32]
    pool: NDArray[np.float32]
    used: NDArray[np.int64]
    extent: NDArray[np.int32]


def tiles(size_hw: tuple[int, int], kinds: int) -> Tiles:
    """Hough maps without votes. Memory is used only once there are some.

    Raises: BadInput if there are more cells than can be counted, some two thousand million.
    """
    down, across = (n // SIDE + 1 for n in size_hw)
    count = kinds * down * across
    if count * CELLS >= 1 << 31:
        raise BadInput(
            f"Hough maps of {size_hw[0]}x{size_hw[1]} cells are too large: take a smaller image,"
            " or a model with fusion.decode_stride=4"
        )
    pool = np.empty((count + 1) * TILE, np.float32)
    number = np.full(count, -1, np.int32)
    extent = np.empty((count + 1, 3), np.int32)
    return Tiles(*size_hw, down, across, number, pool, np.zeros(1, np.int64), extent)


@lean
def taken(votes: Tiles, place: int) -> int:
    """The number of the tile of a place, which now has one."""
    number = int(votes.number[place])
    if number < 0:
        number = int(votes.used[0])
        votes.number[place], votes.used[0] = number, number + 1
        for n in range(np.uint64(number * TILE), np.uint64((number + 1) * TILE)):
            votes.pool[n] = _ZERO
    return number


@lean
def first_tile(votes: Tiles, kind: int) -> np.int32:
    """Which of all tiles is the first of a kind."""
    return np.int32(kind * votes.down * votes.across)


class Ballots(NamedTuple):
    """Room for n votes on their way into tiles.

    shares  (4 * n,) what goes to the first of four cells, to that on its right, and to those below
    cell    (n,) the first: its tile times `CELLS`, and where it is there
    """

    shares: NDArray[np.float32]
    cell: NDArray[np.int32]


@compiled
def ballots(count: int) -> Ballots:
    """Room for `count` votes."""
    return Ballots(np.zeros(4 * count, np.float32), np.zeros(count, np.int32))


@lean
def share(
    votes: Tiles,
    ratio: int,
    places: NDArray[np.float32],
    to_y: np.uint64,
    to_x: np.uint64,
    weights: NDArray[np.float32],
    before: NDArray[np.int32],
    count: int,
    room: Ballots,
) -> None:
    """Readies `count` weighted votes for places, each shared among the four cells around.

    What leaves the grid is lost, and so is a place that is no number.

    places  from `to_y` and `to_x` on y and x, which times `ratio` are cells
    before  the first tile of each one's kind, see `first_tile`
    """
    shares, cell, size = room.shares, room.cell, np.uint64(room.cell.size)
    high, wide = np.float32(votes.height + 1), np.float32(votes.width + 1)
    scale, across = np.float32(ratio), np.int32(votes.across)
    for n in range(np.uint64(count)):
        y, x = places[to_y + n] * scale + _ONE, places[to_x + n] * scale + _ONE
        falls = (y > _ZERO) & (x > _ZERO) & (y < high) & (x < wide)
        y, x = (y if falls else _ZERO), (x if falls else _ZERO)
        weight = weights[n] if falls else _ZERO
        i, j = np.int32(y), np.int32(x)
        lower, right = (y - np.float32(i)) * weight, x - np.float32(j)
        both, right = lower * right, right * weight
        shares[n], shares[n + size] = weight - lower - (right - both), right - both
        shares[n + size + size], shares[n + size + size + size] = lower - both, both
        tile = before[n] + np.int32(i >> 4) * across + np.int32(j >> 4)
        cell[n] = np.int32(tile * CELLS) + np.int32((i & 15) * ROW) + np.int32(j & 15)


@lean
def cast(votes: Tiles, plane: int, room: Ballots, count: int) -> None:
    """Puts `count` votes into tiles."""
    pool, number, shares, cell = votes.pool, votes.number, room.shares, room.cell
    second = np.uint64(room.cell.size)
    third, fourth = second + second, second + second + second
    for n in range(np.uint64(count)):
        a, b = shares[n], shares[n + second]
        c, d = shares[n + third], shares[n + fourth]
        if a + b + c + d > _ZERO:
            here = np.uint64(cell[n])
            place = here // _CELLS
            tile = int(number[place])
            if tile < 0:
                tile = taken(votes, int(place))
            at = np.uint64(tile * TILE + plane) + here % _CELLS
            p, q = pool[at] + a, pool[at + _RIGHT] + b
            r, s = pool[at + _BELOW] + c, pool[at + _BOTH] + d
            pool[at], pool[at + _RIGHT], pool[at + _BELOW], pool[at + _BOTH] = p, q, r, s


@lean
def settle(votes: Tiles, disk: float, by_short: float, by_long: float) -> None:
    """Divides all votes by a disk's cells and puts the fused ones in place of the long-range ones.

    First the last rows and columns of each tile go to the neighbours whose cells these are.
    """
    for place in range(votes.number.size):
        if votes.number[place] >= 0:
            _hand_over(votes, place)
    scale, top = np.float32(1 / disk), np.float32(1)
    short_share, long_share = np.float32(by_short), np.float32(by_long)
    for number in range(votes.used[0]):
        short = votes.pool[number * TILE : number * TILE + PLANE]
        fused = votes.pool[number * TILE + PLANE : (number + 1) * TILE]
        for n in range(np.uint64(PLANE)):
            short[n] *= scale
            wide = fused[n] * scale
            fused[n] = short_share * short[n] + long_share * (wide if wide < top else top)
        _measure(short, votes.extent[number])


@lean
def _measure(plane: NDArray[np.float32], extent: NDArray[np.int32]) -> None:
    """Where the votes in a tile are: rows as bits, the first column, and that behind the last."""
    rows, columns = np.int32(0), np.int32(0)
    for i in range(np.uint64(SIDE)):
        here = np.int32(0)
        for j in range(np.uint64(SIDE)):
            here |= np.int32(np.int32(plane[i * _ROW + j] > _ZERO) << np.int32(j))
        columns |= here
        rows |= np.int32(np.int32(here != 0) << np.int32(i))
    first, stop = SIDE if columns == 0 else 0, 0
    while columns >> first & 1 == 0 and first < SIDE:
        first += 1
    while columns >> stop:
        stop += 1
    extent[0], extent[1], extent[2] = rows, first, stop


@lean
def _hand_over(votes: Tiles, place: int) -> None:
    """Gives the votes in a tile's last rows and columns to its neighbours."""
    i, j = place // votes.across % votes.down, place % votes.across
    for down, right in ((0, 1), (1, 0), (1, 1)):
        if i + down >= votes.down or j + right >= votes.across:
            continue
        rows, columns = (ROW - SIDE if down else SIDE), (ROW - SIDE if right else SIDE)
        source = np.uint64(votes.number[place] * TILE + down * SIDE * ROW + right * SIDE)
        for plane in (SHORT, LONG):
            first = source + np.uint64(plane)
            if _is_any(votes.pool, first, rows, columns):
                goal = taken(votes, place + down * votes.across + right) * TILE + plane
                _pour(votes.pool, first, np.uint64(goal), rows, columns)


@lean
def _is_any(pool: NDArray[np.float32], first: np.uint64, rows: int, columns: int) -> bool:
    """Whether there is any vote in some rows and columns from a cell on."""
    count = np.int32(0)
    for i in range(np.uint64(rows)):
        for j in range(np.uint64(columns)):
            count += np.int32(pool[first + i * _ROW + j] > _ZERO)
    return bool(count)


@lean
def _pour(
    pool: NDArray[np.float32], first: np.uint64, goal: np.uint64, rows: int, columns: int
) -> None:
    """Adds the votes of some rows and columns from a cell on to those from another."""
    for i in range(np.uint64(rows)):
        for j in range(np.uint64(columns)):
            pool[goal + i * _ROW + j] += pool[first + i * _ROW + j]


@lean
def height_at(votes: Tiles, kind: int, plane: int, i: int, j: int) -> np.float32:
    """The votes of a cell, 0 outside of the grid."""
    if i < 0 or j < 0 or i >= votes.height or j >= votes.width:
        return _ZERO
    i, j = i + 1, j + 1
    number = votes.number[(kind * votes.down + (i >> 4)) * votes.across + (j >> 4)]
    if number < 0:
        return _ZERO
    at = int(number) * TILE + plane + (i & 15) * ROW + (j & 15)
    return np.float32(votes.pool[at])
