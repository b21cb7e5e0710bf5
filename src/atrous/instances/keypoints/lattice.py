"""The grid of the decoding and the coarser one of the maps, for kernels.

Maps are cell-major, flat: the channels of one cell stand together. Bilinear samples of a map that
was upsampled to a nested grid equal samples of the map itself, so that no map is ever upsampled.
Positions are in cells of the maps unless a name says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import lean
from atrous.types import FloatMap

_ZERO, _ONE, _NEXT = np.float32(0), np.float32(1), np.uint64(1)


class Lattice(NamedTuple):
    """Both grids; numbers only, so that kernels may hand it on at no cost.

    height, width   of the decoding's grid, of which a cell is `stride` pixels
    rows, columns   of the maps
    ratio           cells of the decoding in one cell of the maps, along a side
    last_y, last_x  the last row and column of the decoding
    per_row         one over `columns`: to multiply is quicker than to divide
    """

    height: int
    width: int
    rows: int
    columns: int
    ratio: int
    stride: int
    last_y: float
    last_x: float
    per_row: float


def lattice(
    size_hw: tuple[int, int], maps_hw: tuple[int, int], *, stride: int, map_stride: int
) -> Lattice:
    """The grids of a decoding of size `size_hw` from maps of size `maps_hw`.

    Raises: ValueError if the grids are not nested, or the maps too small.
    """
    if map_stride % stride:
        raise ValueError(f"maps of stride {map_stride} have no grid of stride {stride} inside")
    ratio = map_stride // stride
    if any(-(-(n - 1) // ratio) >= m for n, m in zip(size_hw, maps_hw, strict=True)):
        raise ValueError(
            f"maps of {maps_hw} cells of stride {map_stride} do not reach over {size_hw} cells of"
            f" stride {stride}"
        )
    last_y, last_x = ((n - 1) / ratio for n in size_hw)
    return Lattice(*size_hw, *maps_hw, ratio, stride, last_y, last_x, 1 / maps_hw[1])


@lean
def itself(grid: Lattice) -> Lattice:
    """The maps as a decoding of their own: a cell of it is one of theirs."""
    rows, columns, stride = grid.rows, grid.columns, grid.ratio * grid.stride
    last = float(rows - 1), float(columns - 1)
    return Lattice(rows, columns, rows, columns, 1, stride, *last, grid.per_row)


@lean
def place_of(grid: Lattice, cell: int) -> tuple[int, int]:
    """Row and column of a cell of the maps, counted row by row."""
    row = int((cell + 0.5) * grid.per_row)
    return row, cell - row * grid.columns


def flat(values: FloatMap) -> NDArray[np.float32]:
    """A map (..., h, w) cell-major and flat; free where its channels stand together already."""
    planes = values.reshape(-1, *values.shape[-2:]).transpose(1, 2, 0)
    return np.ascontiguousarray(planes, dtype=np.float32).reshape(-1)


@lean
def between(left: np.float32, right: np.float32, along: np.float32) -> np.float32:
    """A value between two; at the left one it does not matter what the right one is."""
    return left if along == _ZERO else left * (_ONE - along) + right * along


@lean
def blended(
    field: NDArray[np.float32],
    at: np.uint64,
    near: np.uint64,
    line: np.uint64,
    part: tuple[np.float32, np.float32],
) -> np.float32:
    """A field between four cells; what has no part in it may be no number."""
    upper = between(field[at], field[at + near], part[1])
    return between(upper, between(field[at + line], field[at + line + near], part[1]), part[0])


@lean
def sampled(
    field: NDArray[np.float32], grid: Lattice, channels: int, channel: int, y: float, x: float
) -> np.float32:
    """The bilinear sample of a channel; outside of the decoding's grid, that on its border."""
    at, near, line, part = _corner(grid, channels, channel, y, x)
    return blended(field, at, near, line, part)


@lean
def sampled_pair(
    field: NDArray[np.float32], grid: Lattice, channels: int, channel: int, y: float, x: float
) -> tuple[np.float32, np.float32]:
    """As `sampled`, of a channel and the next one."""
    at, near, line, part = _corner(grid, channels, channel, y, x)
    return blended(field, at, near, line, part), blended(field, at + _NEXT, near, line, part)


@lean
def _corner(
    grid: Lattice, channels: int, channel: int, y: float, x: float
) -> tuple[np.uint64, np.uint64, np.uint64, tuple[np.float32, np.float32]]:
    """The first of the four cells around a place, the steps along and down, and how far it is."""
    y, x = (y if y > 0.0 else 0.0), (x if x > 0.0 else 0.0)  # so for what is no number, too
    y, x = min(y, grid.last_y), min(x, grid.last_x)
    i, j = min(int(y), grid.rows - 1), min(int(x), grid.columns - 1)
    near = np.uint64(channels if j + 1 < grid.columns else 0)
    line = np.uint64(grid.columns * channels if i + 1 < grid.rows else 0)
    at = np.uint64((i * grid.columns + j) * channels + channel)
    return at, near, line, (np.float32(y - i), np.float32(x - j))


@lean
def known(value: np.float32) -> np.float32:
    """The value, or 0 if it is no finite number: an offset that says nothing moves nothing."""
    return value if value - value == _ZERO else _ZERO


@lean
def ends(
    field: NDArray[np.float32], at: np.uint64, near: np.uint64, line: np.uint64, part: np.float32
) -> tuple[np.float32, np.float32]:
    """A channel at the left and the right end of a piece of a row."""
    if part == _ZERO:  # then it does not matter what stands below, be it no number
        return field[at], field[at + near]
    rest = _ONE - part
    left = field[at] * rest + field[at + line] * part
    return left, field[at + near] * rest + field[at + near + line] * part


@lean
def plane(
    field: NDArray[np.float32], at: np.uint64, line: np.uint64, near: np.uint64, scale: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """A channel between four cells as value, slope down, slope along, and twist."""
    a, b = field[at] * scale, field[at + near] * scale
    c, d = field[at + line] * scale, field[at + line + near] * scale
    return a, c - a, b - a, (d - c) - (b - a)
