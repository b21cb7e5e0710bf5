"""Losses as (sum, count) pairs, so that a batch may be cut up and its parts added."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

SumCount = tuple[Float[Tensor, ""], Float[Tensor, ""]]


def bootstrapped_cross_entropy(
    logits: Float[Tensor, "b c h w"],
    target: Int64[Tensor, "b h w"],
    *,
    weight: Float[Tensor, "b h w"],
    ignore: int,
    keep: float,
) -> SumCount:
    """Weighted cross-entropy of the `keep` share of pixels that are hardest, image by image.

    The rank is by unweighted loss; ignored pixels have zero loss but count in the share, which is
    taken of all pixels of an image. With keep == 1 the mean goes over the labelled pixels.

    Source: DeeperLab, section 3.4, equation 1.
    """
    losses = F.cross_entropy(logits, target, ignore_index=ignore, reduction="none").flatten(1)
    weights = weight.flatten(1)
    if keep >= 1:
        return (losses * weights).sum(), (target != ignore).sum().to(losses.dtype)
    count = max(1, int(keep * losses.shape[1]))
    hardest, places = losses.topk(count, dim=1, sorted=False)
    total = (hardest * weights.gather(1, places)).sum()
    return total, losses.new_tensor(float(count * losses.shape[0]))


def sigmoid_cross_entropy(
    logits: Float[Tensor, "b k h w"],
    target: Bool[Tensor, "b k h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> SumCount:
    """Binary cross-entropy summed over the valid pixels of all channels.

    Source: DeeperLab, section 3.4.
    """
    losses = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    mask = valid.expand_as(losses)
    return torch.where(mask, losses, 0).sum(), mask.sum().to(losses.dtype)


def masked_l1(
    prediction: Float[Tensor, "b k*2 h w"],
    target: Float[Tensor, "b k*2 h w"],
    mask: Bool[Tensor, "b k h w"],
) -> SumCount:
    """Absolute error summed over the offsets that are supervised; two scalars for each mask cell.

    Source: DeeperLab, section 3.4.
    """
    both = mask.repeat_interleave(2, dim=1)
    error = torch.where(both, (prediction - target).abs(), 0)
    return error.sum(), both.sum().to(error.dtype)


def divergence(logits: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c h w"]) -> SumCount:
    """Kullback-Leibler divergence of softmax answers from those of a reference, cell by cell.

    Source: Li and Hoiem, Learning without Forgetting (2016), section 3, at temperature 1.
    """
    ours, theirs = logits.float().log_softmax(dim=1), reference.float().log_softmax(dim=1)
    total = F.kl_div(ours, theirs, reduction="sum", log_target=True)
    return total, ours.new_tensor(float(ours[:, 0].numel()))
