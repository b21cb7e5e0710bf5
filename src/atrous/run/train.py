"""The training loop: any system, one process or many, exact on resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from atrous.run.batches import Item, Stream, batches
from atrous.run.guard import one_line, signals
from atrous.run.learner import Learner, NotFinite
from atrous.run.logs import Log
from atrous.run.memory import peak
from atrous.run.states import State, write_state
from atrous.types import BadInput, Failed

NAMED = 16
"""Images of a batch that are named at most."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the steps made, and whether a signal stopped it."""

    step: int
    is_stopped: bool


class Scorer(Protocol):
    """Scores the model now and then, and remembers what a state must hold of that."""

    @property
    def counters(self) -> dict[str, Any]:
        """What of it a state holds."""

    def is_due(self, step: int) -> bool:
        """Whether the model after so many steps is still to be scored."""

    def score(self, learner: Learner, log: Log, is_ended: Callable[[], bool]) -> None:
        """Scores the model as it is, and tells; does neither if the run is to end meanwhile."""


def train(
    learner: Learner,
    stream: Stream,
    *,
    stop: int,
    run: Path,
    log: Log,
    workers: int,
    judge: Scorer | None = None,
    counters: Mapping[str, Any] = MappingProxyType({}),
    check: Callable[[], None] = lambda: None,
) -> Outcome:
    """Makes the steps up to `stop`, logs them, scores the model and saves states on the way.

    counters  of the state that the run goes on from
    check     comes before each save, and raises if nothing may be written any more

    Raises: Failed if it cannot go on, BadInput for images that cannot be read: what was saved
    stays.
    """
    settings, world = learner.settings, learner.world
    began = time.monotonic() - counters.get("seconds", 0.0)

    def save() -> None:
        if world.is_first:
            check()
            known = {**counters, **(judge.counters if judge else {})}
            known["seconds"] = round(time.monotonic() - began, 1)
            _save(run, learner, known)

    def score(caught: list[int]) -> None:
        if judge and judge.is_due(learner.step):
            judge.score(learner, log, lambda: bool(caught) and learner.step < stop)

    is_stopped = False
    with one_line(run, world), signals() as caught:
        score(caught)
        if world.any(bool(caught)):  # the state that it goes on from is on the disk
            return Outcome(learner.step, is_stopped=True)
        for values in steps(learner, stream, stop=stop, workers=workers, save=save):
            log.step(learner.step - 1, values)
            is_stopped, is_last = world.any(bool(caught)), learner.step == stop
            if is_last or not is_stopped:
                score(caught)
                is_stopped = world.any(bool(caught))
            if is_last or is_stopped or learner.step % settings.checkpoint_every == 0:
                save()
            if is_stopped:
                break
    return Outcome(learner.step, is_stopped)


def _save(run: Path, learner: Learner, counters: dict[str, Any]) -> None:
    state = learner.state(counters)
    _require_finite(state)
    write_state(run, state, keep=learner.settings.keep)


def _require_finite(state: State) -> None:
    """Statistics can be poisoned by a step whose loss and gradient were finite.

    Raises: Failed, so that sound states are neither followed nor replaced by one that is not.
    """
    for name, value in (*state.weights.items(), *state.average.items()):
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise Failed(
                f"step {state.step}: {name} is not finite, and nothing is saved of this step: "
                "begin anew with a lower train.lr, train.warmup or train.clip; --init takes the "
                "weights.safetensors of an older state"
            )


def steps(
    learner: Learner,
    stream: Stream,
    *,
    stop: int,
    workers: int,
    save: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, float]]:
    """Makes the steps up to `stop`; yields what each has to tell: losses, rate, speed, memory.

    save  keeps the step before, where the data end the run of a single process
    """
    settings, world = learner.settings, learner.world
    source = batches(
        stream,
        range(learner.step, stop),
        slots=world.share(settings.batch),
        parts=settings.accumulate,
        workers=workers,
        pinned=world.device.type == "cuda",
    )
    while learner.step < stop:
        began = time.monotonic()
        try:
            parts = next(source)
        except (BadInput, Failed):
            if world.size == 1 and learner.step > learner.first:
                save()
            raise
        ready = time.monotonic()
        values = _learn(learner, stream, parts)
        spent = max(time.monotonic() - began, 1e-9)
        yield {
            **values,
            "images_per_second": settings.batch / spent,
            "wait": (ready - began) / spent,
            "memory_mib": peak(world.device) / 2**20,
        }


def _names(learner: Learner, stream: Stream, parts: Iterable[int], size: int) -> str:
    """The images of some parts, each of that size, of every process's batch; many are cut short."""
    slots = learner.world.share(stream.batch)
    here = [x for i in parts for x in stream.names(learner.step, slots[i * size : (i + 1) * size])]
    names = [name for some in learner.world.gathered(here) for name in some]
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])


def _learn(learner: Learner, stream: Stream, parts: Sequence[Item]) -> dict[str, float]:
    """One step; a loss that is not finite names the images it comes from."""
    try:
        return learner.learn(parts)
    except NotFinite as error:
        size = len(parts[0][0])
        some, every = (_names(learner, stream, x, size) for x in (error.parts, range(len(parts))))
        told = (
            f"step {learner.step}: {error} in {some or every}: try a lower train.lr, train.warmup "
            "or train.clip, and look at the data with atrous doctor; the last state stays as it was"
        )
        raise Failed(told if learner.world.is_first else "") from error
