"""What a run would take, before it is begun: memory by what it is for, and time."""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from atrous.data.source import Source
from atrous.recipes import Recipe
from atrous.run.batches import Item, Stream, collate
from atrous.run.checkpoint import Weights
from atrous.run.guard import one_line, reproducible
from atrous.run.learner import Learner, NotFinite
from atrous.run.memory import Need, available, most_images, need, peak, words
from atrous.run.settings import TrainSettings
from atrous.run.train import steps
from atrous.run.world import World, joined
from atrous.systems import AnySystem
from atrous.training.beginning import initialise, stream_of
from atrous.training.checks import check
from atrous.training.record import recorded, require_writable
from atrous.types import BadInput

STEPS = 2
ROOM = 0.9
"""Share of the free memory that a choice of ours fills: what is left is for what was overlooked."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one stage of a run takes on each process.

    images     at a time
    need       memory by what it is for, reckoned beforehand
    available  memory that there was for it, in bytes
    peak       most memory that the process had in use, in bytes; None if no step was made
    seconds    of a step, and of all steps of the stage; None if no step was made
    """

    images: int
    need: Need
    available: int
    peak: int | None = None
    step_seconds: float | None = None
    seconds: float | None = None

    @property
    def fits(self) -> bool:
        """Whether there is memory enough, as reckoned."""
        return self.need.total <= self.available

    def to_json(self) -> dict[str, Any]:
        """Plain data, in bytes and seconds."""
        return {**asdict(self), "total": self.need.total, "fits": self.fits}

    def told(self) -> tuple[str, ...]:
        """Lines for people."""
        lines = [f"memory {words(self.need)}"]
        if self.seconds is None or self.step_seconds is None or self.peak is None:
            there = f"no step was made: {self.available / 2**30:.1f} GiB are free, too little"
            lines.append(f"{there}: set a larger train.accumulate, or give --auto-batch")
        else:
            lines.append(
                f"time {self.step_seconds:.2f} s a step, {_span(self.seconds)} in all; "
                f"two steps were made, with at most {self.peak / 2**30:.1f} GiB in use"
            )
        return tuple(lines)


def _span(seconds: float) -> str:
    """Such as "3 d 4 h", "2 h 10 min" or "12 s"."""
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    at = next((i for i, (_, size) in enumerate(units) if seconds >= size), len(units) - 1)
    (name, size), rest = units[at], units[at + 1 : at + 2]
    whole = int(seconds // size)
    more = [f"{int((seconds - whole * size) // s)} {n}" for n, s in rest]
    return " ".join([f"{whole} {name}", *more])


def rehearse(
    recipe: Recipe,
    sources: Sequence[Source],
    *,
    out: Path,
    val: Source | None = None,
    init: str | Path | None = None,
    device: str = "cpu",
    workers: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Rehearsal, ...]:
    """Builds all, makes two steps of each stage that fits in memory, and leaves nothing.

    sources  one for each stage
    out      where the run would be
    tell     hears of warnings, in the first process

    Raises: BadInput and Failed as `train` does.
    """
    require_writable(out)
    answers: list[Rehearsal] = []
    wanted = any(stage.train.deterministic for stage in recipe.stages)
    with joined(device) as world, reproducible(wanted=wanted):
        for warning in check(recipe, sources, val, world):
            if world.is_first:
                tell(warning)
        weights: Weights = {}
        for stage, source in zip(recipe.stages, sources, strict=True):
            system = stage.build(source.labels)
            stream = stream_of(stage, source, system)
            answer = _reckoned(stage, system, stream, world)
            if answer.fits:
                if weights:
                    system.load_state_dict(weights)
                else:
                    begun = str(init or recipe.init_from)
                    initialise(system, begun, stream, frozen=stage.train.norms == "frozen")
                with one_line(out, world):
                    answer = _tried(answer, stage, system, stream, world, workers)
                weights = system.state_dict()
            answers.append(answer)
    return tuple(answers)


def _reckoned(stage: Recipe, system: AnySystem, stream: Stream, world: World) -> Rehearsal:
    images = len(world.share(stage.train.batch)) // stage.train.accumulate
    wanted = need(system, stream[0], stage.train, images=images, device=world.device)
    return Rehearsal(images, wanted, _share(world))


def _share(world: World) -> int:
    """Memory for each process, the least of all: those of one machine share all but CUDA's."""
    here = 1 if world.device.type == "cuda" else int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return min(world.gathered(available(world.device) // here))


def _tried(
    answer: Rehearsal,
    stage: Recipe,
    system: AnySystem,
    stream: Stream,
    world: World,
    workers: int,
) -> Rehearsal:
    """Two steps, the second of which is timed: the first one warms up."""
    anchor = copy.deepcopy(system).eval().requires_grad_(False) if stage.train.anchor else None
    learner = Learner(system, stage.train, world, seed=stage.seed, anchor=anchor)
    *_, last = steps(learner, stream, stop=STEPS, workers=workers)
    spent = stage.train.batch / last["images_per_second"]
    whole = spent * stage.train.iterations
    return replace(answer, peak=peak(world.device), step_seconds=spent, seconds=whole)


def fitted(
    recipe: Recipe,
    sources: Sequence[Source],
    *,
    val: Source | None = None,
    device: str = "cpu",
    run: Path | None = None,
) -> tuple[Recipe, tuple[int, ...]]:
    """The recipe with batches cut into as few parts as fit in memory; what fits at once by stage.

    The batch stays what it is, and with it the training, but for the statistics of batch norm.

    run  folder of a run to resume, which goes on with the parts that it began with

    Raises: BadInput if not even the smallest part fits, and as `train` does.
    """
    with joined(device) as world:
        begun = world.first(lambda: _recipe_of(run))
        if begun:
            return _as_begun(recipe, begun), ()
        check(recipe, sources, val, world)
        space = int(ROOM * _share(world))
        found = [
            world.first(lambda s=stage, d=source: _most(s, d, world, space))  # type: ignore[misc]
            for stage, source in zip(recipe.stages, sources, strict=True)
        ]
        parts = [
            _parts(stage, most, world) for stage, most in zip(recipe.stages, found, strict=True)
        ]
    return _accumulating(recipe, parts), tuple(found)


def _recipe_of(run: Path | None) -> Any:
    """What run.json says of the recipe of a run; None if there is no run."""
    there = run is not None and (run / "run.json").is_file()
    return recorded(run / "run.json")["recipe"] if run and there else None


def _most(stage: Recipe, source: Source, world: World, space: int) -> int:
    """How many images fit at once: as reckoned, and on CUDA, where it can be tried, as tried."""
    system = stage.build(source.labels)
    item = stream_of(stage, source, system)[0]
    place = world.device
    most = most_images(system, item, stage.train, space=space, device=place)
    least = 1 if stage.train.norms == "frozen" else 2
    while place.type == "cuda" and most >= least:
        if _runs(system, item, stage.train, most, world):
            return most
        most = most * 3 // 4
    return most


def _runs(
    system: AnySystem, item: Item, settings: TrainSettings, images: int, world: World
) -> bool:
    """Whether a step of so many images ends without running out of memory."""
    alone = World(0, 1, world.device)
    numbers = replace(settings, batch=images, accumulate=1)
    try:
        learner = Learner(copy.deepcopy(system), numbers, alone, seed=0)
        learner.learn((collate([item] * images),))
    except NotFinite:
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return True


def _parts(stage: Recipe, most: int, world: World) -> int:
    """The least number of equal parts of a process's share that fit."""
    share, norms = len(world.share(stage.train.batch)), stage.train.norms
    least = 1 if norms == "frozen" or (norms == "synchronised" and world.size > 1) else 2
    for parts in range(1, share + 1):
        if share % parts == 0 and least <= share // parts <= most:
            return parts
    if most >= least:
        what = f"{share} images cannot be cut evenly into parts of {least} to {most}, which fit"
        raise BadInput(f"--auto-batch: {what} in memory: set another train.batch")
    raise BadInput(
        f"--auto-batch: {most} images of {stage.train.crop} px fit in memory at once, and at least "
        f"{least} must: set a smaller train.crop"
    )


def _accumulating(recipe: Recipe, parts: Sequence[int]) -> Recipe:
    """The recipe with its stages' batches cut into so many parts."""
    then = _accumulating(recipe.then, parts[1:]) if recipe.then else None
    return replace(recipe, train=replace(recipe.train, accumulate=parts[0]), then=then)


def _as_begun(recipe: Recipe, record: Any) -> Recipe:
    """The recipe with the parts that a run began with."""
    parts: list[int] = []
    while record:
        parts.append(record.get("train", {}).get("accumulate", 1))
        record = record.get("then")
    return _accumulating(recipe, parts) if len(parts) == len(recipe.stages) else recipe
