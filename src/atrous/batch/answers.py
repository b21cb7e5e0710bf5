"""What came of each image, as it is told and as it is remembered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atrous.formats import PanopticEntry
from atrous.types import Image, Segment, in_words

Stamp = tuple[int, int]
"""Bytes of a file, and when it was changed, in nanoseconds: another stamp, another file."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a folder's journal keeps of one parsed picture: all that its JSON needs.

    name     of its files, without suffix; `unit` that of the input, the same but for frames
    image    file name of the picture, as panoptic JSON has it
    source   where it was read
    stamp    of the file at that time
    frame    its place in a video, from 1; 0 = it is no frame
    outputs  files by kind, relative to the folder
    at       when it was done, in seconds
    """

    name: str
    unit: str
    image: str
    source: str
    stamp: Stamp
    frame: int
    size_hw: tuple[int, int]
    segments: tuple[Segment, ...]
    outputs: dict[str, str]
    at: float

    def line(self) -> bytes:
        """The record as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of(cls, data: dict[str, Any]) -> Record:
        """The record that a line holds, as JSON is read.

        Raises: ValueError, KeyError or TypeError for anything else.
        """
        rows = [{**row, "box": tuple(row["box"])} for row in data["segments"]]
        (height, width), (size, changed) = data["size_hw"], data["stamp"]
        made = {
            "segments": tuple(Segment(**row) for row in rows),
            "size_hw": (height, width),
            "stamp": (size, changed),
        }
        return cls(**{**data, **made})

    def entry(self) -> PanopticEntry:
        """The picture as panoptic JSON lists it."""
        png = Path(self.outputs["panoptic"]).name
        return PanopticEntry(self.name, self.image, png, self.size_hw, self.segments)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one picture: a record, or a problem in one line.

    file     what the user calls it
    outputs  files that were written, by kind
    is_old   it was done before, and is not done again
    picture  it with its segments painted over, where a film is made of it
    """

    file: str
    record: Record | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    is_old: bool = False
    picture: Image | None = None

    @property
    def title(self) -> str:
        """What the user calls it, and which frame it is."""
        frame = self.record.frame if self.record else 0
        return f"{self.file}, frame {frame}" if frame else self.file

    @property
    def words(self) -> str:
        """What was found, or the problem."""
        return in_words(self.record.segments) if self.record else self.problem

    def to_json(self) -> dict[str, Any]:
        """The line that `atrous parse --json` prints; those of a video's frames have "frame"."""
        if self.record is None:
            raise ValueError(self.problem)
        return {
            "schema": 1,
            "file": self.file,
            **({"frame": self.record.frame} if self.record.frame else {}),
            "size_hw": list(self.record.size_hw),
            "segments": [asdict(segment) for segment in self.record.segments],
            "outputs": self.outputs,
        }


@dataclass(frozen=True, slots=True)
class Over:
    """A video is at its end: it comes behind the answers to all its frames.

    problem  in one line, if that is not where it should end
    """

    file: str
    source: str
    stamp: Stamp
    frames: int
    problem: str = ""
