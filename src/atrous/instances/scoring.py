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

from atrous.compiled import compiled
from atrous.instances.lattice import Lattice, known, sampled
from atrous.instances.tiles import ROW, SHORT, SIDE, TILE, Tiles

LEAST_SIDE_PX = 32.0
_ONE, _ZERO = np.float32(1), np.float32(0)


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


@compiled
def step(seen: Evidence, grid: Lattice, edge: int, y: float, x: float) -> tuple[float, float]:
    """Where the refined middle offset of an edge leads from a point.

    Offsets are refined at the four cells around the point only, and then sampled.
    """
    row = min(max(y / grid.stride, 0.0), grid.height - 1.0)
    column = min(max(x / grid.stride, 0.0), grid.width - 1.0)
    i, j = min(int(row), max(grid.height - 2, 0)), min(int(column), max(grid.width - 2, 0))
    part, along = np.float32(row - i), np.float32(column - j)
    down, right = min(i + 1, grid.height - 1), min(j + 1, grid.width - 1)
    ay, ax = _refined(seen, grid, edge, i, j)
    by, bx = _refined(seen, grid, edge, i, right)
    cy, cx = _refined(seen, grid, edge, down, j)
    dy, dx = _refined(seen, grid, edge, down, right)
    top_y, top_x = ay * (_ONE - along) + by * along, ax * (_ONE - along) + bx * along
    low_y, low_x = cy * (_ONE - along) + dy * along, cx * (_ONE - along) + dx * along
    down_px = float(known(top_y * (_ONE - part) + low_y * part))
    return y + down_px, x + float(known(top_x * (_ONE - part) + low_x * part))


@compiled
def _refined(
    seen: Evidence, grid: Lattice, edge: int, i: int, j: int
) -> tuple[np.float32, np.float32]:
    """The refined middle offset at a cell of the decoding."""
    row, column, links = i / grid.ratio, j / grid.ratio, len(seen.edges)
    down = known(sampled(seen.middle, grid, 2 * links, 2 * edge, row, column))
    right = known(sampled(seen.middle, grid, 2 * links, 2 * edge + 1, row, column))
    goal = 2 * seen.edges[edge, 1]
    for _ in range(seen.steps):
        y, x = row + float(down) * seen.inverse, column + float(right) * seen.inverse
        down += known(sampled(seen.short, grid, 2 * seen.kinds, goal, y, x))
        right += known(sampled(seen.short, grid, 2 * seen.kinds, goal + 1, y, x))
    return down, right


@compiled
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


@compiled
def score(
    seen: Evidence,
    grid: Lattice,
    votes: Tiles,
    kind: int,
    y: float,
    x: float,
    room: NDArray[np.float64],
) -> float:
    """Expected-OKS of a keypoint, in [0, 1].

    room  (2, n) for the columns of a disk and two more; it is written over
    """
    reach, pace = seen.radius_px / grid.stride, float(grid.stride)
    top, left = max(int(np.floor(y / pace - reach)), 0), max(int(np.floor(x / pace - reach)), 0)
    bottom = min(int(np.ceil(y / pace + reach)) + 1, grid.height)
    right = min(int(np.ceil(x / pace + reach)) + 1, grid.width)
    if top >= bottom or left >= right:
        return 0.0
    sharpness = -1 / (2 * _area(seen, grid, kind, y, x) * seen.kappa**2)
    for j in range(left, right):
        room[0, j - left] = (j * pace - x) ** 2
        room[1, j - left] = np.exp(room[0, j - left] * sharpness)
    total, expected = 0.0, 0.0
    for across in range((left + 1) >> 4, (right >> 4) + 1):
        for down in range((top + 1) >> 4, (bottom >> 4) + 1):
            number = votes.number[(kind * votes.down + down) * votes.across + across]
            if number >= 0:
                start = int(number) * TILE + SHORT + 1 - across * SIDE
                rows = max(top, down * SIDE - 1), min(bottom, (down + 1) * SIDE - 1)
                columns = max(left, across * SIDE - 1), min(right, (across + 1) * SIDE - 1)
                disk = y, pace, sharpness, seen.radius_px**2
                sums = _in_tile(votes.pool, start, rows, columns, left, disk, room)
                total, expected = total + sums[0], expected + sums[1]
    if total <= 0:
        return 0.0
    at = y / pace / grid.ratio, x / pace / grid.ratio
    sure = known(sampled(seen.heat, grid, seen.kinds, kind, at[0], at[1]))
    return float(sure) * expected / total


@compiled
def _in_tile(
    pool: NDArray[np.float32],
    start: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
    left: int,
    disk: tuple[float, float, float, float],
    room: NDArray[np.float64],
) -> tuple[float, float]:
    """Votes of a tile's cells in a disk, and the same weighted by how near they are.

    disk  y, pixels of a cell, what squared distances are weighted by, and the largest of these
    """
    y, pace, sharpness, most = disk
    total, expected = 0.0, 0.0
    for i in range(rows[0], rows[1]):
        down, line = (i * pace - y) ** 2, start + ((i + 1) & 15) * ROW
        all_votes, weighted = 0.0, 0.0
        for j in range(columns[0], columns[1]):
            height = float(pool[np.uint64(line + j)])
            height = height if room[0, j - left] <= most - down else 0.0
            all_votes += height
            weighted += height * room[1, j - left]
        if all_votes > 0:
            total, expected = total + all_votes, expected + weighted * np.exp(down * sharpness)
    return total, expected
