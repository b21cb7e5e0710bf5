"""Every change of resolution: space-to-depth, depth-to-space, and the one bilinear.

A map of stride s has cell i on pixel s * i (the `n * output_stride + 1` convention of SPEC-sized
inputs), so bilinear sampling by position is what `align_corners=True` means.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def resize(
    x: Float[Tensor, "b c h w"], size_hw: tuple[int, int], *, align_corners: bool = True
) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear resize whose corner cells stay on the corners, or whose borders do.

    Source: DeepLabv3, section 4.1 (upsampled logits); the authors' code aligns corners, torchvision
    does not.
    """
    if x.shape[-2:] == size_hw:
        return x
    return F.interpolate(x, size=size_hw, mode="bilinear", align_corners=align_corners)


def sample_grid(
    x: Float[Tensor, "c h w"], rows: Float[Tensor, " m"], columns: Float[Tensor, " n"]
) -> Float[Tensor, "c m n"]:
    """Bilinear samples of a map at every pair of a row and a column, both in cells.

    Positions outside of the map are moved to its border. Equals `resize` where the positions are
    evenly spaced from the first cell to the last.
    """
    return _along(_along(x, rows, dim=1), columns, dim=2)


def _along(x: Tensor, at: Tensor, *, dim: int) -> Tensor:
    last = x.shape[dim] - 1
    at = at.clamp(0, last)
    low = at.floor().clamp(max=max(last - 1, 0)).long()
    shape = [1, 1, 1]
    shape[dim] = -1
    share = (at - low).to(x.dtype).reshape(shape)
    return torch.lerp(
        x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=last)), share
    )


def space_to_depth(
    x: Float[Tensor, "b c h w"], *, block: int, step: int
) -> Float[Tensor, "b c*block*block h2 w2"]:
    """Blocks of `block` x `block` cells become channels, one block every `step` cells.

    The map is padded with zeros at bottom and right so that the last block fits: a side of
    4 m + 1 gives m + 1 blocks of 4 with step 4, and 2 m + 1 with step 2. With step == block this is
    `pixel_unshuffle`.

    Source: DeeperLab, section 3.2.
    """
    height, width = x.shape[-2:]
    count = [(height - 1) // step + 1, (width - 1) // step + 1]
    bottom, right = (
        (n - 1) * step + block - size for n, size in zip(count, (height, width), strict=True)
    )
    x = F.pad(x, (0, right, 0, bottom))
    if step == block:
        return F.pixel_unshuffle(x, block)
    return F.unfold(x, block, stride=step).reshape(x.shape[0], -1, *count)


def depth_to_space(
    x: Float[Tensor, "b c h w"], *, block: int, step: int, size_hw: tuple[int, int]
) -> Float[Tensor, "b c2 h2 w2"]:
    """Channels become blocks of `block` x `block` cells, one block every `step` cells.

    The inverse of `space_to_depth`: the padding is cut off to `size_hw`; where blocks overlap
    (step < block) their mean counts.

    Source: DeeperLab, section 3.2.
    """
    height, width = size_hw
    if step == block:
        whole = F.pixel_shuffle(x, block)
        lies_so = whole.is_contiguous(memory_format=torch.channels_last)
        kind = torch.channels_last if lies_so else torch.contiguous_format
        return whole[..., :height, :width].contiguous(memory_format=kind)  # once for all heads
    full = tuple((n - 1) * step + block for n in x.shape[-2:])
    total = F.fold(x.flatten(2), full, block, stride=step)
    times = F.fold(torch.ones_like(x[:1, : block * block]).flatten(2), full, block, stride=step)
    return (total / times)[..., :height, :width]
