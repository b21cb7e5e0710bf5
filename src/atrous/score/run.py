"""Scores a whole prediction, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.metrics.scores import Scores
from atrous.processes import in_order, processes_for
from atrous.score.compare import Answer, ImageScore, Job, Rules, scored
from atrous.score.faults import Tally
from atrous.score.pairing import Pair, pairs
from atrous.score.sides import Entry, Side
from atrous.types import BadInput, refuse

CHUNK = 16
"""Images that a process scores before it answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All scores; those of each image in order, if asked for; what was stepped over."""

    scores: Scores
    images: tuple[ImageScore, ...]
    skipped: Tally


def score(
    truth: Side,
    prediction: Side,
    rules: Rules | None = None,
    *,
    workers: int | None = 0,
    skipped: Tally | None = None,
    only: Collection[str] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Scores a prediction, whose classes are those of the truth.

    workers   processes; 0 and 1 = this one, None = a core each where there are many images
    skipped   what was stepped over while the sides were opened
    only      score these images of the truth alone, by names without folder and suffix
    progress  hears how many images are done

    Raises: BadInput at the first fault, unless the rules are lenient; if nothing can be compared.
    """
    rules, tally = rules or Rules(), skipped or Tally()
    entries, report = truth.entries, tally if rules.lenient else refuse
    asked = None if only is None else _named(entries, only)
    found = pairs(entries, prediction.entries, report, asked)
    job = Job(truth, prediction, rules, found)
    total, images, done = job.scorer(), [], 0
    for answer in _answers(job, workers):
        total.merge(answer.scorer)  # type: ignore[arg-type]
        images += answer.images
        tally.merge(answer.skipped)
        done += CHUNK
        progress(min(done, len(found)))
    if total.images == 0:
        raise BadInput("no image could be scored: the truth or the prediction is empty")
    return Outcome(total.compute(), tuple(images), tally)


def _named(entries: Sequence[Entry], names: Collection[str]) -> list[int]:
    """The places of the images that a list names.

    Raises: BadInput if it names one that is not there.
    """
    called = [{*entry.stems, str(entry.id)} for entry in entries]
    known = set().union(*called)
    if missing := [name for name in names if not {name, Path(name).stem} & known]:
        what = f"{missing[0]!r} and {len(missing) - 1} more of the list are no images of the truth"
        raise BadInput(f"{what}: name files as the truth does, without folder")
    wanted = {*names, *(Path(name).stem for name in names)}
    return [place for place, own in enumerate(called) if wanted & own]


def _answers(job: Job, workers: int | None) -> Iterator[Answer]:
    starts = range(0, len(job.pairs), CHUNK)
    jobs = (replace(job, pairs=job.pairs[start : start + CHUNK]) for start in starts)
    processes = min(processes_for(workers, len(job.pairs)), len(starts))
    if processes < 2:
        return map(scored, jobs)
    return in_order(_scored_part, map(_small, jobs), processes=processes)


def _small(job: Job) -> tuple[Job, tuple[Pair, ...]]:
    """The job with its own images alone, and the pairs that these were among all images."""
    truth = job.truth.part(tuple(pair.truth for pair in job.pairs))
    prediction = job.prediction.part(tuple(pair.prediction for pair in job.pairs))
    own = tuple(replace(pair, truth=i, prediction=i) for i, pair in enumerate(job.pairs))
    return replace(job, truth=truth, prediction=prediction, pairs=own), job.pairs


def _scored_part(part: tuple[Job, tuple[Pair, ...]]) -> Answer:
    job, among_all = part
    answer = scored(job)
    answer.images = [replace(x, pair=among_all[x.pair.truth]) for x in answer.images]
    return answer
