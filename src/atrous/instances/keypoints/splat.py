"""Votes of many blocks at once: what all cells of a block cast, added up before it is put there.

A block is what lies between four cells of the maps, with its first row and column. Its cells point
to places that are one polynomial of four terms, mostly within two cells: then their votes fall on
nine cells, whose sums are worked out for all blocks side by side. Blocks that point further apart,
or over the border, cast their votes one by one.

Source: ours; the sums are those of DeeperLab's votes, section 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints import hough
from atrous.instances.keypoints.hough import CELLS, ROW, TILE, Ballots, Tiles, ballots, taken

LANES, TERMS, NINE = 64, 8, 9
"""Blocks that go together; numbers of a block's two polynomials; cells that it votes for."""
_LANES, _NONE, _NEXT = np.uint64(LANES), np.uint64(0), np.uint64(1)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


class Room(NamedTuple):
    """Room for `LANES` blocks.

    terms    (TERMS * LANES,) y at the first cell, its slopes down and along, and twist; then x
    weights  (cells of a block * LANES,) of their votes, lane by lane for each cell
    parts    (2, cells of a block) how far each lies down and along, of a block's side
    sums     (NINE * LANES,) and anchor (LANES,): what is cast, and where the nine cells begin,
             -1 for a block that does not fit
    before   (LANES,) the first tile of the kind that each block votes for
    places   y and x that the cells of such blocks point to, with `strong` and `origin` (n,), their
             weights and `before`, and ballots for n
    """

    terms: NDArray[np.float32]
    weights: NDArray[np.float32]
    parts: NDArray[np.float32]
    sums: NDArray[np.float32]
    anchor: NDArray[np.int32]
    before: NDArray[np.int32]
    places: NDArray[np.float32]
    strong: NDArray[np.float32]
    origin: NDArray[np.int32]
    ballots: Ballots


@compiled
def room(ratio: int) -> Room:
    """Room for blocks of `ratio` cells a side."""
    parts, size = np.empty((2, ratio * ratio), np.float32), ratio * ratio * LANES
    for n in range(ratio * ratio):
        parts[0, n], parts[1, n] = np.float32(n // ratio / ratio), np.float32(n % ratio / ratio)
    return Room(
        np.zeros(TERMS * LANES, np.float32),
        np.ones(size, np.float32),
        parts,
        np.zeros(NINE * LANES, np.float32),
        np.zeros(LANES, np.int32),
        np.zeros(LANES, np.int32),
        np.zeros(2 * size, np.float32),
        np.zeros(size, np.float32),
        np.zeros(size, np.int32),
        ballots(size),
    )


@lean
def cast(votes: Tiles, plane: int, ratio: int, space: Room, count: int) -> None:
    """Casts the votes of the first `count` blocks."""
    _pad(space, count)
    _anchor(votes, ratio, space)
    _add(space)
    _put(votes, plane, space, count)
    single = _scatter(space, count)
    to = np.uint64(0), np.uint64(space.strong.size)
    hough.share(votes, 1, space.places, *to, space.strong, space.origin, single, space.ballots)
    hough.cast(votes, plane, space.ballots, single)


@lean
def _pad(space: Room, count: int) -> None:
    """Terms for the lanes behind the first `count`: loops of a fixed length are quicker."""
    for n in range(np.uint64(count), _LANES):
        for term in range(np.uint64(TERMS)):
            space.terms[n + term * _LANES] = _ZERO


@lean
def _anchor(votes: Tiles, ratio: int, space: Room) -> None:
    """Finds the nine cells of each block, and brings its terms to cells behind the first.

    Those of a block that does not fit are brought to cells of the grid.
    """
    terms, anchor = space.terms, space.anchor
    scale, edge = np.float32(ratio), np.float32((ratio - 1) / ratio)
    high, wide = np.float32(votes.height + 1), np.float32(votes.width + 1)
    before, across = space.before, np.int32(votes.across)
    for n in range(_LANES):
        y0, y1 = terms[n] * scale + _ONE, terms[n + _LANES] * scale
        y2, y3 = terms[n + 2 * LANES] * scale, terms[n + 3 * LANES] * scale
        x0, x1 = terms[n + 4 * LANES] * scale + _ONE, terms[n + 5 * LANES] * scale
        x2, x3 = terms[n + 6 * LANES] * scale, terms[n + 7 * LANES] * scale
        a, b, c = y1 * edge, y2 * edge, (y1 + y2 + y3 * edge) * edge
        d, e, f = x1 * edge, x2 * edge, (x1 + x2 + x3 * edge) * edge
        top, bottom = y0 + min(min(a, b), min(c, _ZERO)), y0 + max(max(a, b), max(c, _ZERO))
        left, right = x0 + min(min(d, e), min(f, _ZERO)), x0 + max(max(d, e), max(f, _ZERO))
        falls = (top > _ZERO) & (left > _ZERO) & (bottom < high) & (right < wide)
        i, j = np.int32(top if falls else _ZERO), np.int32(left if falls else _ZERO)
        u, v = np.float32(i), np.float32(j)
        fits = falls & (bottom < u + _TWO) & (right < v + _TWO)
        u, v = (u if fits else _ONE), (v if fits else _ONE)
        tile = before[n] + np.int32(i >> 4) * across + np.int32(j >> 4)
        place = np.int32(tile * CELLS) + np.int32((i & 15) * ROW) + np.int32(j & 15)
        anchor[n] = place if fits else np.int32(-1)
        terms[n], terms[n + 4 * LANES] = y0 - u, x0 - v
        terms[n + LANES], terms[n + 2 * LANES], terms[n + 3 * LANES] = y1, y2, y3
        terms[n + 5 * LANES], terms[n + 6 * LANES], terms[n + 7 * LANES] = x1, x2, x3


@lean
def _add(space: Room) -> None:
    """The votes for the nine cells of each block."""
    terms, weights, sums = space.terms, space.weights, space.sums
    for n in range(np.uint64(NINE * LANES)):
        sums[n] = _ZERO
    for cell in range(space.parts.shape[1]):
        u, v, first = space.parts[0, cell], space.parts[1, cell], np.uint64(cell * LANES)
        for n in range(_LANES):
            y = (terms[n] + terms[n + 2 * LANES] * v) + (
                terms[n + LANES] + terms[n + 3 * LANES] * v
            ) * u
            x = (terms[n + 4 * LANES] + terms[n + 6 * LANES] * v) + (
                terms[n + 5 * LANES] + terms[n + 7 * LANES] * v
            ) * u
            w = weights[first + n]
            p, r = max(_ONE - y, _ZERO) * w, max(y - _ONE, _ZERO) * w
            q = w - p - r
            a, c = max(_ONE - x, _ZERO), max(x - _ONE, _ZERO)
            b = _ONE - a - c
            sums[n] += p * a
            sums[n + LANES] += p * b
            sums[n + 2 * LANES] += p * c
            sums[n + 3 * LANES] += q * a
            sums[n + 4 * LANES] += q * b
            sums[n + 5 * LANES] += q * c
            sums[n + 6 * LANES] += r * a
            sums[n + 7 * LANES] += r * b
            sums[n + 8 * LANES] += r * c


@lean
def _put(votes: Tiles, plane: int, space: Room, count: int) -> None:
    """Puts the sums into tiles."""
    sums, pool = space.sums, votes.pool
    for n in range(np.uint64(count)):
        here = space.anchor[n]
        if here < 0:
            continue
        number = int(votes.number[np.uint64(here // CELLS)])
        if number < 0:
            number = taken(votes, here // CELLS)
        at = np.uint64(number * TILE + plane + here % CELLS)
        for row in range(3):
            line, three = at + np.uint64(row * ROW), n + np.uint64(3 * row * LANES)
            a, b = pool[line] + sums[three], pool[line + np.uint64(1)] + sums[three + LANES]
            c = pool[line + np.uint64(2)] + sums[three + 2 * LANES]
            pool[line], pool[line + np.uint64(1)], pool[line + np.uint64(2)] = a, b, c


@lean
def _scatter(space: Room, count: int) -> int:
    """Readies the votes that have any weight of blocks that do not fit; how many there are."""
    terms, found, cells = space.terms, np.uint64(0), np.uint64(space.parts.shape[1])
    places, strong, behind = space.places, space.strong, np.uint64(space.strong.size)
    for n in range(np.uint64(count)):
        if space.anchor[n] >= 0:
            continue
        y0, y1, y2, y3 = (
            terms[n],
            terms[n + LANES],
            terms[n + 2 * LANES],
            terms[n + 3 * LANES],
        )
        x0, x1, x2, x3 = (
            terms[n + 4 * LANES],
            terms[n + 5 * LANES],
            terms[n + 6 * LANES],
            terms[n + 7 * LANES],
        )
        for cell in range(cells):
            u, v = space.parts[0, cell], space.parts[1, cell]
            places[found + cell] = (y0 + y2 * v) + (y1 + y3 * v) * u
            places[found + cell + behind] = (x0 + x2 * v) + (x1 + x3 * v) * u
        first = found
        for cell in range(cells):
            weight, at = space.weights[cell * _LANES + n], first + cell
            strong[found], places[found] = weight, places[at]
            space.origin[found] = space.before[n]
            places[found + behind] = places[at + behind]
            found += _NEXT if weight > _ZERO else _NONE
    return int(found)
