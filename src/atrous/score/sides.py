"""One side of a comparison: labelled images of any make, read one at a time by their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from atrous.formats import read_id_runs, regions_of, usable_rows
from atrous.formats.agreement import SegmentRows
from atrous.formats.panoptic_index import PanopticRecord
from atrous.labels import LabelSpace
from atrous.types import IdMap, IdRuns, Labelled, Region, Report

Reader = Callable[[tuple[Path, ...], Report], Labelled]
"""Makes one image of the files of a key; it must be fit to be sent to another process."""

SizeHW = tuple[int, int]

Holds = Literal["segments", "classes", "instances"]
"""What a side knows: one segment for each pixel, one class, or masks that may overlap."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an image is called.

    id     that both sides may share
    photo  file name of the photo, where the side says it
    label  file name of the label, or what it begins with
    """

    id: int | str | None
    photo: str | None
    label: str | None = None

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of its files without folder and suffix."""
        names = (self.photo, self.label)
        return tuple(dict.fromkeys(Path(name).stem for name in names if name is not None))

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.photo or self.label or str(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One image of a side.

    claims  what a list says of the segments, to be held against their pixels; None if the
            regions come from the pixels themselves
    source  names the file in faults
    """

    ids: IdMap | IdRuns
    regions: tuple[Region, ...]
    claims: SegmentRows | None
    source: str

    @property
    def labelled(self) -> Labelled:
        """The image as all others know it."""
        return Labelled(np.asarray(self.ids), self.regions)


class Side(Protocol):
    """Truth or prediction."""

    @property
    def labels(self) -> LabelSpace:
        """The classes that regions are sorted into."""

    @property
    def holds(self) -> Holds:
        """What it knows of its images."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What its images are called, in order."""

    def read(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Reading:
        """Reads one image; `report` hears of what is left out.

        size_hw  of the image, where another side has told it

        Raises: BadInput if a file is missing or damaged.
        """

    def part(self, places: tuple[int, ...]) -> Self:
        """The side of these images alone: small to send to another process."""


@dataclass(frozen=True, slots=True, eq=False)
class PanopticSide:
    """COCO panoptic: an index and a folder of PNGs; class_ids is category id -> class id."""

    labels: LabelSpace
    class_ids: Mapping[int, int]
    folder: Path
    records: tuple[PanopticRecord, ...]
    holds: Holds = "segments"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """By image id, photo and PNG."""
        return tuple(Entry(r.image_id, r.image, r.png) for r in self.records)

    def read(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Reading:
        """The PNG as it is, with the rows that can be segments."""
        record = self.records[place]
        path = self.folder / record.png
        rows = usable_rows(record.segments, source=path, class_ids=self.class_ids, report=report)
        ids = read_id_runs(path)
        if len(rows) < len(record.segments):
            gone = set(record.segments[:, 0].tolist()) - set(rows[:, 0].tolist())
            ids = without(ids, gone)
        regions = regions_of(rows, self.class_ids, record.scores)
        return Reading(ids, regions, rows, str(path))

    def part(self, places: tuple[int, ...]) -> PanopticSide:
        """These images alone."""
        return replace(self, records=tuple(self.records[i] for i in places))


@dataclass(frozen=True, slots=True, eq=False)
class FileSide:
    """Label files that say all themselves; `reader` makes one image of the files of a key.

    form       name of the format
    class_ids  class id of the reader -> class id; what is not in it becomes void
    """

    form: str
    labels: LabelSpace
    holds: Holds
    files: tuple[tuple[str, tuple[Path, ...]], ...]
    reader: Reader
    class_ids: Mapping[int, int]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """By key."""
        return tuple(Entry(None, None, key) for key, _ in self.files)

    def read(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Reading:
        """What the files say."""
        _, paths = self.files[place]
        labelled = self.reader(paths, report)
        known = [r for r in labelled.regions if r.class_id in self.class_ids]
        gone = {r.id for r in labelled.regions} - {r.id for r in known}
        ids = without(labelled.ids, gone) if gone else labelled.ids
        regions = (replace(r, class_id=self.class_ids[r.class_id]) for r in known)
        return Reading(ids, tuple(regions), None, str(paths[0]))

    def part(self, places: tuple[int, ...]) -> FileSide:
        """These images alone."""
        return replace(self, files=tuple(self.files[i] for i in places))


def without(ids: IdMap | IdRuns, gone: set[int]) -> IdMap:
    """The map with some ids void."""
    pixels = np.asarray(ids)
    return np.where(np.isin(pixels, list(gone)), 0, pixels).astype(np.int32)
