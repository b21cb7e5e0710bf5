"""One function over many jobs, in this process or in several, answered in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from atrous.types import BadInput

J = TypeVar("J")
A = TypeVar("A")

AHEAD = 3
"""Jobs that are under way for each process; answers wait for the one before them."""
WORTH_A_PROCESS = 100
"""Images below which another process costs more than it saves."""

_work: Callable[[Any], Any]


def processes_for(workers: int | None, images: int) -> int:
    """The number of processes: None = a core each where there are many images."""
    if workers is None:
        return min(os.cpu_count() or 1, images // WORTH_A_PROCESS)
    return min(workers, images)


def in_order(work: Callable[[J], A], jobs: Iterable[J], *, processes: int) -> Iterator[A]:
    """What `work` makes of each job, in the order of the jobs, of which few are begun ahead.

    work       has what all jobs share; each process gets it once, so it must be one that pickles
    processes  0 and 1 = this one

    Raises: BadInput if a process dies; whatever `work` raises.
    """
    if processes < 2:
        yield from map(work, jobs)
        return
    with stopped_by_signals():
        pool = ProcessPoolExecutor(
            processes, mp_context=fresh_processes(), initializer=_begin, initargs=(work,)
        )
        try:
            yield from _answers(pool, iter(jobs), ahead=AHEAD * processes)
        except BrokenProcessPool:
            what = "a worker died; it may have run out of memory"
            mend = "use fewer --workers; in a script, guard the start with __name__"
            raise BadInput(f"{what}: {mend}") from None
        finally:
            pool.shutdown(cancel_futures=True)


def fresh_processes() -> BaseContext:
    """Workers are no forks, which would inherit threads in any state, and leave Ctrl-C to us."""
    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver  # not everywhere

    if threading.current_thread() is threading.main_thread():
        # What ignores a signal while it starts hands that on to all workers. If SIGTERM, sent to a
        # group of processes, ended the server, its workers would take that for the end of us.
        before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
        forkserver.ensure_running()
        for number, handler in before.items():
            signal.signal(number, handler)
    return multiprocessing.get_context("forkserver")


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does: workers are sent home first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _answers(pool: ProcessPoolExecutor, jobs: Iterator[J], *, ahead: int) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque(pool.submit(_done, job) for job in islice(jobs, ahead))
    while waiting:
        answer = waiting.popleft().result()
        waiting.extend(pool.submit(_done, job) for job in islice(jobs, 1))
        yield answer


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _done(job: Any) -> Any:
    return _work(job)
