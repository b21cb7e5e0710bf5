"""Scores a whole prediction, in one process or in several; memory does not grow with the images."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from atrous.metrics.scores import Scores
from atrous.score.compare import Answer, ImageScore, Job, Rules, scored
from atrous.score.faults import Tally
from atrous.score.pairing import Pair, pairs
from atrous.score.sides import Side
from atrous.types import BadInput, refuse

CHUNK = 16
"""Images that a process scores before it answers."""
WORTH_A_PROCESS = 100
"""Images below which another process costs more than it saves."""


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
    workers: int | None = None,
    skipped: Tally | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Scores a prediction, whose classes are those of the truth.

    workers   processes; 0 and 1 = this one, None = a core each where there are many images
    skipped   what was stepped over while the sides were opened
    progress  hears how many images are done

    Raises: BadInput at the first fault, unless the rules are lenient; if nothing can be compared.
    """
    rules, tally = rules or Rules(), skipped or Tally()
    found = pairs(truth.entries, prediction.entries, tally if rules.lenient else refuse)
    job = Job(truth, prediction, rules, found)
    total, images, done = job.scorer(), [], 0
    for answer in _answers(job, _processes(workers, len(found))):
        total.merge(answer.scorer)  # type: ignore[arg-type]
        images += answer.images
        tally.merge(answer.skipped)
        done += CHUNK
        progress(min(done, len(found)))
    if total.images == 0:
        raise BadInput("no image could be scored: the truth or the prediction is empty")
    return Outcome(total.compute(), tuple(images), tally)


def _processes(workers: int | None, images: int) -> int:
    if workers is None:
        return min(len(os.sched_getaffinity(0)), images // WORTH_A_PROCESS)
    return min(workers, -(-images // CHUNK))


def _answers(job: Job, processes: int) -> Iterator[Answer]:
    starts = range(0, len(job.pairs), CHUNK)
    jobs = (replace(job, pairs=job.pairs[start : start + CHUNK]) for start in starts)
    if processes < 2:
        yield from map(scored, jobs)
        return
    # Workers are fresh processes: a fork would inherit threads in any state.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield from pool.map(_scored_part, map(_small, jobs))
    finally:
        pool.shutdown(cancel_futures=True)


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


def _ignore_interrupts() -> None:
    """Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
