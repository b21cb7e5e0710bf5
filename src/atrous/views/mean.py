"""The mean of what several views of an image say of the same places.

Views of one window (a window and its mirror image) are twins; windows of one scaled image cover it
together; scales count alike. So the mean is that over the scales, of the mean over the windows that
cover a place, of what twins say.

Source: DeepLabv3, section 4.1; the windows, PSPNet's authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from atrous.nn.resample import sample_grid
from atrous.tensors import Frame, Grid, Positions, View

Twins = tuple[View, ...]


def mean(
    views: Sequence[View], grid: Grid, of_twins: Callable[[Twins, Grid], Float[Tensor, "c m n"]]
) -> Float[Tensor, "c m n"]:
    """The mean at every place of a grid; views of one scale, and of one window, follow each other.

    Raises: ValueError if windows leave a gap.
    """
    scales = [tuple(scale) for _, scale in groupby(views, key=lambda view: view.frame.resized_hw)]
    whole = [_of_scale(scale, grid, of_twins) for scale in scales]
    return whole[0] if len(whole) == 1 else torch.stack(whole).mean(dim=0)


def _of_scale(
    views: Twins, grid: Grid, of_twins: Callable[[Twins, Grid], Float[Tensor, "c m n"]]
) -> Float[Tensor, "c m n"]:
    windows = [tuple(twins) for _, twins in groupby(views, key=lambda v: v.frame.origin_yx)]
    if len(windows) == 1:
        return of_twins(windows[0], grid)
    total, times = torch.zeros(1), torch.zeros(grid.shape)
    for twins in windows:
        part = _shown(twins[0].frame, grid)
        if part is None:
            continue
        rows, columns, inner = part
        answer = of_twins(twins, inner)
        if total.ndim == 1:
            total = answer.new_zeros((len(answer), *grid.shape))
        total[:, rows, columns] += answer
        times[rows, columns] += 1
    if not times.all():
        raise ValueError("the windows leave a gap: let each begin before the last one ends")
    return total / times.to(total.device)


def _shown(frame: Frame, grid: Grid) -> tuple[slice, slice, Grid] | None:
    """The rows and columns of a grid that a window shows, and the grid that they are; or None."""
    shown = [
        np.flatnonzero((at >= 0) & (at <= size - 1))
        for at, size in zip(frame.seen_at(grid), frame.window_hw, strict=True)
    ]
    if not all(map(len, shown)):
        return None
    rows, columns = (slice(int(at[0]), int(at[-1]) + 1) for at in shown)
    return rows, columns, Grid(grid.rows[rows], grid.columns[columns], grid.size_hw)


def sampled(
    maps: Float[Tensor, "1 c h w"], rows: Positions, columns: Positions
) -> Float[Tensor, "c m n"]:
    """Maps at every pair of a row and a column, both in cells."""
    y, x = (torch.from_numpy(at).to(maps.device, torch.float32) for at in (rows, columns))
    return sample_grid(maps[0].float(), y, x)
