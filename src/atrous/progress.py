"""How far a long piece of work is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_S = 60.0
"""Seconds between two lines where there is no bar."""


class SpeedColumn(ProgressColumn):
    """Images a second, over the last half minute."""

    def render(self, task: Task) -> Text:
        """Such as "3.2 images/s"; nothing until the first is done."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} images/s" if speed else "")


class Lines:
    """A line now and then where there is no terminal for a bar, as in a file of Slurm's.

    total  None = nobody knows
    """

    def __init__(self, total: int | None) -> None:
        self._total, self._begun = total, time.monotonic()
        self._said = self._begun

    def __call__(self, done: int) -> None:
        """Says how many are done, if it is a while since that was said."""
        now = time.monotonic()
        if now - self._said > LINE_S:
            self._said = now
            print(f"images {self._words(done, now - self._begun)}", file=sys.stderr, flush=True)

    def _words(self, done: int, passed_s: float) -> str:
        speed = done / passed_s
        if self._total is None or not done:
            return f"{done}, {speed:.1f} images/s"
        left = (self._total - done) / speed / 60
        return f"{done}/{self._total}, {speed:.1f} images/s, {left:.0f} min left"


@contextmanager
def progress(total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr, elsewhere a line a minute.

    Yields what to call with the number of images done.

    total  None = nobody knows
    """
    console = Console(stderr=True)
    is_short = total is not None and total < 2
    if quiet or is_short:
        yield lambda done: None
        return
    if not console.is_terminal:
        yield Lines(total)
        return
    shown = BarColumn(), MofNCompleteColumn(), SpeedColumn(), TimeRemainingColumn()
    with Progress(
        TextColumn("images"),
        *shown,
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else it would put our data on stderr
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
