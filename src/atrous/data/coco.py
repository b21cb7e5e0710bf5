"""COCO panoptic data sets, in the official tree and in the flat one.

official  annotations/panoptic_val2017.json, annotations/panoptic_val2017/ or panoptic_val2017/,
          val2017/ or images/val2017/; `val` means the one `val` with a year
flat      val.json, val_png/, val/

A class id is the place of its category in the JSON's own list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from atrous.data.source import Entry, FileSource
from atrous.formats import PanopticRecord, read_index, read_segments
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, refuse

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Listing:
    """Which files there are: one look into a folder serves for all that lie in it."""

    seen: dict[Path, set[str]] = field(default_factory=dict)

    def has(self, path: Path) -> bool:
        """Whether there is such a file."""
        folder = path.parent
        if folder not in self.seen:
            self.seen[folder] = _names(folder)
        return path.name in self.seen[folder]


def chosen(places: Mapping[str, P], split: str, *, root: Path, layout: str) -> P:
    """The place of a split; "val" is also the one "val" with a year.

    Raises: BadInput if there is none, or two of different years; `layout` says what was expected.
    """
    if split in places:
        return places[split]
    dated = [name for name in places if re.fullmatch(re.escape(split) + r"\d{4}", name)]
    if len(dated) == 1:
        return places[dated[0]]
    if not places:
        raise BadInput(f"{root}: no {layout}")
    what = f"{len(dated)} splits are a {split!r}" if dated else f"no split {split!r}"
    raise BadInput(f"{root}: {what}: choose one of {', '.join(sorted(places))}")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the three parts of a split lie, or should."""

    json: Path
    images: Path
    pngs: Path

    @property
    def zipped(self) -> Path:
        return self.pngs.with_name(self.pngs.name + ".zip")

    @property
    def has_a_folder(self) -> bool:
        return self.images.is_dir() or self.pngs.is_dir() or self.zipped.is_file()


def splits(root: Path) -> dict[str, int]:
    """Name -> number of label PNGs of each split, as it stands there: `val2017`, not `val`.

    A split is a JSON file with a folder of images or label PNGs.

    Raises: BadInput if there is no such folder.
    """
    places = _places(root)
    return {name: _count(places[name].pngs) for name in sorted(places)}


def open_coco(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Reads the index of a split; a sample's name is the image's file name in the JSON.

    report  hears of images that lack photo, PNG or annotation, which are left out if it returns

    Raises: BadInput if the split, a folder of it, or a part of its JSON is missing or wrong.
    """
    layout = "COCO panoptic data set: expected SPLIT.json, SPLIT_png/, SPLIT/"
    layout = f"{layout} or annotations/panoptic_SPLIT.json"
    place = chosen(_places(root), split, root=root, layout=layout)
    for folder, what in ((place.images, "images"), (place.pngs, "label PNGs")):
        if not folder.is_dir():
            zipped = what == "label PNGs" and place.zipped.is_file()
            mend = f"unzip {place.zipped}" if zipped else f"put the {what} of {place.json} there"
            raise BadInput(f"{folder}: no such folder: {mend}")
    index = read_index(place.json, report=report)
    if index.labels is None:
        raise BadInput(f"{place.json}: the list of categories is empty: add the classes")
    if not index.records:
        raise BadInput(f"{place.json}: lists no image with an annotation: copy or export it again")
    entries = _entries(place, index.records, report)
    return FileSource(index.labels, entries, partial(_read, labels=index.labels))


def _read(entry: Entry, report: Report, *, labels: LabelSpace) -> Labelled:
    record = entry.record
    assert isinstance(record, PanopticRecord)
    return read_segments(entry.truth[0], record.segments, labels.class_ids(), report=report)


def _entries(
    place: _Place, records: tuple[PanopticRecord, ...], report: Report
) -> tuple[Entry, ...]:
    listing, entries = Listing(), []
    what = f"missing, but {place.json} lists it: add it or take it out"
    for record in records:
        name = str(record.image)
        image, png = place.images / name, place.pngs / record.png
        if not listing.has(image):
            report(Fault("labels without a photo", f"{image}: {what}"))
        elif not listing.has(png):
            report(Fault("photos without a label", f"{png}: {what}"))
        else:
            entries.append(Entry(name, image, (png,), record))
    return tuple(entries)


def _count(pngs: Path) -> int:
    return sum(name.endswith(".png") and not name.startswith(".") for name in _names(pngs))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _places(root: Path) -> dict[str, _Place]:
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: give the folder that holds the data set")
    flat = {
        path.stem: _Place(path, root / path.stem, root / f"{path.stem}_png")
        for path in root.glob("*.json")
    }
    official = {
        path.stem.removeprefix("panoptic_"): _official(root, path)
        for path in root.glob("annotations/panoptic_*.json")
    }
    return {name: place for name, place in (flat | official).items() if place.has_a_folder}


def _official(root: Path, path: Path) -> _Place:
    name = path.stem.removeprefix("panoptic_")
    images = _first_folder(root / name, root / "images" / name)
    return _Place(path, images, _first_folder(path.with_suffix(""), root / path.stem))


def _first_folder(usual: Path, other: Path) -> Path:
    return other if other.is_dir() and not usual.is_dir() else usual
