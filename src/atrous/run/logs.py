"""What a training run tells: log.jsonl, TensorBoard events, and a bar on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from atrous.run.checkpoint import write_bytes


class Log:
    """Records each step; a resumed log first forgets the steps that will run again.

    run     folder of the run
    start   first step to come; `total` how many there are in all
    quiet   no bar
    """

    def __init__(self, run: Path, *, start: int, total: int, quiet: bool) -> None:
        self._path = run / "log.jsonl"
        self._trim(start)
        self._file = self._path.open("a")
        self._events = _events(run, start)
        self._resumed = start > 0
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=start)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._file.close()
        if self._events:
            self._events.close()

    def step(self, step: int, values: dict[str, float], *, images_per_second: float) -> None:
        """One line for a step that has been made; the first one after a resume says so."""
        line: dict[str, Any] = {"step": step, **values}
        if self._resumed:
            line, self._resumed = {**line, "resumed": True}, False
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(f"train/{name}", value, step)
        words = (
            f"loss {values['loss']:.3f}  lr {values['lr']:.5f}  {images_per_second:.1f} images/s"
        )
        self._bar.update(self._task, completed=step + 1, description=words)

    def scores(self, step: int, scores: dict[str, Any]) -> None:
        """One line for the scores on the validation data after a step."""
        self._file.write(json.dumps({"step": step, "eval": scores}) + "\n")
        self._file.flush()
        if self._events:
            for name, value in _flat(scores):
                self._events.add_scalar(f"eval/{name}", value, step)

    def _trim(self, start: int) -> None:
        if not self._path.exists():
            return
        lines = [line for line in self._path.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] < start]
        write_bytes(self._path, "".join(line + "\n" for line in kept).encode())


def _events(run: Path, start: int) -> Any:
    """A TensorBoard writer where tensorboard is installed, else nothing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run), purge_step=start)


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            rows.append((prefix + name, float(value)))
    return rows
