"""Keypoint candidates, and greedy grouping of them along the graph.

Positions are (y, x) in pixels unless a name says cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints import peaks
from atrous.instances.keypoints.hough import Tiles
from atrous.instances.keypoints.lattice import Lattice
from atrous.instances.keypoints.scoring import LEAST_SIDE_PX as LEAST_SIDE_PX
from atrous.instances.keypoints.scoring import Disk, Evidence, disk, score, step


@dataclass(frozen=True, slots=True)
class Candidates:
    """Possible keypoints: `kinds` (n,) their type, `points` (n, 2) their place in pixels."""

    kinds: NDArray[np.int64]
    points: NDArray[np.float64]


def candidates(votes: Tiles, *, threshold: float, most: int, stride: int) -> Candidates:
    """Local maxima of the Hough maps, at most `most` of a type, highest first.

    Maxima of one type and height follow each other in row-major order.

    # Deviates: a maximum is moved to the mean of its neighbourhood's votes, so that a keypoint is
    # not tied to the grid.
    """
    found, heights = _peaks(votes, threshold, 4096)
    order = np.lexsort((found[:, 2], found[:, 1], -heights, found[:, 0]))
    kinds = found[order, 0]
    rank = np.arange(len(kinds)) - np.searchsorted(kinds, kinds)
    kept = np.ascontiguousarray(found[order[rank < most]])
    places = np.empty((len(kept), 2))
    peaks.centroids(votes, kept, places)
    return Candidates(np.ascontiguousarray(kept[:, 0]), places * stride)


def _peaks(
    votes: Tiles, threshold: float, room: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """All peaks, for which room is made."""
    found, heights = np.empty((room, 3), np.int64), np.empty(room, np.float32)
    count = peaks.find(votes, threshold, found, heights)
    if count > room:
        return _peaks(votes, threshold, count)
    return found[:count], heights[:count]


def group(
    found: Candidates, seen: Evidence, grid: Lattice, votes: Tiles, *, proximity_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Instances (n, kinds, 2) and their mean keypoint scores (n,), in the order of their making.

    The best candidate of any type starts an instance, unless it is near a keypoint of its type that
    an instance has; the others follow along the graph.

    # Deviates: a candidate of score 0, which no heat supports, starts no instance. Without this,
    # long-range votes alone could make one.

    Source: DeeperLab, section 3.3 (greedy, all types in one queue).
    """
    room = disk(seen.radius_px, grid.stride)
    scores = np.empty(len(found.kinds))
    _score_all(found.kinds, found.points, seen, grid, votes, room, scores)
    order = np.argsort(-scores, kind="stable")
    order = order[: np.count_nonzero(scores > 0)]
    points, means = np.empty((len(order), seen.kinds, 2)), np.empty(len(order))
    count = _group(
        *(found.kinds, found.points, scores, order, seen, grid, votes, room, proximity_px),
        *(points, means),
    )
    return points[:count], means[:count]


@lean
def _score_all(
    kinds: NDArray[np.int64],
    points: NDArray[np.float64],
    seen: Evidence,
    grid: Lattice,
    votes: Tiles,
    room: Disk,
    scores: NDArray[np.float64],
) -> None:
    for n in range(kinds.size):
        scores[n] = score(seen, grid, votes, kinds[n], points[n, 0], points[n, 1], room)


@compiled
def _group(
    kinds: NDArray[np.int64],
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    order: NDArray[np.int64],
    seen: Evidence,
    grid: Lattice,
    votes: Tiles,
    room: Disk,
    proximity_px: float,
    taken: NDArray[np.float64],
    means: NDArray[np.float64],
) -> int:
    """`group` on ordered candidates. Keypoints lie in a coarse net, so that few are compared."""
    side, count = max(proximity_px, 8.0), 0
    down, across = (
        int(grid.height * grid.stride / side) + 1,
        int(grid.width * grid.stride / side) + 1,
    )
    net = np.full((seen.kinds, down, across), -1, np.int32)
    onward = np.empty((seen.kinds, len(order)), np.int32)
    for n in order:
        kind, y, x = kinds[n], points[n, 0], points[n, 1]
        if _is_taken(net, onward, taken, kind, y, x, side, proximity_px):
            continue
        _complete(seen, grid, kind, y, x, taken[count])
        total = 0.0
        for k in range(seen.kinds):
            y, x = taken[count, k, 0], taken[count, k, 1]
            total += scores[n] if k == kind else score(seen, grid, votes, k, y, x, room)
            i, j = _knot(net, y, x, side)
            onward[k, count], net[k, i, j] = net[k, i, j], count
        means[count] = total / seen.kinds
        count += 1
    return count


@lean
def _knot(net: NDArray[np.int32], y: float, x: float, side: float) -> tuple[int, int]:
    """Where a point lies in the net; all outside belongs to its border."""
    i = int(min(max(y / side, 0.0), net.shape[1] - 1.0))
    return i, int(min(max(x / side, 0.0), net.shape[2] - 1.0))


@lean
def _is_taken(
    net: NDArray[np.int32],
    onward: NDArray[np.int32],
    taken: NDArray[np.float64],
    kind: int,
    y: float,
    x: float,
    side: float,
    proximity_px: float,
) -> bool:
    """Whether an instance has a keypoint of this type near a point."""
    i, j = _knot(net, y, x, side)
    for row in range(max(i - 1, 0), min(i + 2, net.shape[1])):
        for column in range(max(j - 1, 0), min(j + 2, net.shape[2])):
            n = net[kind, row, column]
            while n >= 0:
                down, right = taken[n, kind, 0] - y, taken[n, kind, 1] - x
                if np.sqrt(down * down + right * right) <= proximity_px:
                    return True
                n = onward[kind, n]
    return False


@compiled
def _complete(
    seen: Evidence, grid: Lattice, kind: int, y: float, x: float, points: NDArray[np.float64]
) -> None:
    """All keypoints of the instance that one of them belongs to, by the fewest edges to each."""
    rounds = np.full(seen.kinds, seen.kinds, np.int64)
    points[kind, 0], points[kind, 1], rounds[kind] = y, x, 0
    for far in range(1, seen.kinds):
        for edge in range(len(seen.edges)):
            source, goal = seen.edges[edge, 0], seen.edges[edge, 1]
            if rounds[source] == far - 1 and rounds[goal] >= seen.kinds:
                end = step(seen, grid, edge, points[source, 0], points[source, 1])
                points[goal, 0], points[goal, 1], rounds[goal] = end[0], end[1], far
