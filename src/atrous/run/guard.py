"""What can end a run from outside, in one line: signals, full disks, lost processes, memory."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from atrous.run.world import World
from atrous.types import BadInput, Failed

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
SAME_S = 1.0
"""Signals so close together are one wish to stop."""
FULL = {errno.ENOSPC, errno.EDQUOT}
AGAIN, ANEW = "then --resume goes on from the last state", "begin anew with"
COMPILERS = ("torch._dynamo.", "torch._inductor.")


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying of them; a later SIGINT does kill.

    One Ctrl-C can arrive twice: from the terminal, and passed on by `torchrun` and its like.
    """
    caught: list[int] = []
    since = 0.0

    def note(number: int, _: object) -> None:
        nonlocal since
        since = since or time.monotonic()
        if number == signal.SIGINT and time.monotonic() - since > SAME_S:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are not ours
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def on_disk(run: Path) -> Iterator[None]:
    """Turns what a full disk raises into `Failed`, with the mend."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        mend = "free some space" if error.errno in FULL else "check the disk and its rights"
        raise Failed(f"{error.filename or run}: {what}: {mend}, {AGAIN}") from error


@contextmanager
def one_line(run: Path, world: World) -> Iterator[None]:
    """Turns what can happen to a healthy run into `Failed`, with the mend."""
    try:
        with on_disk(run), known_ends():
            yield
    except BadInput as error:
        if world.size == 1:
            raise
        raise Failed(f"process {world.rank}: {error}") from error


@contextmanager
def known_ends() -> Iterator[None]:
    """Turns lost processes, too little memory and the like into `Failed`, with the mend."""
    try:
        yield
    except Failed:
        raise
    except (RuntimeError, MemoryError) as error:
        mend = _mend(error)
        if mend is None:
            raise
        raise Failed(mend) from error


@contextmanager
def reproducible(*, wanted: bool) -> Iterator[None]:
    """Lets torch use only what gives equal bytes, on CUDA too, where that is wanted.

    An operation that has no such form raises RuntimeError. cuBLAS takes notice only before the
    first product of matrices on CUDA in this process.

    Source: torch.use_deterministic_algorithms.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, space = torch.backends.cudnn.deterministic, os.environ.get(WORKSPACE)
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warns)
        torch.backends.cudnn.deterministic = cudnn
        if space is None:
            del os.environ[WORKSPACE]


def _mend(error: Exception) -> str | None:
    """What happened and what to do about it, where that is known."""
    text = str(error)
    first = text.partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return f"out of memory: {ANEW} train.accumulate=2 or more, or let --auto-batch choose it"
    if "deterministic" in text and "implementation" in text:
        what = first.partition(", but you set")[0]
        return f"train.deterministic: {what}: {ANEW} train.deterministic=false"
    if type(error).__module__.startswith(COMPILERS):
        mend = f"install a C++ compiler and Python's headers, or {ANEW} train.compile=false"
        return f"train.compile: torch.compile failed ({first}): {mend}"
    if any(word in text for word in ("gloo", "NCCL", "Connection closed", "Connection reset")):
        return f"another process of this run has ended: see what it said, {AGAIN}"
    return None
