"""Expected-OKS of keypoints, and the middle-range steps from one to another, as kernels.

s = p(y) * sum of H(z) exp(-|z - y|^2 / (2 area kappa^2)) over the cells z of the disk, with H the
short-range votes, normalised there, and the area that of the box which the middle offsets at y
predict. Positions are in pixels.

Source: PersonLab, section 3.1.3; DeeperLab, section 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import lean, summing
from atrous.instances.keypoints.hough import ROW, SHORT, SIDE, TILE, Tiles
from atrous.instances.keypoints.lattice import Lattice, itself, known, sampled, sampled_pair

LEAST_SIDE_PX = 32.0
_ONE = np.float32(1)


class Evidence(NamedTuple):
    """What keypoints are scored by; the maps are flat and cell-major.

    edges  (n, 2) pairs of keypoints; steps: how often short offsets refine the middle ones
    """

    heat: NDArray[np.float32]
    short: NDArray[np.float32]
    middle: NDArray[np.float32]
    edges: NDArray[np.int64]
    kinds: int
    steps: int
    inverse: float
    radius_px: float
    kappa: float


@lean
def step(seen: Evidence, grid: Lattice, edge: int, y: float, x: float) -> tuple[float, float]:
    """Where the refined middle offset of an edge leads from a point.

    Offsets are refined at the four cells of the maps around the point only, and then sampled.
    """
    pace = float(grid.stride * grid.ratio)
    row = min(max(y / pace, 0.0), grid.last_y)
    column = min(max(x / pace, 0.0), grid.last_x)
    i, j = min(int(row), max(grid.rows - 2, 0)), min(int(column), max(grid.columns - 2, 0))
    part, along = np.float32(row - i), np.float32(column - j)
    down, right = min(i + 1, grid.rows - 1), min(j + 1, grid.columns - 1)
    ay, ax = _refined(seen, grid, edge, i, j)
    by, bx = _refined(seen, grid, edge, i, right)
    cy, cx = _refined(seen, grid, edge, down, j)
    dy, dx = _refined(seen, grid, edge, down, right)
    top_y, top_x = ay * (_ONE - along) + by * along, ax * (_ONE - along) + bx * along
    low_y, low_x = cy * (_ONE - along) + dy * along, cx * (_ONE - along) + dx * along
    down_px = float(known(top_y * (_ONE - part) + low_y * part))
    return y + down_px, x + float(known(top_x * (_ONE - part) + low_x * part))


@lean
def _refined(
    seen: Evidence, grid: Lattice, edge: int, i: int, j: int
) -> tuple[np.float32, np.float32]:
    """The refined middle offset at a cell of the maps."""
    at = (i * grid.columns + j) * 2 * len(seen.edges) + 2 * edge
    down, right = known(seen.middle[at]), known(seen.middle[at + 1])
    goal, maps = 2 * seen.edges[edge, 1], itself(grid)
    for _ in range(seen.steps):
        y, x = i + float(down) * seen.inverse, j + float(right) * seen.inverse
        by = sampled_pair(seen.short, maps, 2 * seen.kinds, goal, y, x)
        down, right = down + known(by[0]), right + known(by[1])
    return down, right


@lean
def _area(seen: Evidence, grid: Lattice, kind: int, y: float, x: float) -> float:
    """Area of the box that the middle offsets predict, in square pixels, with a floor.

    Along one edge, a corner sees half of each side on its way to the centre; where there are
    more edges, their ends span the box.
    """
    low_y, low_x, high_y, high_x, ends = np.inf, np.inf, -np.inf, -np.inf, 0
    for edge in range(len(seen.edges)):
        if seen.edges[edge, 0] == kind:
            end_y, end_x = step(seen, grid, edge, y, x)
            low_y, low_x = min(low_y, end_y), min(low_x, end_x)
            high_y, high_x, ends = max(high_y, end_y), max(high_x, end_x), ends + 1
    area = (high_y - low_y) * (high_x - low_x)
    if ends == 1:
        area = 4 * abs(high_y - y) * abs(high_x - x)
    return max(area, LEAST_SIDE_PX**2)


class Disk(NamedTuple):
    """Room for the rows and the columns of a disk's cells: squared distances, and what they weigh.

    All are written over by each `score`.
    """

    down: NDArray[np.float64]
    down_weight: NDArray[np.float64]
    along: NDArray[np.float64]
    along_weight: NDArray[np.float64]


def disk(radius_px: float, stride: int) -> Disk:
    """Room for disks of a radius on a grid."""
    down, down_weight, along, along_weight = np.empty((4, 2 * int(radius_px / stride) + 5))
    return Disk(down, down_weight, along, along_weight)


@lean
def score(
    seen: Evidence, grid: Lattice, votes: Tiles, kind: int, y: float, x: float, room: Disk
) -> float:
    """Expected-OKS of a keypoint, in [0, 1]."""
    reach, pace = seen.radius_px / grid.stride, float(grid.stride)
    top, left = max(int(np.floor(y / pace - reach)), 0), max(int(np.floor(x / pace - reach)), 0)
    bottom = min(int(np.ceil(y / pace + reach)) + 1, grid.height)
    right = min(int(np.ceil(x / pace + reach)) + 1, grid.width)
    if top >= bottom or left >= right:
        return 0.0
    sharpness = 1 / (2 * _area(seen, grid, kind, y, x) * seen.kappa**2)
    _weigh(y, top, bottom, pace, sharpness, room.down, room.down_weight)
    _weigh(x, left, right, pace, sharpness, room.along, room.along_weight)
    total, expected, box = 0.0, 0.0, (top, left, bottom, right)
    for across in range((left + 1) >> 4, (right >> 4) + 1):
        for down in range((top + 1) >> 4, (bottom >> 4) + 1):
            sums = _in_tile(votes, kind, down, across, box, seen.radius_px**2, room)
            total, expected = total + sums[0], expected + sums[1]
    if total <= 0:
        return 0.0
    at_y, at_x = y / pace / grid.ratio, x / pace / grid.ratio
    sure = known(sampled(seen.heat, grid, seen.kinds, kind, at_y, at_x))
    return float(sure) * expected / total


@lean
def _in_tile(
    votes: Tiles,
    kind: int,
    down: int,
    across: int,
    box: tuple[int, int, int, int],
    most: float,
    room: Disk,
) -> tuple[float, float]:
    """Votes of a tile's cells in a disk, and the same weighted by how near they are.

    box   first row and column of the disk, and those behind the last
    most  the largest squared distance
    """
    total, expected = 0.0, 0.0
    number = int(votes.number[(kind * votes.down + down) * votes.across + across])
    up, behind = down * SIDE - 1, across * SIDE - 1
    if number >= 0 and votes.extent[number, 0]:
        first = max(box[1], behind + int(votes.extent[number, 1]))
        stop = min(box[3], behind + int(votes.extent[number, 2]))
        for i in range(max(box[0], up), min(box[2], up + SIDE)):
            if votes.extent[number, 0] >> (i - up) & 1:
                at = number * TILE + SHORT + (i - up) * ROW + first - behind
                least, free = first - box[1], most - room.down[i - box[0]]
                sums = _in_row(votes.pool, at, least, stop - box[1], free, room)
                total += sums[0]
                expected += sums[1] * room.down_weight[i - box[0]]
    return total, expected


@summing
def _in_row(
    pool: NDArray[np.float32], at: int, first: int, stop: int, most: float, room: Disk
) -> tuple[float, float]:
    """Votes from one in the pool on that are near enough, and the same weighted.

    They are those of columns `first` to `stop` of the disk.
    """
    total, expected = 0.0, 0.0
    for n in range(np.uint64(first), np.uint64(max(first, stop))):
        height = float(pool[np.uint64(at) + n - np.uint64(first)])
        height = height if room.along[n] <= most else 0.0
        total += height
        expected += height * room.along_weight[n]
    return total, expected


@lean
def _weigh(
    place: float,
    first: int,
    stop: int,
    pace: float,
    sharpness: float,
    squares: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None:
    """Squared distances of cells along a side from a place, and exp(-sharpness * square) of each.

    That of a cell is that of its neighbour times a factor, which shrinks by one factor from cell
    to cell: so outwards from the cell that is nearest.
    """
    for n in range(np.uint64(stop - first)):
        squares[n] = (np.float64(np.int64(n) + first) * pace - place) ** 2
    nearest = min(max(int(place / pace + 0.5), first), stop - 1)
    shrink, off = np.exp(-2 * pace * pace * sharpness), nearest * pace - place
    weights[nearest - first] = np.exp(-off * off * sharpness)
    for way in (-1, 1):
        weight = weights[nearest - first]
        step = np.exp(-(pace + 2 * way * off) * pace * sharpness)
        n = nearest + way
        while first <= n < stop:
            weight *= step
            step *= shrink
            weights[n - first] = weight
            n += way
