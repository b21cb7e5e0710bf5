"""Votes on the grids of a batch of images in torch: what `hough` does, on the device of the maps.

Shapes depend on shapes and numbers alone, so nothing here waits for the device. Positions are in
cells of the maps unless a name says otherwise. Samples of a map upsampled to a nested grid equal
those of the map itself, so no map is upsampled whole.

What is added up by many threads at once is added as integers: sums of floats would depend on the
order of the threads, and so differ from run to run; sums of integers do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

BLOCK = 1 << 22
"""Numbers of a temporary tensor, more or less: memory is bounded, and kernels are long enough."""
UNIT = 2.0**32
"""Sums are counted in units of 1 / UNIT; they are exact up to 2**31, which no image reaches."""

At = tuple[Tensor, Tensor]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Grids:
    """The grid of the decoding, of `size_hw` cells, and that of the maps; strides in pixels."""

    size_hw: tuple[int, int]
    stride: int
    map_stride: int

    @property
    def step(self) -> float:
        """A cell of the decoding, in cells of the maps."""
        return self.stride / self.map_stride

    @property
    def last(self) -> tuple[float, float]:
        """Where the last row and column of the decoding lie in the maps."""
        return (self.size_hw[0] - 1) * self.step, (self.size_hw[1] - 1) * self.step

    def of_maps(self, maps: Tensor) -> Grids:
        """The grid of maps (..., h, w) as a decoding of their own."""
        return Grids((maps.shape[-2], maps.shape[-1]), self.map_stride, self.map_stride)

    def lines(self, rows: slice, device: torch.device) -> At:
        """Where some rows (m,) of the decoding and all its columns (w,) lie in the maps."""
        y = torch.arange(rows.start, rows.stop, device=device, dtype=torch.float32)
        x = torch.arange(self.size_hw[1], device=device, dtype=torch.float32)
        return y * self.step, x * self.step

    def stripes(self, planes: int) -> Iterator[slice]:
        """Rows of the decoding that make up a block of that many planes."""
        return blocks(self.size_hw[0], 4 * planes * self.size_hw[1])


def blocks(length: int, each: int) -> Iterator[slice]:
    """Slices that cover a length, of about `BLOCK` numbers if one of it takes `each`."""
    step = max(1, BLOCK // max(1, each))
    for first in range(0, length, step):
        yield slice(first, min(length, first + step))


def columns(points: Float64[Tensor, "*n 2"]) -> At:
    """Rows and columns of points."""
    return points[..., 0], points[..., 1]


def ends(at: Tensor, size: int, last: float) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis of a map, the cell below a position, the next, and the share of that.

    Positions outside are moved to the border, those that are no numbers to the first cell.
    """
    at = at.nan_to_num(0.0).clamp(0, min(size - 1, last))
    low = at.long()
    share = (at - low).float()
    return low, low + (share > 0), share  # a next cell without a share may be no number


def around(at: At, size_hw: tuple[int, int], last: tuple[float, float]) -> tuple[At, At]:
    """The four cells around positions, (4, ...) each, and the shares of the lower and the right."""
    i, below, down = ends(at[0], size_hw[0], last[0])
    j, right, along = ends(at[1], size_hw[1], last[1])
    four = torch.stack([i, i, below, below]), torch.stack([j, right, j, right])
    return four, (down, along)


def pick(
    values: Float32[Tensor, "planes c h w"], plane: Int64[Tensor, "*n"], cells: At
) -> Float32[Tensor, "#c *n"]:
    """The values at cells inside of the map, each of a plane of its own."""
    channels, height, width = values.shape[1:]
    flat = values.reshape(-1)
    place = (plane * (channels * height) + cells[0]) * width + cells[1]
    return torch.stack([flat[place + c * height * width] for c in range(channels)])


def blend(four: Float32[Tensor, "c 4 *n"], shares: At) -> Float32[Tensor, "#c *n"]:
    """Bilinear means of the values at the four cells that `around` names."""
    down, along = shares
    upper = four[:, 0] * (1 - along) + four[:, 1] * along
    lower = four[:, 2] * (1 - along) + four[:, 3] * along
    return upper * (1 - down) + lower * down


def finite(values: Float32[Tensor, "*n"]) -> Float32[Tensor, "*n"]:
    """The values, and 0 for what is no number: such an offset moves nothing."""
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def sample(
    values: Float32[Tensor, "planes c h w"], plane: Int64[Tensor, "*n"], at: At, *, grids: Grids
) -> Float32[Tensor, "#c *n"]:
    """Bilinear samples of planes at positions; outside of the decoding's grid, its border."""
    cells, shares = around(at, (values.shape[2], values.shape[3]), grids.last)
    return blend(pick(values, plane, cells), shares)


def upsample(
    values: Float32[Tensor, "*n h w"], rows: slice, *, grids: Grids
) -> Float32[Tensor, "*n m w2"]:
    """Maps at the cells of some rows of the decoding: `sample`, line by line."""
    y, x = grids.lines(rows, values.device)
    i, below, down = ends(y, values.shape[-2], grids.last[0])
    j, right, along = ends(x, values.shape[-1], grids.last[1])
    upper, lower = (
        part[..., j] * (1 - along) + part[..., right] * along
        for part in (values[..., i, :], values[..., below, :])
    )
    return upper * (1 - down[:, None]) + lower * down[:, None]


def goals(offsets: Float32[Tensor, "planes 2 h w"], rows: slice, *, grids: Grids) -> At:
    """Where the cells of some rows of the decoding point to, (planes, m, w) each."""
    y, x = grids.lines(rows, offsets.device)
    down, along = upsample(offsets / grids.map_stride, rows, grids=grids).unbind(dim=1)
    return y[:, None] + down, x + along


def follow(
    at: At, onward: Float32[Tensor, "planes 2 h w"], plane: Int64[Tensor, "*n"], *, grids: Grids
) -> At:
    """Positions moved on by the offsets that are found there.

    Source: PersonLab, section 3.1 (recurrent offset refinement).
    """
    found = finite(sample(onward, plane, at, grids=grids)) / grids.map_stride
    return at[0] + found[0], at[1] + found[1]


def cast(
    votes: Int64[Tensor, "planes h w"],
    weight: Float32[Tensor, "planes m w"],
    at: At,
    rows: slice,
    *,
    grids: Grids,
) -> None:
    """Adds to Hough maps, in units, what some rows cast: each vote is shared among four cells.

    Votes that leave the map are lost, and so are those whose place or weight is no number. The
    sums are the same in every run, and right to the rounding of a float32 a vote.

    Source: DeeperLab, section 3.3.
    """
    planes, height, width = votes.shape
    y, x = at[0] / grids.step, at[1] / grids.step
    base = torch.arange(planes, device=votes.device)[:, None, None] * (height * width)
    cells = torch.arange(rows.start * width, rows.stop * width, device=votes.device)
    # What a cell does not cast lands on itself, as nothing: on one cell of all, threads would wait.
    own = base + cells.view(1, -1, width)
    sound = weight.isfinite() & y.isfinite() & x.isfinite()
    low = y.floor(), x.floor()
    down, along = y - low[0], x - low[1]
    for i, across in ((low[0], 1 - down), (low[0] + 1, down)):
        for j, share in ((low[1], (1 - along) * across), (low[1] + 1, along * across)):
            inside = sound & (i >= 0) & (i < height) & (j >= 0) & (j < width)
            row, column = i.where(inside, 0).long(), j.where(inside, 0).long()
            place = torch.where(inside, base + row * width + column, own)
            units = (share * weight * UNIT).where(inside, 0).long()
            votes.view(-1).scatter_add_(0, place.view(-1), units.view(-1))


def peaks(
    votes: Float32[Tensor, "b k h w"], *, threshold: float, most: int
) -> tuple[Int64[Tensor, "b k m"], Bool[Tensor, "b k m"]]:
    """Cells (row-major) above the threshold that no neighbour exceeds, highest first.

    Cells of one height follow each other in row-major order. There are `most` places for each map,
    or as many as it has cells; which of them hold a peak is the second answer.
    """
    is_peak = (votes > threshold) & (votes >= F.max_pool2d(votes, 3, stride=1, padding=1))
    heights, flat = votes.view(torch.int32).flatten(2), is_peak.flatten(2)
    # Bits of positive floats rise with them; below them the cell, so that no two keys are equal.
    last_first = torch.arange(heights.shape[2] - 1, -1, -1, device=votes.device)
    keys = (heights.long() * 2**32 + last_first).where(flat, -1)
    best = keys.topk(min(most, keys.shape[2]), dim=2).values
    real = best >= 0
    return (heights.shape[2] - 1 - best % 2**32).where(real, 0), real


def centroid(
    votes: Float32[Tensor, "b k h w"], cells: Int64[Tensor, "b k m"]
) -> Float64[Tensor, "b k m 2"]:
    """Mean positions, in cells, of the votes in the 3x3 neighbourhood of each cell."""
    width = votes.shape[3]
    padded = F.pad(votes, (1, 1, 1, 1)).flatten(2)
    i, j = cells // width, cells % width
    total = torch.zeros(cells.shape, dtype=torch.float64, device=votes.device)
    moments = [total, total]
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = padded.gather(2, (i + 1 + down) * (width + 2) + j + 1 + right).double()
            total = total + near
            moments = [moments[0] + near * down, moments[1] + near * right]
    shift = torch.stack(moments, dim=-1) / total.clamp(min=1e-12)[..., None]
    return torch.stack([i, j], dim=-1) + shift
