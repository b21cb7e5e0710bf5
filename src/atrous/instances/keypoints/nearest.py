"""Which instance a cell belongs to: the one whose keypoints are nearest to where the cell points.

No cell is compared with all instances. One that is nearer to an instance than half the gap to that
one's nearest rival belongs to it, whatever else there is; the others look among those instances
whose mean keypoint is near enough.

Source: DeeperLab, section 3.3: least Euclidean distance over all keypoints at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean

MOST = 32
"""Goals that are searched together: many, so that vectors are whole; few, so that they are near."""
_HALF_SQUARED, _SLACK = np.float32(0.2499), np.float32(0.9999)
_LANES, _NEXT = np.uint64(MOST), np.uint64(1)
_ZERO, _FAR, _INF = np.float32(0), np.float32(1e15), np.float32(np.inf)


def room_for(cells: int) -> int:
    """How many goals there must be room for, so that they can be searched `MOST` at a time."""
    return -(-cells // MOST) * MOST


class Rivals(NamedTuple):
    """Instances, ready to be searched.

    keypoints  (n, 2 * kinds) y and x, in the unit of the goals
    order      (n,) instances from top to bottom of their mean keypoints
    means      (n, 2) these means times the root of `kinds`, in that order: a difference of them is
               never longer than that of all keypoints
    reach      (n,) squared distance within which an instance has no rival
    """

    keypoints: NDArray[np.float32]
    order: NDArray[np.int64]
    means: NDArray[np.float32]
    reach: NDArray[np.float32]


def rivals(points: NDArray[np.float64], *, unit: float) -> Rivals:
    """Instances (n, kinds, 2), in pixels, to be searched in units of `unit` pixels."""
    keypoints = (points / unit).reshape(len(points), 2 * points.shape[1]).astype(np.float32)
    means = (points / unit).sum(axis=1) / np.sqrt(points.shape[1])
    order = np.argsort(means[:, 0], kind="stable")
    ready = Rivals(
        np.ascontiguousarray(keypoints),
        order,
        np.ascontiguousarray(means[order], np.float32),
        np.empty(len(points), np.float32),
    )
    _measure(ready)
    return ready


@lean
def _measure(among: Rivals) -> None:
    """Fills in the reach of each: a quarter of the squared gap to its nearest rival."""
    for n in range(len(among.order)):
        _, least = nearest(among, among.keypoints[n], n, -1, _INF)
        among.reach[n] = least * _HALF_SQUARED


@lean
def nearest(
    among: Rivals, goal: NDArray[np.float32], but: int, best: int, least: np.float32
) -> tuple[int, np.float32]:
    """The instance nearest to a goal (2 * kinds,), and its squared distance.

    but          an instance that does not count, or -1
    best, least  the nearest one known so far, or -1 and infinity; of equal ones the first counts
    """
    y, x, root = _ZERO, _ZERO, np.float32(1 / np.sqrt(goal.size // 2))
    for kind in range(goal.size // 2):
        y, x = y + goal[2 * kind] * root, x + goal[2 * kind + 1] * root
    means, order, keypoints = among.means, among.order, among.keypoints
    low, high = 0, order.size
    while low < high:
        middle = (low + high) >> 1
        low, high = (middle + 1, high) if means[middle, 0] < y else (low, middle)
    up, down = low, low - 1
    while up < order.size or down >= 0:
        rise = means[up, 0] - y if up < order.size else _INF
        fall = y - means[down, 0] if down >= 0 else _INF
        gap = rise if rise < fall else fall
        if gap * gap * _SLACK > least:
            break
        at, up, down = (up, up + 1, down) if rise < fall else (down, up, down - 1)
        aside, n = means[at, 1] - x, order[at]
        if (gap * gap + aside * aside) * _SLACK <= least and n != but:
            total = _ZERO
            for m in range(goal.size):
                total += (goal[m] - keypoints[n, m]) * (goal[m] - keypoints[n, m])
            if total < least or (total == least and n < best):
                best, least = n, total
    return best, least


@compiled
def assign(
    goals: NDArray[np.float32],
    cells: NDArray[np.int64],
    among: Rivals,
    index: NDArray[np.int32],
    is_sure: NDArray[np.uint8],
) -> None:
    """Fills in the index of `cells` (n,) among all, -1 for those that point nowhere.

    goals    (2 * kinds, `room_for(n)`)
    is_sure  filled in with 1 for cells that are within the reach of their instance: what points to
             a place between the goals of such cells of one instance belongs to it too
    """
    room, last = searching(goals.shape[0]), 0
    for first in range(0, cells.size, MOST):
        count = min(MOST, cells.size - first)
        last = search(goals, np.uint64(first), count, among, last, room)
        for n in range(count):
            cell = cells[first + n]
            index[cell], is_sure[cell] = room.owners[n], room.is_sure[n]


class Search(NamedTuple):
    """Room for the search of up to `MOST` goals, and what is found."""

    owners: NDArray[np.int32]
    is_sure: NDArray[np.uint8]
    squares: NDArray[np.float32]
    goal: NDArray[np.float32]


@compiled
def searching(channels: int) -> Search:
    """Room for goals of `channels` numbers."""
    return Search(
        np.empty(MOST, np.int32),
        np.empty(MOST, np.uint8),
        np.empty(MOST, np.float32),
        np.empty(channels, np.float32),
    )


@lean
def search(
    goals: NDArray[np.float32], at: np.uint64, count: int, among: Rivals, last: int, room: Search
) -> int:
    """Finds the owners of `count` goals that stand side by side; the last one that was found.

    last  an instance that is likely the owner
    """
    keypoints, reach, squares, goal = among.keypoints, among.reach, room.squares, room.goal
    m, measured = 0, -1
    room.owners[:], room.is_sure[:] = -1, 0
    while m < count and reach.size:
        if measured != last:
            _measure_all(goals, at, keypoints, last, squares)
            measured = last
        while m < count and squares[m] < reach[last]:
            room.owners[m], room.is_sure[m] = last, 1
            m += 1
        if m < count:
            total, least = _ZERO, squares[m]
            for channel in range(goal.size):
                goal[channel] = goals[channel, at + np.uint64(m)]
                total += abs(goal[channel])
            if total < _FAR:
                last, least = nearest(among, goal, -1, last, least)
                room.owners[m], room.is_sure[m] = last, least < reach[last]
            m += 1
    return last


@lean
def _measure_all(
    goals: NDArray[np.float32],
    at: np.uint64,
    keypoints: NDArray[np.float32],
    n: int,
    squares: NDArray[np.float32],
) -> None:
    """Squared distances of goals that stand side by side from an instance."""
    flat, size, kinds = goals.reshape(-1), np.uint64(goals.shape[1]), np.uint64(goals.shape[0] // 2)
    for m in range(_LANES):
        squares[m] = _ZERO
    for kind in range(kinds):
        y, x = keypoints[n, kind + kind], keypoints[n, kind + kind + _NEXT]
        first = (kind + kind) * size + at
        for m in range(_LANES):
            down, right = flat[first + m] - y, flat[first + size + m] - x
            squares[m] += down * down + right * right
