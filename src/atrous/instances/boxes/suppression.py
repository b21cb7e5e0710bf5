"""Greedy suppression of boxes, each traced back to the survivor that took it.

A box need only be held against the survivors that are near enough to overlap it as much as is
asked. They stand in lists, one for each tile of the plane that the centres of boxes lie in; so the
cost is that of boxes and near rivals, not of boxes times survivors.

Source: FCRN, instance inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled

_TILES = 64
"""Tiles along each side of the plane."""
_SLACK = 1e-3
"""Of a box's size, by which its reach is widened: far more than rounding can change an overlap."""
_NOUGHT = np.float32(0)

Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Votes:
    """What the pixels say that have one class among their most probable ones.

    cells   (n,) rising, row by row; scores (n,) the probability of the class
    rank    (n,) 0 where the class is the most probable, 1 where it is the second, ...
    boxes   (n, 4) rows of (y0, x0, y1, x1), finite
    seeded  (n,) whether the pixel lies on the grid of seeds
    """

    cells: NDArray[np.int32]
    scores: NDArray[np.float32]
    rank: NDArray[np.int32]
    boxes: NDArray[np.float32]
    seeded: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """When boxes go together, and how many survive.

    iou          a box joins a survivor that it overlaps by this or more
    most         survivors
    least_score  of survivors: a vote of less makes none unless it lies on the grid of seeds
    frame        (y0, x0, y1, x1) where most centres of boxes lie
    """

    iou: float
    most: int
    least_score: float
    frame: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """Which survivor took each vote, -1 = none, (n,), and where the survivors stand in the votes.

    The survivors are in the order in which they were found.
    """

    owner: Places
    seeds: Places


def suppress(votes: Votes, *, below: int, rule: Rule) -> Taken:
    """Greedy suppression among the votes of a rank less than `below`.

    Votes on the grid of seeds come first, then the others; both by falling score, equal ones row by
    row. So every pixel joins the first seed of the grid that fits it, and what is left goes on by
    itself, until there are enough survivors, or no vote left has the least score.

    # Deviates: a coarse grid makes seeds of fewer pixels; the best pixel of an instance may not
    # be one of them. What is left when there are enough survivors belongs to no instance.
    """
    owner = np.full(len(votes.cells), -1, np.int32)
    kept = np.empty((min(rule.most, len(owner)), 5), np.float32)
    seeds = np.empty(len(kept), np.int32)
    found = (votes.boxes, votes.scores, kept, seeds, owner)
    first = _by_score(votes, np.flatnonzero(votes.seeded & (votes.rank < below)))
    reach, plane = _reach(rule.iou), _plane(rule.frame)
    count, heads, links = _greedy(*found, first, 0, rule.iou, reach, plane, -np.inf)
    left = np.empty(len(owner), np.int32)
    more = _join(votes.boxes, kept, owner, votes.rank, below, rule.iou, plane, heads, links, left)
    if more and count < len(seeds):
        last = _by_score(votes, left[:more])
        count, *_ = _greedy(*found, last, count, rule.iou, reach, plane, rule.least_score)
    return Taken(owner, seeds[:count])


def _by_score(votes: Votes, places: NDArray[np.integer]) -> Places:
    """Places in the votes (rising), best first, equal ones in order."""
    bits = (votes.scores[places] + _NOUGHT).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    # One number holds both, for sorting numbers is many times as fast as sorting stably.
    keys = np.sort((-rising << 32) + places)
    return (keys & 0xFFFFFFFF).astype(np.int32)


def _reach(iou: float) -> float:
    """How far, in its own sizes, the centre of a box may lie from another's that it overlaps.

    With sides a and b of both along an axis, the part they share is at least iou * max(a, b), so
    that the centres are at most (a + b) / 2 - iou * max(a, b) apart, and b is at most a / iou.
    """
    return max(1 - iou, (1 - iou) / (2 * iou)) * (1 + _SLACK) + _SLACK


def _plane(frame: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Origin (y, x) of the tiles, and tiles a pixel along both axes."""
    y0, x0, y1, x1 = frame
    return np.array([y0, x0, _TILES / max(y1 - y0, 1), _TILES / max(x1 - x0, 1)])


@compiled
def _tile(at: float, origin: float, density: float) -> np.int64:
    """Row or column of the tile; the outer tiles reach on without end."""
    place = (at - origin) * density
    return np.int64(min(max(place, 0.0), _TILES - 1.0))


@compiled
def _taker(
    boxes: NDArray[np.float32],
    place: int,
    kept: NDArray[np.float32],
    iou: np.float32,
    plane: NDArray[np.float64],
    heads: Places,
    links: Places,
) -> int:
    """The first survivor that overlaps a box enough, or -1."""
    y0, x0, y1, x1 = boxes[place, 0], boxes[place, 1], boxes[place, 2], boxes[place, 3]
    row = _tile((np.float64(y0) + y1) / 2, plane[0], plane[2])
    column = _tile((np.float64(x0) + x1) / 2, plane[1], plane[3])
    area, link = (y1 - y0) * (x1 - x0), heads[row * _TILES + column, 0]
    while link >= 0:
        other = links[link, 0]
        high = min(y1, kept[other, 2]) - max(y0, kept[other, 0])
        wide = min(x1, kept[other, 3]) - max(x0, kept[other, 1])
        shared = max(high, _NOUGHT) * max(wide, _NOUGHT)
        union = area + kept[other, 4] - shared
        if union > 0 and shared / union >= iou:
            return int(other)
        link = links[link, 1]
    return -1


@compiled
def _enter(
    kept: NDArray[np.float32],
    survivor: int,
    reach: float,
    plane: NDArray[np.float64],
    heads: Places,
    links: Places,
    used: int,
) -> tuple[Places, int]:
    """Puts a survivor last in the lists of all tiles that it reaches."""
    first, last = np.empty(2, np.int64), np.empty(2, np.int64)
    for axis in range(2):
        low, high = np.float64(kept[survivor, axis]), np.float64(kept[survivor, axis + 2])
        middle, far = (low + high) / 2, (high - low) * reach
        first[axis] = _tile(middle - far, plane[axis], plane[axis + 2])
        last[axis] = _tile(middle + far, plane[axis], plane[axis + 2])
    if used + (last[0] - first[0] + 1) * (last[1] - first[1] + 1) > links.shape[0]:
        more = np.empty((2 * links.shape[0] + _TILES * _TILES, 2), np.int32)
        for link in range(used):
            more[link, 0], more[link, 1] = links[link, 0], links[link, 1]
        links = more
    for row in range(first[0], last[0] + 1):
        for tile in range(row * _TILES + first[1], row * _TILES + last[1] + 1):
            links[used, 0], links[used, 1] = survivor, -1
            if heads[tile, 0] < 0:
                heads[tile, 0] = used
            else:
                links[heads[tile, 1], 1] = used
            heads[tile, 1] = used
            used += 1
    return links, used


@compiled
def _greedy(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    kept: NDArray[np.float32],
    seeds: Places,
    owner: Places,
    order: Places,
    count: int,
    iou: float,
    reach: float,
    plane: NDArray[np.float64],
    least: float,
) -> tuple[int, Places, Places]:
    """Takes votes in order: each joins a new survivor, or becomes one; how many there are then.

    Gives the lists too: `heads` (tiles, 2), the first and last link of each tile; `links` (n, 2),
    the survivor of each and the next link; -1 = none.
    """
    heads = np.full((_TILES * _TILES, 2), -1, np.int32)
    links, used = np.empty((_TILES * _TILES, 2), np.int32), 0
    for place in order:
        taker = _taker(boxes, place, kept, np.float32(iou), plane, heads, links)
        if taker < 0 and count < len(seeds) and scores[place] >= least:
            taker, seeds[count] = count, place
            for side in range(4):
                kept[count, side] = boxes[place, side]
            high, wide = kept[count, 2] - kept[count, 0], kept[count, 3] - kept[count, 1]
            kept[count, 4] = high * wide
            links, used = _enter(kept, count, reach, plane, heads, links, used)
            count += 1
        owner[place] = taker
    return count, heads, links


@compiled
def _join(
    boxes: NDArray[np.float32],
    kept: NDArray[np.float32],
    owner: Places,
    rank: NDArray[np.int32],
    below: int,
    iou: float,
    plane: NDArray[np.float64],
    heads: Places,
    links: Places,
    left: Places,
) -> int:
    """Gives each free vote to the first survivor that fits; how many are `left`."""
    count = 0
    for place in range(owner.size):
        if rank[place] < below and owner[place] < 0:
            owner[place] = _taker(boxes, place, kept, np.float32(iou), plane, heads, links)
            left[count] = place
            count += owner[place] < 0
    return count
