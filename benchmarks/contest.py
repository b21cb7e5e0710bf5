"""What all benchmarks share: contenders run in turn, the best of several rounds, peak memory.

Machines are shared and noisy. Only ratios of one run mean anything, and of each contender the best
round: whatever disturbs a round makes it slower, never faster.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

Contenders = Mapping[str, Callable[[], Any]]


def on_one_core() -> None:
    """Keeps this process on one core, and libraries that ask for it at one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def contest(title: str, contenders: Contenders, *, units: int = 1, rounds: int = 7) -> None:
    """Runs all in turn, each for a while, and prints a table; the first one is ours.

    units  pieces of work in a call, images say: times are for one
    """
    repeats = {name: _repeats(run) for name, run in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            best[name] = min(best[name], _seconds(run, repeats[name]))
    ours = next(iter(best.values()))
    print(f"\n{title}\n| | ms | times ours | peak MiB above start |\n|---|---:|---:|---:|")
    for name, run in contenders.items():
        memory, ms = _peak_mib(run), 1000 * best[name] / units
        print(f"| {name} | {ms:.2f} | {best[name] / ours:.1f} | {memory:.0f} |", flush=True)


def torchmetrics() -> ModuleType:
    """The peer as the tests import it, even where torchvision does not fit this torch."""
    return _peer("torchmetrics")


def torchvision() -> ModuleType:
    """The peer as the tests import it, even where it does not fit this torch."""
    return _peer("torchvision")


def _peer(name: str) -> ModuleType:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import peers

    module: ModuleType = getattr(peers, name)()
    return module


def machine() -> str:
    """One line on where this ran."""
    names = ("numpy", "numba", "pillow", "torch", "torchmetrics", "deflate")
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, " + (
        ", ".join(f"{name} {found}" for name in names if (found := _version(name)))
    )


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _repeats(run: Callable[[], Any]) -> int:
    """How many calls make a fifth of a second, after a first one that may compile."""
    run()
    return max(1, int(0.2 / _seconds(run, 1)))


def _seconds(run: Callable[[], Any], repeats: int) -> float:
    gc.collect()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def _peak_mib(run: Callable[[], Any]) -> float:
    """How far a fork of this process grows in one call."""
    context = get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=_grow, args=(run, answer))
    child.start()
    child.join()
    return float(answer.get()) if not answer.empty() else float("nan")


def _grow(run: Callable[[], Any], answer: Any) -> None:
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    start = peak()
    run()
    answer.put((peak() - start) / 1024)
