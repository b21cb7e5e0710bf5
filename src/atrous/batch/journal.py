"""What a folder of results remembers of each one, as it is done.

`panoptic.jsonl` has a line for each picture, written
when its files are there; each of several processes has a `panoptic.RANK.jsonl` of its own. So a
kill at any moment leaves files that are whole and lines for them; a line that is torn is not read.
The first line of each is like that of no other, so it can be seen that a journal was begun anew.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from atrous.batch.answers import Record, Stamp
from atrous.batch.making import Made
from atrous.batch.tail import Tail
from atrous.types import BadInput, Failed

NAME = re.compile(r"panoptic(?:\.(\d+))?\.jsonl")


@dataclass(frozen=True, slots=True)
class Known:
    """Where a picture's line is, and what says whether it still holds."""

    name: str
    unit: str
    source: str
    stamp: Stamp
    frame: int
    outputs: tuple[str, ...]
    at: float
    journal: Path
    place: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A video that was parsed to its end, or a picture that could not be.

    frames   how many there are; `limit` how many were asked for, 0 = all
    problem  in one line
    """

    source: str
    stamp: Stamp
    at: float
    frames: int = 0
    limit: int = 0
    problem: str = ""


class Journal:
    """The lines of all processes, read; those of this one, written. Any thread may write.

    rank       of this process among `size`; None = it is alone
    overwrite  what was there before counts for nothing. Whether journals of other processes are of
               this run shows when they grow, or are begun anew: what one had done to the last
               picture before this one even looked is done again, once it is taken for dead

    Raises: BadInput if the folder holds results of another model or other settings.
    """

    def __init__(
        self,
        folder: Path,
        made: Made,
        *,
        rank: int | None = None,
        size: int = 1,
        overwrite: bool = False,
    ) -> None:
        self.folder, self._made, self._size = folder, made, size
        self.known: dict[str, Known] = {}
        """Name -> the newest line of that name."""
        self.ended: dict[str, Ended] = {}
        """Source -> its newest line."""
        self.done: dict[str, Path] = {}
        """Source of an image with a line of either kind, or of a video that has ended -> where."""
        self._own = folder / ("panoptic.jsonl" if rank is None else f"panoptic.{rank}.jsonl")
        there = journals(folder) if overwrite else []
        self._tails = {path: Tail(path, is_stale=True) for path in there}
        self._foreign: set[Path] = set()
        self._readers: dict[Path, BinaryIO] = {}
        self._lock, self._file = threading.Lock(), -1
        self._overwrite, self._is_first = overwrite, rank in (None, 0)
        if not overwrite:
            made.require_same(folder)
            self.refresh()

    def refresh(self) -> None:
        """Reads what all have written since."""
        with self._lock:
            there = journals(self.folder)
            for path in self._tails.keys() - {*there, self._own}:
                del self._tails[path]
                self._drop(path)
            for path in there:
                was_read, tail = path in self._tails, self._tails.setdefault(path, Tail(path))
                for place, line in tail.lines():
                    if was_read and place == 0:
                        self._drop(path)
                    self._take(path, place, line)

    def add(self, line: Record | Ended) -> None:
        """Writes one line, at once.

        Raises: BadInput if the folder cannot be begun; Failed if a line cannot be written later.
        """
        with self._lock:
            self._begin()
            data = line.line() if isinstance(line, Record) else _ended_line(line)
            try:
                place = os.lseek(self._file, 0, os.SEEK_END)
                if os.write(self._file, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                raise full(f"{self._own}: cannot be written ({error.strerror})") from error
            self._take(self._own, place, data)

    def begin(self) -> None:
        """Makes the folder what it is, before the first picture; again does nothing.

        Raises: BadInput if it cannot be written into.
        """
        with self._lock:
            self._begin()

    def current(self, order: Mapping[str, int] = MappingProxyType({})) -> list[Known]:
        """The lines that hold: none of files that were parsed again since they changed.

        Nor of frames behind the end of a later, shorter pass of their video.

        order  unit -> place: those without one, of earlier runs with other inputs, come first
        """
        newest: dict[str, Known] = {}
        for line in self.known.values():
            if line.source not in newest or newest[line.source].at < line.at:
                newest[line.source] = line
        lines = (x for x in self.known.values() if x.stamp == newest[x.source].stamp)
        holding = (line for line in lines if not self._is_behind(line))
        return sorted(holding, key=lambda line: (order.get(line.unit, -1), line.unit, line.frame))

    def records(self, lines: Iterable[Known]) -> Iterator[Record]:
        """What the lines hold, in their order, but for those that another process began anew."""
        for line in lines:
            record = self._record(line)
            if record is not None and record.name == line.name:
                yield record

    def close(self) -> None:
        """Closes the files."""
        while self._readers:
            self._readers.popitem()[1].close()
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _is_behind(self, line: Known) -> bool:
        """Whether a later pass of the same video ended before this frame."""
        ended = self.ended.get(line.source)
        if ended is None or ended.stamp != line.stamp:
            return False
        return line.frame > ended.frames and line.at <= ended.at

    def _record(self, line: Known) -> Record | None:
        """What a line holds; None if it is no longer there."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            if line.journal not in self._readers:
                self._readers[line.journal] = line.journal.open("rb")
            self._readers[line.journal].seek(line.place)
            return Record.of(json.loads(self._readers[line.journal].readline()))
        return None

    def _begin(self) -> None:
        if self._file >= 0:
            return
        self._made.write(self.folder)
        if self._overwrite:
            self._forget()
        try:
            self._file = os.open(self._own, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(self._file, self._head())
        except OSError as error:
            what = f"{self._own}: cannot be written ({error.strerror})"
            raise BadInput(f"{what}: choose another --out") from None

    def _head(self) -> bytes:
        """What goes before the first new line: an end to a torn one, and by what all are made.

        The number makes it like no other; it says nothing.
        """
        is_torn = False
        if size := os.lseek(self._file, 0, os.SEEK_END):
            os.lseek(self._file, size - 1, os.SEEK_SET)
            is_torn = os.read(self._file, 1) != b"\n"
        head = {"made": self._made.key, "begun": os.urandom(8).hex()}
        return b"\n" * is_torn + json.dumps(head).encode() + b"\n"

    def _forget(self) -> None:
        """Starts anew: the own journal goes; of the first process, what is nobody's goes too."""
        if self._is_first:
            for name in ("panoptic.json", "contact_sheet.png", "contact_sheet.jpg"):
                (self.folder / name).unlink(missing_ok=True)
        for path in journals(self.folder):
            rank = NAME.fullmatch(path.name)
            is_stray = self._size == 1 or not rank or not rank[1] or int(rank[1]) >= self._size
            if path == self._own or (self._is_first and is_stray):
                path.unlink(missing_ok=True)

    def _drop(self, path: Path) -> None:
        """Forgets what a journal held that is begun anew, or gone."""
        self.known = {name: line for name, line in self.known.items() if line.journal != path}
        held = {source for source, where in self.done.items() if where == path}
        self.ended = {source: line for source, line in self.ended.items() if source not in held}
        self.done = {source: where for source, where in self.done.items() if source not in held}
        if reader := self._readers.pop(path, None):
            reader.close()

    def _take(self, path: Path, place: int, line: bytes) -> None:
        """Remembers a line, but for what is torn or made otherwise."""
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            data = json.loads(line)
            if "made" in data:
                is_foreign = data["made"] != self._made.key
                (self._foreign.add if is_foreign else self._foreign.discard)(path)
            elif path in self._foreign:
                return
            elif "problem" in data:
                self._end(Ended(**{**data, "stamp": tuple(data["stamp"])}), path)
            else:
                self._know(Record.of(data), path, place)

    def _know(self, record: Record, path: Path, place: int) -> None:
        if not record.frame:
            self.done[record.source] = path
        before = self.known.get(record.name)
        if before is None or before.at <= record.at:
            self.known[record.name] = Known(
                name=record.name,
                unit=record.unit,
                source=record.source,
                stamp=record.stamp,
                frame=record.frame,
                outputs=tuple(record.outputs.values()),
                at=record.at,
                journal=path,
                place=place,
            )

    def _end(self, ended: Ended, path: Path) -> None:
        self.done[ended.source] = path
        before = self.ended.get(ended.source)
        if before is None or before.at <= ended.at:
            self.ended[ended.source] = ended


def journals(folder: Path) -> list[Path]:
    """The journals in a folder, none if there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        named = (path for path in folder.iterdir() if NAME.fullmatch(path.name))
        return sorted(path for path in named if path.is_file())
    return []


def full(what: str) -> Failed:
    """The end of a run that cannot write on."""
    return Failed(f"{what}: make room, then run the same command again, which skips what is done")


def now() -> float:
    """Seconds, the same for all processes."""
    return time.time()


def _ended_line(ended: Ended) -> bytes:
    fields = {name: getattr(ended, name) for name in Ended.__slots__}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
