"""Examines a whole data set, in one process or in several, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atrous.data.source import Entry, FileSource, ReadTruth
from atrous.doctor.examine import examine
from atrous.doctor.findings import Findings, total
from atrous.doctor.kinds import FAULT, severity
from atrous.doctor.opening import Plan
from atrous.doctor.values import Meanings, meanings
from atrous.doctor.verdict import Told, judged
from atrous.processes import in_order, processes_for, stopped_by_signals

CHUNK = 16
"""Images that a process examines before it answers."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples of one split to examine, with their places among all samples."""

    split: int
    samples: tuple[tuple[int, Entry], ...]


@dataclass(frozen=True, slots=True)
class Examiner:
    """What all chunks share: how each split is read."""

    readers: tuple[tuple[ReadTruth, Meanings] | None, ...]

    def __call__(self, chunk: Chunk) -> Findings:
        """What the samples of a chunk hold together."""
        reader = self.readers[chunk.split]
        assert reader is not None  # a split that did not open has no samples
        return total(examine(i, entry, *reader) for i, entry in chunk.samples)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a data set holds, and all that was found: faults, then warnings.

    splits  place of a split -> findings of all its samples
    homes   the same, of the samples that no smaller split has: each sample counts once
    """

    plan: Plan
    splits: dict[int, Findings]
    homes: dict[int, Findings]
    told: tuple[Told, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether there are no faults; warnings there may be."""
        return all(severity(found.kind) != FAULT for _, found in self.told)


def diagnose(
    plan: Plan, *, workers: int | None = 0, progress: Callable[[int], None] = lambda _: None
) -> Diagnosis:
    """Examines all samples of a plan.

    workers   processes; 0 and 1 = this one, None = a core each where there are many images
    progress  hears how many images are done

    Raises: BadInput if a process dies.
    """
    chunks, done = list(_chunks(plan)), 0
    examiner = Examiner(tuple(_reader(split.source) for split in plan.splits))
    processes = min(processes_for(workers, len(plan.samples)), len(chunks))
    answers = in_order(examiner, chunks, processes=processes)
    parts: dict[tuple[int, ...], Findings] = {}
    with stopped_by_signals():
        for chunk, found in zip(chunks, answers, strict=True):
            splits = plan.samples[chunk.samples[0][0]].splits
            parts.setdefault(splits, Findings()).add(found)
            done += len(chunk.samples)
            progress(done)
    places = range(len(plan.splits))
    whole = {i: total(x for splits, x in parts.items() if i in splits) for i in places}
    homes = {i: total(x for splits, x in parts.items() if i == splits[0]) for i in places}
    return Diagnosis(plan, whole, homes, tuple(judged(plan, homes)))


def _reader(source: FileSource | None) -> tuple[ReadTruth, Meanings] | None:
    return None if source is None else (source.read, meanings(source))


def _chunks(plan: Plan) -> Iterator[Chunk]:
    """Samples of the same splits, a few at a time."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, sample in enumerate(plan.samples):
        groups.setdefault(sample.splits, []).append(place)
    for splits, places in groups.items():
        for start in range(0, len(places), CHUNK):
            some = places[start : start + CHUNK]
            yield Chunk(splits[0], tuple((i, plan.samples[i].entry) for i in some))
