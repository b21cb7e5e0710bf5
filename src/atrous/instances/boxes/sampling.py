"""A map, and where the pixels of a finer grid lie in it.

Maps of a network are coarse; instances are made of pixels. What is needed of a map is sampled where
it is needed, so that maps as large as an image never exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.types import FloatMap


class Axis(NamedTuple):
    """Two cells for each of the n positions along an axis, and the second one's share, in [0, 1).

    The second is the first where its share is 0: it does not matter then what stands beyond it.
    """

    low: NDArray[np.uint32]
    high: NDArray[np.uint32]
    share: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A map that is sampled bilinearly on a grid of pixels.

    values         (c, h, w)
    rows, columns  (H,) and (W,) where the pixels lie, in cells; beyond the map its border counts

    Raises: ValueError if the map has no cell, or a position is not finite.
    """

    values: FloatMap
    rows: NDArray[np.floating[Any]]
    columns: NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or not all(self.values.shape[1:]):
            raise ValueError(f"a map of {self.values.shape}: give (c, h, w), of one cell or more")
        for name in ("rows", "columns"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} are not all finite: give positions in cells of the map")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Size of the grid of pixels."""
        return len(self.rows), len(self.columns)

    @property
    def positions(self) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Rows and columns."""
        return self.rows, self.columns

    def axes(self) -> tuple[Axis, Axis]:
        """Along rows and columns."""
        height, width = self.values.shape[1:]
        return _axis(self.rows, height), _axis(self.columns, width)


def every_pixel(values: FloatMap, *, stride: float, size_hw: tuple[int, int]) -> Sampled:
    """A map whose cell (i, j) lies on pixel (stride * i, stride * j), for all pixels of a size."""
    rows, columns = (np.arange(n, dtype=np.float32) / np.float32(stride) for n in size_hw)
    return Sampled(values, rows, columns)


def as_it_is(values: FloatMap) -> Sampled:
    """A map of which each cell is a pixel."""
    return every_pixel(values, stride=1, size_hw=(values.shape[1], values.shape[2]))


def _axis(at: NDArray[np.floating[Any]], size: int) -> Axis:
    at = np.clip(np.asarray(at, dtype=np.float32), 0, size - 1)
    low = np.floor(at)
    share = at - low
    return Axis(low.astype(np.uint32), (low + (share > 0)).astype(np.uint32), share)
