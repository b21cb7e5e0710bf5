"""What a run's log tells, read back as columns of numbers."""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.types import BadInput

Steps = NDArray[np.int64]
Column = NDArray[np.float64]

# Integers of any length become floats: no step or count can overflow its column.
_JSON = json.JSONDecoder(parse_int=float)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The steps and evaluations of a run; NaN is what its log does not say.

    steps    (n,) rising
    columns  (n,) each, by the log's own name: "loss", "lr", and the terms of the loss
    scored   (m,) the steps after which it was evaluated, rising
    scores   (m,) each, by their path in the log, such as "panoptic/all/pq"; fractions in [0, 1]
    resumed  (k,) the first step after each resume
    """

    steps: Steps
    columns: dict[str, Column]
    scored: Steps
    scores: dict[str, Column]
    resumed: Steps


def history(run: Path) -> History:
    """Reads `run`/log.jsonl; a line that is no whole record, as a killed run leaves, is skipped.

    Steps that were made again after a resume are told by their last line.

    Raises: BadInput if there is no such folder, no log in it, or no step in the log.
    """
    made, scored = _Table(), _Table()
    for step, line in _records(_log_of(run)):
        if isinstance(line.get("eval"), dict):
            scored.add(step, dict(_flat(line["eval"])))
        else:
            made.add(step, dict(_flat(line)) | {"resumed": float(line.get("resumed") is True)})
    if not made.steps and not scored.steps:
        raise BadInput(f"{run}: its log.jsonl has no step yet: train first")
    columns = made.arrays()
    resumed = columns.pop("resumed", np.empty(0)) > 0
    steps = np.array(made.steps, np.int64)
    return History(
        steps, columns, np.array(scored.steps, np.int64), scored.arrays(), steps[resumed]
    )


def _log_of(run: Path) -> Path:
    if not run.is_dir():
        what = "is a file: name" if run.exists() else "no such folder: train first, or name"
        raise BadInput(f"{run}: {what} the folder of a run")
    log = run / "log.jsonl"
    if not log.is_file():
        raise BadInput(f"{run}: no log.jsonl in it: train first, or name the folder of a run")
    return log


@dataclass(slots=True)
class _Table:
    """Columns that grow by a row at a time, at eight bytes a number."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    columns: dict[str, array[float]] = field(default_factory=dict)

    def add(self, step: int, row: dict[str, float]) -> None:
        """Appends a row; it takes the place of all that is not before it."""
        size = len(self.steps)
        if size and self.steps[-1] >= step:
            size = bisect_left(self.steps, step)
            del self.steps[size:]
            for column in self.columns.values():
                del column[size:]
        self.steps.append(step)
        for name, value in row.items():
            if name not in self.columns:
                self.columns[name] = array("d")
            column = self.columns[name]
            if len(column) < size:
                _fill(column, size)
            column.append(value)

    def arrays(self) -> dict[str, Column]:
        for column in self.columns.values():
            _fill(column, len(self.steps))
        return {name: np.array(column, np.float64) for name, column in self.columns.items()}


def _fill(column: array[float], size: int) -> None:
    """Says NaN up to `size`."""
    column.extend([math.nan] * (size - len(column)))


def _records(log: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(step, line) of each line that is a whole record; every number of it is a float."""
    try:
        with log.open("rb") as file:
            for text in file:
                line = _parsed(text)
                step = line.get("step")
                if type(step) is float and step.is_integer() and 0 <= step < 2**53:
                    yield int(step), line
    except OSError as error:
        raise BadInput(f"{log}: cannot be read ({error.strerror}): check its rights") from None


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        line = _JSON.decode(text.decode())
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """(path, number) of all numbers but the step; True and False are none."""
    for name, value in data.items():
        if type(value) is float:
            if name != "step":
                yield prefix + name, value
        elif isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
