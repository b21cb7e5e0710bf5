"""How long each stage of a piece of work takes, where somebody asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds by stage, in the order in which stages were first met.

    settle  called at the end of each stage: waits for what a device still has to do
    """

    settle: Callable[[], object] = lambda: None
    seconds: dict[str, float] = field(default_factory=dict)


_asked: ContextVar[Times | None] = ContextVar("asked", default=None)


@contextmanager
def timed(settle: Callable[[], object] = lambda: None) -> Iterator[dict[str, float]]:
    """Times the stages of what runs inside, in this thread; yields seconds by stage."""
    times = Times(settle)
    before = _asked.set(times)
    try:
        yield times.seconds
    finally:
        _asked.reset(before)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Names a stage; one that is met several times adds up."""
    times = _asked.get()
    if times is None:
        yield
        return
    begun = time.perf_counter()
    try:
        yield
    finally:
        times.settle()
        spent = time.perf_counter() - begun
        times.seconds[name] = times.seconds.get(name, 0.0) + spent
