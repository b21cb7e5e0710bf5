"""A folder of results that knows what is in it already."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from atrous.batch.answers import Answer, Record, Stamp
from atrous.batch.inputs import Input, source_of
from atrous.batch.journal import Ended, Journal, Known, full, now
from atrous.batch.merging import write_panoptic_json
from atrous.batch.sheet import Sheet, write_contact_sheet
from atrous.formats.files import require_utf8
from atrous.labels import LabelSpace
from atrous.result import Result, ResultFolder
from atrous.types import BadInput


class Shelf:
    """Results on their way into a folder, and those that lie there.

    results    writes the files of one result
    journal    remembers them
    kinds      of maps that are asked for besides: pictures that lack one are not done
    has_sheet  whether there is to be a contact sheet of the overlays
    """

    def __init__(
        self,
        results: ResultFolder,
        journal: Journal,
        *,
        kinds: Iterable[str] = (),
        has_sheet: bool = False,
    ) -> None:
        self._results, self.journal, self._kinds = results, journal, tuple(kinds)
        self._has_sheet = has_sheet
        self.sheet: Sheet | None = None
        """The contact sheet, when it is there."""
        self._old: dict[str, list[Known]] = {}
        for line in journal.current():
            self._old.setdefault(line.source, []).append(line)
        self._ended = dict(journal.ended)
        outputs = (output for lines in self._old.values() for x in lines for output in x.outputs)
        kinds_there = {output.rpartition("/")[0] for output in outputs}
        self._there = {kind: _names(journal.folder / kind) for kind in kinds_there}

    @property
    def names(self) -> Mapping[str, str]:
        """Source -> the name that its results have."""
        return {source: lines[0].unit for source, lines in self._old.items()}

    def check(self, labels: LabelSpace) -> None:
        """Raises BadInput if the format of the label files cannot hold these classes."""
        self._results.check(labels)

    def old(self, each: Input, *, limit: int) -> Iterator[Answer]:
        """The answers to an input that is done, read again; nothing if it is not, or has changed.

        limit  of a video's frames, 0 = none
        """
        lines = self._old.get(source_of(each), [])
        if each.is_live or not lines or lines[0].stamp != stamp_of(each):
            return
        if each.is_video and not self._is_ended(each, len(lines), limit):
            return
        if not all(map(self._is_whole, lines)):
            return
        for record in self.journal.records(lines):
            outputs = self._paths(record.outputs)
            yield Answer(each.file, record, outputs=outputs, is_old=True)

    def add(self, result: Result, record: Record) -> Record:
        """Writes the files of a result, then its line in the journal; from any thread.

        Raises: BadInput if this picture cannot be written; Failed if nothing more can.
        """
        try:
            _, outputs = self._results.write(result)
        except BadInput as error:
            cause = error.__context__
            if not isinstance(cause, OSError) or cause.errno == errno.ENAMETOOLONG:
                raise
            raise full(str(error).rpartition(": ")[0]) from error
        folder = self.journal.folder
        relative = {
            kind: Path(path).relative_to(folder).as_posix() for kind, path in outputs.items()
        }
        kept = replace(record, outputs=relative)
        self.journal.add(kept)
        return kept

    def ended(self, line: Ended) -> None:
        """Remembers that a video is done, or that a picture cannot be."""
        self.journal.add(line)

    def outputs(self, record: Record) -> dict[str, str]:
        """The files of a record."""
        return self._paths(record.outputs)

    def finish(
        self, order: Mapping[str, int], labels: LabelSpace, *, is_stopped: bool = False
    ) -> None:
        """Writes panoptic.json of all that is done, by whomever, if there is anything.

        order       unit -> place in it
        is_stopped  whether somebody waits for the end: the contact sheet is left out then

        Raises: Failed if it cannot be written.
        """
        try:
            self.journal.refresh()
            lines = self.journal.current(order)
            write_panoptic_json(self.journal, lines, labels)
            if self._has_sheet and not is_stopped:
                self.sheet = write_contact_sheet(self.journal.folder, lines)
        except BadInput as error:
            if not isinstance(error.__context__, OSError):
                raise
            raise full(str(error).rpartition(": ")[0]) from error
        finally:
            self.journal.close()

    def _is_ended(self, each: Input, frames: int, limit: int) -> bool:
        ended = self._ended.get(source_of(each))
        if ended is None or ended.problem or ended.stamp != stamp_of(each):
            return False
        return (ended.frames, ended.limit) == (frames, limit)

    def _is_whole(self, line: Known) -> bool:
        """Whether all of a picture's files are there, and all kinds that are asked for."""
        parts = [output.rpartition("/") for output in line.outputs]
        kinds = {kind for kind, _, _ in parts}
        return kinds >= set(self._kinds) and all(n in self._there[kind] for kind, _, n in parts)

    def _paths(self, outputs: Mapping[str, str]) -> dict[str, str]:
        return {kind: str(self.journal.folder / path) for kind, path in outputs.items()}


def stamp_of(each: Input) -> Stamp:
    """What changes when a file does; zeros where there is none."""
    with suppress(OSError):
        found = os.stat(each.path)
        return found.st_size, found.st_mtime_ns
    return 0, 0


def record_of(result: Result, *, unit: str, source: str, stamp: Stamp, frame: int = 0) -> Record:
    """What is to be remembered of a result, but for its files."""
    height, width = result.panoptic.shape
    return Record(
        name=result.name,
        unit=unit,
        image=result.file,
        source=source,
        stamp=stamp,
        frame=frame,
        size_hw=(height, width),
        segments=result.segments,
        outputs={},
        at=now(),
    )


def require_name(each: Input) -> None:
    """Raises BadInput if JSON cannot hold the name of a file."""
    require_utf8(each.path.name)


def _names(folder: Path) -> set[str]:
    """What lies in a folder: one look at it, for a look at each file takes long on some disks."""
    with suppress(OSError):
        return set(os.listdir(folder))
    return set()
