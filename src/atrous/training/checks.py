"""What must hold before the first step, and what a user should know before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from atrous.data.doubling import class_ids
from atrous.data.source import Source
from atrous.recipes import Recipe
from atrous.run.learner import part_of
from atrous.run.world import World
from atrous.training.beginning import stream_of
from atrous.training.judging import best_of
from atrous.types import BadInput

FEW_SAMPLES = 8


def check(
    recipe: Recipe, sources: Sequence[Source], val: Source | None, world: World
) -> tuple[str, ...]:
    """Warnings, one line each.

    sources  one for each stage

    Raises: BadInput for a training that cannot be.
    """
    for stage, source in zip(recipe.stages, sources, strict=True):
        _check_data(stage, source, val)
        _check_losses(stage)
        _check_share(stage, world)
        _check_names(stage, source, is_later=stage is not recipe)
    first, *others = [source.labels for source in sources]
    if any(labels != first for labels in others):
        raise BadInput("the data of the stages have other classes: give sets of the same classes")
    return tuple(warning for stage in recipe.stages for warning in _warnings(stage, world))


def _check_data(recipe: Recipe, data: Source, val: Source | None) -> None:
    if recipe.train.eval_every and val is None:
        raise BadInput("train.eval_every needs validation data: name it with --val-split")
    if not hasattr(data, "labels"):
        example = "such as atrous.data.shapes.Shapes"
        raise BadInput(f"the data have no `labels`: give a Source, {example}")
    if recipe.train.paste and not data.labels.is_thing.any():
        raise BadInput("train.paste is for things, which the data have none of: leave it out")
    if len(data) == 0:
        raise BadInput("the data set has no images: check --data and --split")
    if val is not None and (len(val) == 0 or val.labels != data.labels):
        what = "has no images" if len(val) == 0 else "has other classes than the training data"
        raise BadInput(f"the validation set {what}: check --data and --val-split")


def _check_names(recipe: Recipe, data: Source, *, is_later: bool) -> None:
    """What else is refused when a stage begins, which may be days after the run did."""
    best_of(recipe)
    class_ids(data.labels, recipe.train.doubled)
    if is_later or recipe.train.freeze:
        with torch.device("meta"):
            network = recipe.build(data.labels)
        stream_of(recipe, data, network)
        for part in recipe.train.freeze:
            part_of(network, part)


def _check_losses(recipe: Recipe) -> None:
    if recipe.train.anchor and getattr(recipe.losses, "stage", "category") != "category":
        raise BadInput(
            "train.anchor holds the semantic answer, which this stage does not train: set it to 0"
        )
    classes = getattr(recipe.losses, "semantic", recipe.losses)
    if recipe.train.accumulate > 1 and getattr(classes, "mining", "none") == "threshold":
        raise BadInput(
            "train.accumulate: mining by threshold counts what the network answers to a whole "
            "batch: leave it at 1, or mine the hardest"
        )


def _check_share(recipe: Recipe, world: World) -> None:
    share, parts = len(world.share(recipe.train.batch)), recipe.train.accumulate
    if share % parts:
        raise BadInput(
            f"train.accumulate is {parts}: it must divide the {share} images of each of "
            f"{world.size} processes"
        )
    if recipe.train.norms == "batch" and share // parts < 2:
        raise BadInput(
            "train.norms=batch needs 2 images at a time in each process: set "
            "train.norms=synchronised, or a larger train.batch"
        )


def _warnings(recipe: Recipe, world: World) -> Iterator[str]:
    """Batch norm that learns from a handful of images.

    Source: DeepLabv3, table 9: mIoU 64.4 with batches of 4, 75.8 with 8, 77.2 with 16.
    """
    numbers = recipe.train
    together = world.size if numbers.norms == "synchronised" else 1
    samples = numbers.batch // world.size // numbers.accumulate * together
    if numbers.norms != "frozen" and samples < FEW_SAMPLES:
        yield (
            f"warning: batch norm learns from {samples} images at a time; fewer than {FEW_SAMPLES} "
            "cost accuracy (DeepLabv3, table 9): larger batches, or train.norms=frozen from a "
            "trained model"
        )
