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
from atrous.instances.keypoints.hough import ROW, SHORT, SIDE, TILE, Tiles
from atrous.instances.keypoints.lattice import Lattice, itself, known, sampled

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


@compiled
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


@compiled
def _refined(
    seen: Evidence, grid: Lattice, edge: int, i: int, j: int
) -> tuple[np.float32, np.float32]:
    """The refined middle offset at a cell of the maps."""
    at = (i * grid.columns + j) * 2 * len(seen.edges) + 2 * edge
    down, right = known(seen.middle[at]), known(seen.middle[at + 1])
    goal, maps = 2 * seen.edges[edge, 1], itself(grid)
    for _ in range(seen.steps):
        y, x = i + float(down) * seen.inverse, j + float(right) * seen.inverse
        down += known(sampled(seen.short, maps, 2 * seen.kinds, goal, y, x))
        right += known(sampled(seen.short, maps, 2 * seen.kinds, goal + 1, y, x))
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

    room  (2, `SIDE`) for the columns of a tile; it is written over
    """
    reach, pace = seen.radius_px / grid.stride, float(grid.stride)
    top, left = max(int(np.floor(y / pace - reach)), 0), max(int(np.floor(x / pace - reach)), 0)
    bottom = min(int(np.ceil(y / pace + reach)) + 1, grid.height)
    right = min(int(np.ceil(x / pace + reach)) + 1, grid.width)
    if top >= bottom or left >= right:
        return 0.0
    total, expected = 0.0, 0.0
    disk = y, x, pace, -1 / (2 * _area(seen, grid, kind, y, x) * seen.kappa**2), seen.radius_px**2
    for across in range((left + 1) >> 4, (right >> 4) + 1):
        for down in range((top + 1) >> 4, (bottom >> 4) + 1):
            number = votes.number[(kind * votes.down + down) * votes.across + across]
            if number >= 0:
                filled = votes.extent[number]
                up, behind = down * SIDE - 1, across * SIDE - 1
                rows = max(top, up), min(bottom, up + SIDE), int(filled[0])
                columns = max(left, behind + filled[1]), min(right, behind + filled[2])
                start = int(number) * TILE + SHORT - behind
                sums = _in_tile(votes.pool, start, rows, columns, disk, room)
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
    rows: tuple[int, int, int],
    columns: tuple[int, int],
    disk: tuple[float, float, float, float, float],
    room: NDArray[np.float64],
) -> tuple[float, float]:
    """Votes of a tile's cells in a disk, and the same weighted by how near they are.

    rows  the first and the one behind the last, and bits of those of the tile that hold votes
    disk  y, x, pixels of a cell, what squared distances are weighted by, and the largest of these
    """
    y, x, pace, sharpness, most = disk
    total, expected = 0.0, 0.0
    if rows[2]:
        for j in range(columns[0], columns[1]):
            room[0, j - columns[0]] = (j * pace - x) ** 2
            room[1, j - columns[0]] = np.exp(room[0, j - columns[0]] * sharpness)
    for i in range(rows[0], rows[1]):
        if rows[2] >> ((i + 1) & 15) & 1 == 0:
            continue
        down, line = (i * pace - y) ** 2, start + ((i + 1) & 15) * ROW
        all_votes, weighted = 0.0, 0.0
        for j in range(columns[0], columns[1]):
            height = float(pool[np.uint64(line + j)])
            height = height if room[0, j - columns[0]] <= most - down else 0.0
            all_votes += height
            weighted += height * room[1, j - columns[0]]
        if all_votes > 0:
            total, expected = total + all_votes, expected + weighted * np.exp(down * sharpness)
    return total, expected
