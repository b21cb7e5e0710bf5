"""A run from its first step to its last, over all stages of a recipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from atrous.data.doubling import again
from atrous.data.source import Source
from atrous.formats import write_json
from atrous.recipes import Recipe, find
from atrous.recipes.recipe import override
from atrous.run.batches import Stream
from atrous.run.checkpoint import Header, write_model
from atrous.run.guard import known_ends, on_disk, reproducible
from atrous.run.learner import Learner
from atrous.run.logs import Log
from atrous.run.states import State, last_state
from atrous.run.train import Outcome
from atrous.run.train import train as run_training
from atrous.run.world import World, joined
from atrous.systems import AnySystem
from atrous.training.beginning import START, anchor_of, doubled_in, initialise, stream_of
from atrous.training.checks import check
from atrous.training.judging import Judge
from atrous.training.record import Record, digest, is_restarted, prepare, record, require_ours
from atrous.types import BadInput

Data = Source | Sequence[Source]


def train(
    recipe: str | Recipe,
    *,
    data: Data,
    out: str | Path,
    val: Source | None = None,
    settings: tuple[str, ...] = (),
    init: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    quiet: bool = False,
) -> Outcome:
    """Trains a recipe on any `Source` and leaves a run folder with last.safetensors.

    data      one source, or one for each stage of the recipe, of the same classes
    settings  such as ("train.iterations=800", "seed=3")
    init      a model file, or a public checkpoint (see `convert`), by path or as
              hf:OWNER/REPOSITORY/FILE; it stands above the recipe's `init_from`
    device    "auto", "cpu", "cuda" or "mps"; under `torchrun` each process takes its own
    workers   processes that read images; with any, a script needs its `__main__` guard
    resume    go on from the last state in `out`; the recipe and settings must be the same

    Under `torchrun` all processes call this alike; the first one writes the run folder. A run that
    `torchrun` starts anew goes on by itself.

    Raises: BadInput for an unknown recipe or setting, data without samples, a folder that holds a
    run already, or one that cannot be resumed, before the first step; Failed for what ends a run
    after it.
    """
    chosen = override(find(recipe) if isinstance(recipe, str) else recipe, settings)
    sources = each_stage(chosen, data)
    wanted = any(stage.train.deterministic for stage in chosen.stages)
    with joined(device) as world, reproducible(wanted=wanted), known_ends():
        for warning in check(chosen, sources, val, world):
            if world.is_first and not quiet:
                print(warning, file=sys.stderr)
        place = _Place(Path(out), world, str(init or chosen.init_from), workers, quiet)
        return _Run(chosen, sources, val, place).go(resume=resume)


def each_stage(recipe: Recipe, data: Data) -> tuple[Source, ...]:
    """One source for each stage: the one there is, for all of them.

    Raises: BadInput if there are others than one, or one for each.
    """
    sources = tuple(data) if isinstance(data, tuple | list) else (data,)
    wanted = len(recipe.stages)
    if len(sources) not in (1, wanted):
        raise BadInput(f"{len(sources)} data sets for {wanted} stages: give one, or one for each")
    return sources * wanted if len(sources) == 1 else sources


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and how a run goes, which changes nothing of what is learnt."""

    out: Path
    world: World
    init: str
    workers: int
    quiet: bool

    def say(self, line: str) -> None:
        """A line for people."""
        if self.world.is_first and not self.quiet:
            print(line, file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of `train`."""

    recipe: Recipe
    sources: tuple[Source, ...]
    val: Source | None
    place: _Place

    def go(self, *, resume: bool) -> Outcome:
        """All stages, from the last state on."""
        out, world = self.place.out, self.place.world
        now = record(self.recipe, self.sources, world)
        self._require_alike(now)
        is_resumed = resume or world.first(lambda: is_restarted(out))
        before = world.first(lambda: prepare(out, now, self.place.init, resume=is_resumed))
        self._as_before(before, now)
        state = self._last_state()
        plan = tuple(self._plan())
        outcome = Outcome(state.step if state else 0, is_stopped=False)
        begun = self._begun(plan[0], now) if state is None else None
        log = Log(
            out if world.is_first else None,
            start=outcome.step,
            total=plan[-1].stop,
            quiet=self.place.quiet,
        )
        with on_disk(out), log:
            for leg in plan:
                if outcome.step < leg.stop and not outcome.is_stopped:
                    outcome = self._make(leg, begun or self._built(leg), state, log, now)
                    begun, state = None, self._last_state()
            if world.is_first and state is not None:
                leg = next(x for x in plan if state.step <= x.stop)
                write_model(out / "last.safetensors", state.average or state.weights, leg.header)
        return replace(outcome, is_stopped=outcome.step < plan[-1].stop)

    def _require_alike(self, now: Record) -> None:
        """All processes learn the same from the same images, or they would not be one."""
        val = digest([self.val]) if self.val else ""
        known = self.place.world.gathered((now["recipe"], now["device"], val))
        for rank, other in enumerate(known):
            if other != known[0]:
                raise BadInput(
                    f"process {rank} has other images, settings or another device than process 0: "
                    "give all of them the same"
                )

    def _plan(self) -> Iterator[_Leg]:
        first = 0
        for number, stage in enumerate(self.recipe.stages):
            stop = first + stage.train.iterations
            header = stage.header(self.sources[0].labels) | {"recipe": self.recipe.record()}
            yield _Leg(number, replace(stage, seed=self.recipe.seed), first, stop, header)
            first = stop

    def _last_state(self) -> State | None:
        return self.place.world.first(lambda: last_state(self.place.out, tell=self.place.say))

    def _as_before(self, before: Record | None, now: Record) -> None:
        """The number of threads is that of the run's beginning, or its bytes would change.

        From here on the folder is this call's: one that still writes there will find out.
        """
        if before is None:
            return
        torch.set_num_threads(before["threads"])
        now["threads"] = before["threads"]
        if self.place.world.is_first:
            write_json(self.place.out / "run.json", {**before, "id": now["id"]})
        for what in ("processes", "device"):
            if before.get(what, now[what]) != now[what]:
                self.place.say(
                    f"the run was started with {what} = {before[what]}, not {now[what]}: it goes "
                    "on, but its weights will not be those of an unbroken run to the last bit"
                )

    def _built(self, leg: _Leg) -> tuple[AnySystem, Stream]:
        """A stage's network, not trained yet, and what it learns from."""
        torch.manual_seed(leg.stage.seed)
        system = leg.stage.build(self.sources[0].labels)
        return system, replace(stream_of(leg.stage, self._source(leg), system), first=leg.first)

    def _begun(self, leg: _Leg, now: Record) -> tuple[AnySystem, Stream]:
        """The first stage's, with its first weights in all processes; the run's folder is there."""
        system, stream = self._built(leg)
        self.place.world.first(lambda: self._begin(system, stream, now))
        self.place.world.give(system)
        return system, stream

    def _make(
        self,
        leg: _Leg,
        built: tuple[AnySystem, Stream],
        state: State | None,
        log: Log,
        now: Record,
    ) -> Outcome:
        """One stage, from its first step or from a state on."""
        stage, world, (system, stream) = leg.stage, self.place.world, built
        anchor = anchor_of(system, self.place.out, world) if stage.train.anchor else None
        learner = Learner(
            system, stage.train, world, seed=stage.seed, first=leg.first, anchor=anchor
        )
        counters: dict[str, Any] = state.counters if state else {}
        if state is not None:
            learner.restore(state)
        return run_training(
            learner,
            stream,
            stop=leg.stop,
            run=self.place.out,
            log=log,
            workers=self.place.workers,
            judge=self._judge(leg, counters),
            counters=counters,
            check=partial(require_ours, self.place.out, now["id"]),
        )

    def _judge(self, leg: _Leg, counters: dict[str, Any]) -> Judge | None:
        if self.val is None or not leg.stage.train.eval_every:
            return None
        return Judge(leg.stage, self.val, self.place.out, leg.header, counters)

    def _source(self, leg: _Leg) -> Source:
        """What a stage learns from, with its hard images doubled."""
        source, place = self.sources[leg.number], self.place
        if not leg.stage.train.doubled:
            return source
        kept = place.out / f"doubled-{leg.number}.json"
        found = place.world.first(
            lambda: doubled_in(leg.stage, source, kept, workers=place.workers, say=place.say)
        )
        return again(source, found)

    def _begin(self, system: AnySystem, stream: Stream, now: Record) -> None:
        """Weights to begin with, and run.json, which says which they are."""
        frozen = self.recipe.train.norms == "frozen"
        begun = initialise(system, self.place.init, stream, frozen=frozen)
        note = None if begun is None else {"file": self.place.init, **asdict(begun)}
        try:
            write_json(self.place.out / "run.json", {**now, "start": note})
            if any(stage.train.anchor for stage in self.recipe.stages):
                write_model(self.place.out / START, system.state_dict(), {})
        except OSError as error:
            raise BadInput(f"{self.place.out}: {error.strerror}: choose another --out") from error
        if begun is not None:
            self.place.say(begun.told(self.place.init))


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stage with its place in the run: the steps from `first` to `stop`.

    header  metadata of the models that it leaves
    """

    number: int
    stage: Recipe
    first: int
    stop: int
    header: Header
