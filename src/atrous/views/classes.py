"""Classes and probabilities where they are wanted, from one view of an image or from many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from atrous.clock import stage
from atrous.labels import LabelSpace
from atrous.tensors import Grid, View
from atrous.types import ClassMap, FloatMap
from atrous.views.mean import Twins, mean, sampled
from atrous.views.softmax import best_classes

STRIPE_PX = 1 << 18


def classify(
    views: Sequence[View], grid: Grid, *, labels: LabelSpace, twin_logits: bool = False
) -> tuple[ClassMap, FloatMap]:
    """Class and its probability (h, w) at every place of a grid.

    Logits are sampled stripe by stripe at the place where each pixel lies in the maps, so that full
    size logits never exist. Where an answer is not finite the class is void, its probability 0.

    twin_logits  whether the logits of an image and its mirror image are summed before the softmax,
                 instead of taking the mean of their probabilities

    Source: DeepLabv3, section 4.1 (upsampled logits; the mean over scales and mirror images).
    """
    with stage("classes"):
        return _classified(views, grid, labels, twin_logits)


def _classified(
    views: Sequence[View], grid: Grid, labels: LabelSpace, twin_logits: bool
) -> tuple[ClassMap, FloatMap]:
    classes, confidence = labels.empty(grid.shape), np.empty(grid.shape, np.float32)
    maps = views[0].maps.semantic
    if len(views) == 1 and maps.device.type == "cpu":
        best_classes(
            maps[0].float().permute(1, 2, 0).numpy(),
            *views[0].cells(grid),
            out=(classes, confidence),
            threads=torch.get_num_threads(),
        )
        return classes, confidence
    found, sure = best(views, grid, void=labels.void, twin_logits=twin_logits)
    classes[:], confidence[:] = found.cpu().numpy(), sure.cpu().numpy()
    return classes, confidence


def best(
    views: Sequence[View], grid: Grid, *, void: int, twin_logits: bool = False
) -> tuple[Int32[Tensor, "m n"], Float[Tensor, "m n"]]:
    """Class and its probability at every place of a grid, on the device of the maps."""
    device = views[0].maps.semantic.device
    classes = torch.empty(grid.shape, dtype=torch.int32, device=device)
    confidence = torch.empty(grid.shape, device=device)
    for rows, stripe in stripes(grid):
        sure, index = probabilities(views, stripe, twin_logits=twin_logits).max(dim=0)
        is_number = sure.isfinite()  # of several numbers NaN is the largest
        classes[rows] = torch.where(is_number, index, void)
        confidence[rows] = torch.where(is_number, sure, 0)
    return classes, confidence


def image_grid(views: Sequence[View]) -> Grid:
    """Every pixel of the image that views show.

    Raises: ValueError if there is no view.
    """
    if not views:
        raise ValueError("no view of the image: give one at least")
    return Grid.of(views[0].frame.image_hw)


def stripes(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """Rows of a grid in parts that are small enough to be held for all classes."""
    step = max(1, STRIPE_PX // max(1, len(grid.columns)))
    for top in range(0, len(grid.rows), step):
        rows = slice(top, min(top + step, len(grid.rows)))
        yield rows, Grid(grid.rows[rows], grid.columns, grid.size_hw)


def probabilities(
    views: Sequence[View], grid: Grid, *, twin_logits: bool = False
) -> Float[Tensor, "c m n"]:
    """Probabilities of all classes at every place of a grid, as `classify` takes them.

    Source: DeepLabv3, section 4.1; FCRN, section 4.1; windows and twins, PSPNet's authors' code.
    """

    def of_twins(twins: Twins, part: Grid) -> Tensor:
        seen = [sampled(view.maps.semantic, *view.cells(part)) for view in twins]
        if twin_logits:
            return torch.stack(seen).sum(dim=0).softmax(dim=0)
        return torch.stack([logits.softmax(dim=0) for logits in seen]).mean(dim=0)

    return mean(views, grid, of_twins)
