"""What a training run tells: log.jsonl, TensorBoard events, and a bar on stderr."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from atrous.run.checkpoint import write_bytes
from atrous.types import Image

LINE_S = 60.0
"""Seconds between two lines where there is no bar."""

FIGURES = ("images_per_second", "wait", "memory_mib")
"""Of a step, what is about the machine: share of the time spent waiting for data, for one."""


class Log:
    """Records each step; a resumed log first forgets the steps that will run again.

    run     folder of the run; None for a process that only works
    start   first step to come; `total` how many there are in all
    quiet   no bar; without a terminal, no line each minute
    """

    def __init__(self, run: Path | None, *, start: int, total: int, quiet: bool) -> None:
        self._run, self._start = run, start
        self._file: IO[str] | None = None
        self._events: Any = None
        self._resumed, self._speed = start > 0, 0.0
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not run or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=start)
        self._speaks = bool(run) and not quiet and not console.is_terminal
        self._said, self._total = time.monotonic(), total

    @property
    def has_pictures(self) -> bool:
        """Whether pictures are kept: TensorBoard is installed."""
        return self._events is not None

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            ends.callback(setattr, threading, "excepthook", threading.excepthook)
            threading.excepthook = _hushed(threading.excepthook)
            if self._run:
                path = self._run / "log.jsonl"
                _trim(path, self._start)
                self._file = ends.enter_context(path.open("a"))
                self._events = _events(self._run, self._start)
            if self._events:
                ends.callback(self._events.close)
            self._bar.start()
            ends.callback(self._bar.stop)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError) if error else nullcontext():  # a full disk has been told of
            self._ends.close()

    def step(self, step: int, values: dict[str, float]) -> None:
        """One line for a step that has been made; the first one after a resume says so.

        values  "loss" and "lr", other losses by name, and of `FIGURES` what is known
        """
        figures = {k: round(values[k], 3) for k in FIGURES if k in values}
        line: dict[str, Any] = {"step": step, **values, **figures}
        if self._resumed:
            line, self._resumed = {**line, "resumed": True}, False
        self._write(line)
        for name, value in values.items():
            self._scalar(f"{'run' if name in FIGURES else 'train'}/{name}", value, step)
        words = self._words(values)
        self._bar.update(self._task, completed=step + 1, description=words)
        self._say(step + 1, words)

    def scores(self, step: int, scores: dict[str, Any]) -> None:
        """One line for the scores on the validation data after a step."""
        self._write({"step": step, "eval": scores})
        for name, value in _flat(scores):
            self._scalar(f"eval/{name}", value, step)

    def picture(self, step: int, name: str, pixels: Image) -> None:
        """A picture for TensorBoard."""
        if self._events:
            self._events.add_image(f"parses/{name}", pixels, step, dataformats="HWC")

    def _write(self, line: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
            self._file.flush()

    def _scalar(self, name: str, value: float, step: int) -> None:
        if self._events:
            self._events.add_scalar(name, value, step)

    def _say(self, done: int, words: str) -> None:
        """A line now and then where there is no terminal for a bar, as in a file of Slurm's."""
        if self._speaks and time.monotonic() - self._said > LINE_S:
            self._said = time.monotonic()
            print(f"step {done}/{self._total}  {words}", file=sys.stderr, flush=True)

    def _words(self, values: dict[str, float]) -> str:
        speed = values.get("images_per_second", 0.0)
        self._speed = 0.9 * self._speed + 0.1 * speed if self._speed else speed
        return (
            f"loss {values['loss']:.3f}  lr {values['lr']:.2g}  {self._speed:.1f} images/s  "
            f"{values.get('wait', 0):.0%} waiting for data  "
            f"{values.get('memory_mib', 0) / 1024:.1f} GiB"
        )


def _trim(path: Path, start: int) -> None:
    """Drops the lines of steps from `start` on, and what is no whole record."""
    if not path.exists():
        return
    kept = [line for line in path.read_bytes().splitlines() if 0 <= _step_of(line) < start]
    write_bytes(path, b"".join(line + b"\n" for line in kept))


def _step_of(line: bytes) -> int:
    """The step that a line is of; -1 for what is no whole record."""
    try:
        record = json.loads(line)
    except ValueError:
        return -1
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else -1


def _finite(value: Any) -> Any:
    """Null for what is infinite or no number, which JSON has no word for."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _events(run: Path, start: int) -> Any:
    """A TensorBoard writer where tensorboard is installed, else nothing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run), purge_step=start)


def _hushed(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The hook, but for the thread that writes events: the next event raises what it raised."""

    def hushed(told: Any) -> None:
        if not type(told.thread).__module__.startswith("tensorboard."):
            hook(told)

    return hushed


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            rows.append((prefix + name, float(value)))
    return rows
