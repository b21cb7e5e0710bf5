"""Losses as (sum, count) pairs, so that a batch may be cut up and its parts added."""

from __future__ import annotations

import math

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


def cross_entropy(
    logits: Float[Tensor, "b c h w"], target: Int64[Tensor, "b h w"], *, ignore: int
) -> SumCount:
    """Cross-entropy summed over the labelled pixels.

    Source: DeepLabv3, section 4.1; PSPNet, section 3.3.
    """
    # Not reduction="sum", which has no deterministic form on CUDA.
    total = F.cross_entropy(logits, target, ignore_index=ignore, reduction="none").sum()
    return total, (target != ignore).sum().to(total.dtype)


def hardest_cross_entropy(
    logits: Float[Tensor, "b c h w"],
    target: Int64[Tensor, "b h w"],
    *,
    ignore: int,
    most: int,
) -> SumCount:
    """Cross-entropy of the `most` labelled pixels of each image that are hardest.

    All of them where an image has fewer. The K-th lowest probability is FCRN's threshold t.

    Source: FCRN, section 3.2, equation 1; table 7 for 256, 512 and 1024.
    """
    losses = F.cross_entropy(logits, target, ignore_index=ignore, reduction="none").flatten(1)
    labelled = (target != ignore).flatten(1)
    hardest = torch.where(labelled, losses, -1).topk(min(most, losses.shape[1]), dim=1).values
    return hardest.clamp(min=0).sum(), (hardest >= 0).sum().to(losses.dtype)


def thresholded_cross_entropy(
    logits: Float[Tensor, "b c h w"],
    target: Int64[Tensor, "b h w"],
    *,
    ignore: int,
    probability: float,
    least: int,
) -> SumCount:
    """Cross-entropy of the pixels whose class has at most a probability, at least `least` of them.

    The threshold rises to the probability of the `least`-th hardest pixel of the batch if need be.

    Source: FCRN, section 3.2, in the form of the authors' later code.
    """
    losses = F.cross_entropy(logits, target, ignore_index=ignore, reduction="none").flatten()
    losses = losses[(target != ignore).flatten()]
    if len(losses) == 0:
        return logits.sum() * 0, losses.new_zeros(())
    fewest = losses.detach().topk(min(least, len(losses))).values[-1]
    kept = losses[losses.detach() >= fewest.clamp(max=-math.log(probability))]
    return kept.sum(), losses.new_tensor(float(len(kept)))


def box_smooth_l1(
    prediction: Float[Tensor, "b 4 h w"],
    target: Float[Tensor, "b 4 h w"],
    *,
    weight: Float[Tensor, "b h w"],
    overlap: Float[Tensor, "b h w"],
    most: int,
) -> SumCount:
    """Smooth L1 of the four values of a box, summed over the cells that are learnt from.

    weight   of each cell; 0 = no box is known there
    overlap  IoU of the predicted box with the true one: the `most` cells of each image where it is
             least are kept; 0 = all of them

    Source: FCRN, section 4.1 (loss, instance weights, bootstrapping by IoU).
    """
    known = weight > 0
    if most:
        rank = torch.where(known, overlap, 2).flatten(1)
        places = rank.topk(min(most, rank.shape[1]), dim=1, largest=False).indices
        chosen = torch.zeros_like(rank, dtype=torch.bool).scatter(1, places, True)
        known = known & chosen.reshape(known.shape)
    losses = F.smooth_l1_loss(prediction, target, reduction="none").sum(dim=1)
    return torch.where(known, losses * weight, 0).sum(), known.sum().to(losses.dtype)


def box_overlap(
    first: Float[Tensor, "b 4 h w"], second: Float[Tensor, "b 4 h w"]
) -> Float[Tensor, "b h w"]:
    """IoU of boxes given as (centre y, centre x, height, width) in pixels, cell by cell."""
    low = torch.maximum(*(x[:, :2] - x[:, 2:].clamp(min=1) / 2 for x in (first, second)))
    high = torch.minimum(*(x[:, :2] + x[:, 2:].clamp(min=1) / 2 for x in (first, second)))
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [x[:, 2:].clamp(min=1).prod(dim=1) for x in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


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
