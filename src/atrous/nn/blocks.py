"""Blocks of cells as channels, cell by cell: as `resample` has them, in another order of channels.

Channel (i, j, c) of a block is channel c of its cell (i, j). Where maps lie pixel by pixel in
memory, whole cells move then; in the order of weights, (c, i, j), numbers would move one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from atrous.nn.decoder import BLOCK


def cell_by_cell(channels: int) -> Tensor:
    """Which channel of the order (c, i, j) stands at each place of the order (i, j, c)."""
    places = torch.arange(channels * BLOCK * BLOCK).reshape(channels, BLOCK, BLOCK)
    return places.permute(1, 2, 0).flatten()


def joined_blocks(
    low: Float[Tensor, "b c h w"], high: Float[Tensor, "b c2 h2 w2"]
) -> Float[Tensor, "b c3 h2 w2"]:
    """The blocks of a map, zeros where it ends, before the channels of another one."""
    (batch, channels, height, width), (rows, columns) = low.shape, high.shape[-2:]
    inside = channels * BLOCK * BLOCK
    joined = low.new_empty((batch, rows, columns, inside + high.shape[1]))
    blocks = joined[..., :inside].unflatten(-1, (BLOCK, BLOCK, channels))
    blocks[:, (height // BLOCK) :] = 0
    blocks[:, :, (width // BLOCK) :] = 0
    cells = low.permute(0, 2, 3, 1)
    for i in range(BLOCK):
        for j in range(BLOCK):
            these = cells[:, i::BLOCK, j::BLOCK]
            blocks[:, : these.shape[1], : these.shape[2], i, j] = these
    joined[..., inside:] = high.permute(0, 2, 3, 1)
    return joined.permute(0, 3, 1, 2)


def unfolded_blocks(
    parts: Sequence[Float[Tensor, "b c h w"]], size_hw: tuple[int, int]
) -> Float[Tensor, "b c2 h2 w2"]:
    """The cells of blocks, side by side; what lies beyond the size is cut off.

    parts  the blocks: all of their rows, or 2 maps with two rows each, or 4 with one
    """
    rows = BLOCK // len(parts)
    blocks = [x.permute(0, 2, 3, 1).unflatten(-1, (rows, BLOCK, -1)) for x in parts]
    cells = parts[0].new_empty((len(parts[0]), *size_hw, blocks[0].shape[-1]))
    for i in range(BLOCK):
        for j in range(BLOCK):
            these = cells[:, i::BLOCK, j::BLOCK]
            part = blocks[i // rows][..., i % rows, j, :]
            these.copy_(part[:, : these.shape[1], : these.shape[2]])
    return cells.permute(0, 3, 1, 2)
