"""Cityscapes: street scenes of 50 cities in 19 classes, 8 of them things.

leftImg8bit/SPLIT/CITY/*_leftImg8bit.png        photos, .jpg too
gtFine/SPLIT/CITY/*_gtFine_instanceIds.png      fine labels of train, val and test
gtCoarse/SPLIT/CITY/*_gtCoarse_instanceIds.png  coarse labels of train, val and train_extra

The three lie in one folder, or each archive was unpacked into a folder of its name, as in
leftImg8bit_trainvaltest/leftImg8bit/. Where a split has only *_labelIds.png, or *_labelTrainIds.png
for `open_train_ids`, all classes are stuff. The labels of `test` are void everywhere.

| split | images | made of |
|---|---|---|
| train, val, test | 2,975, 500, 1,525 | gtFine |
| trainval | 3,475 | gtFine, both |
| coarse | 19,998 | gtCoarse/train_extra; the papers say 20,000 |
| coarse-train, coarse-val | 2,975, 500 | gtCoarse of the photos of train and val |
| train+coarse, trainval+coarse | 22,973, 23,473 | fine labels, then `coarse` |

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016;
README and helpers/labels.py of mcordts/cityscapesScripts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from atrous.data.finding import all_stuff, base_of, paired, require_folder, require_split
from atrous.data.source import Entry, FileSource
from atrous.formats import read_cityscapes, read_classes
from atrous.labels import (
    CITYSCAPES,
    CITYSCAPES_IGNORED,
    CITYSCAPES_TRAIN_IDS,
    CITYSCAPES_TRAIN_IDS_IGNORED,
    LabelSpace,
)
from atrous.types import BadInput, Labelled, Report, refuse


@dataclass(frozen=True, slots=True)
class _Part:
    """A folder of labels, such as gtFine/train, and the photos of the same split."""

    labels: str
    split: str


_TRAIN, _VAL = _Part("gtFine", "train"), _Part("gtFine", "val")
_EXTRA = _Part("gtCoarse", "train_extra")

SPLITS: Mapping[str, tuple[_Part, ...]] = MappingProxyType(
    {
        "train": (_TRAIN,),
        "val": (_VAL,),
        "test": (_Part("gtFine", "test"),),
        "trainval": (_TRAIN, _VAL),
        "coarse": (_EXTRA,),
        "coarse-train": (_Part("gtCoarse", "train"),),
        "coarse-val": (_Part("gtCoarse", "val"),),
        "train+coarse": (_TRAIN, _EXTRA),
        "trainval+coarse": (_TRAIN, _VAL, _EXTRA),
    }
)
"""Split -> the folders that it is made of."""

_FOLDERS = ("leftImg8bit", "gtFine", "gtCoarse")
_ARCHIVES = ("leftImg8bit_trainvaltest", "leftImg8bit_trainextra", "gtFine_trainvaltest")
_PHOTO = re.compile(r"(?P<key>[^.].*)_leftImg8bit\.(?:png|jpe?g)", re.IGNORECASE)
_INSTANCES, _CLASSES, _TRAIN_IDS = "instanceIds", "labelIds", "labelTrainIds"


@dataclass(frozen=True, slots=True)
class _Found:
    """The files of a part by the key of their image; labels by the ending of their names first."""

    part: _Part
    images: Path
    truths: Path
    photos: dict[str, Path]
    labels: dict[str, dict[str, Path]]


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of each split whose folders of photos and labels are there.

    Raises: BadInput if the root holds none of the three folders.
    """
    base = _base(root)
    sizes = {
        part: len(_photos(_folder(base, "leftImg8bit", part.split)))
        for part in {part for parts in SPLITS.values() for part in parts}
        if all(_folder(base, kind, part.split).is_dir() for kind in ("leftImg8bit", part.labels))
    }
    return {
        name: sum(sizes[part] for part in parts)
        for name, parts in SPLITS.items()
        if all(part in sizes for part in parts)
    }


def open_cityscapes(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split: things are told apart where all its folders have *_instanceIds.png.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if a folder is missing or holds no such labels.
    """
    found = _opened(root, split)
    ending = _ending(found, (_INSTANCES, _CLASSES), other=_TRAIN_IDS, spec="cityscapes-train-ids")
    entries = _entries(found, ending, report)
    if ending == _INSTANCES:
        return FileSource(CITYSCAPES, entries, _read_instances)
    return _class_maps(CITYSCAPES, CITYSCAPES_IGNORED, entries)


def open_train_ids(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split whose class maps are *_labelTrainIds.png; all classes are stuff.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if a folder is missing or holds no such labels.
    """
    found = _opened(root, split)
    ending = _ending(found, (_TRAIN_IDS,), other=_CLASSES, spec="cityscapes")
    entries = _entries(found, ending, report)
    return _class_maps(CITYSCAPES_TRAIN_IDS, CITYSCAPES_TRAIN_IDS_IGNORED, entries)


def _class_maps(
    labels: LabelSpace, ignored: frozenset[int], entries: tuple[Entry, ...]
) -> FileSource:
    stuff = all_stuff(labels)
    return FileSource(stuff, entries, partial(_read_classes, labels=stuff, ignored=ignored))


def _read_instances(entry: Entry, report: Report) -> Labelled:
    return read_cityscapes(entry.truth[0], report=report)


def _read_classes(
    entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]
) -> Labelled:
    return read_classes(entry.truth[0], labels, ignored=ignored, report=report)


def _opened(root: Path, split: str) -> tuple[_Found, ...]:
    """What lies in the folders of a split; that one of them is missing is told by name."""
    base = _base(root)
    if split not in SPLITS:
        require_split(split, splits(root), root)
    return tuple(_found(base, part) for part in SPLITS[split])


def _found(base: Path, part: _Part) -> _Found:
    images, truths = (_folder(base, kind, part.split) for kind in ("leftImg8bit", part.labels))
    for folder, kind in ((images, "leftImg8bit"), (truths, part.labels)):
        archive = f"{_archive(kind, part.split)}.zip"
        mend = f"download {archive} of Cityscapes and unzip it in {base}"
        require_folder(folder, root=base, archives=archive, mend=mend)
    return _Found(part, images, truths, _photos(images), _labels(truths, part.labels))


def _ending(found: tuple[_Found, ...], wanted: tuple[str, ...], *, other: str, spec: str) -> str:
    """The first of the wanted endings that all parts have, or that one has.

    other  the ending of the files that `spec` reads, for the error
    """
    for part in found:
        if not any(ending in part.labels for ending in wanted):
            names = " or ".join(f"*_{ending}.png" for ending in wanted)
            again = f"unzip {_archive(part.part.labels, part.part.split)}.zip again"
            mend = f"open its *_{other}.png as {spec}" if other in part.labels else again
            raise BadInput(f"{part.truths}: no {names} in its folders: {mend}")
    shared = [ending for ending in wanted if all(ending in part.labels for part in found)]
    return shared[0] if shared else wanted[0]


def _entries(found: tuple[_Found, ...], ending: str, report: Report) -> tuple[Entry, ...]:
    return tuple(entry for part in found for entry in _paired(part, ending, report))


def _paired(found: _Found, ending: str, report: Report) -> tuple[Entry, ...]:
    truths = found.labels.get(ending, {})
    keys = sorted(found.photos.keys() | truths.keys())

    def expected(key: str) -> tuple[Path, Path]:
        """Where a file should lie: in the folder of the city that its partner lies in."""
        if key in truths:
            city = truths[key].parent.relative_to(found.truths)
        else:
            city = found.photos[key].parent.relative_to(found.images)
        label = f"{key}_{found.part.labels}_{ending}.png"
        return found.images / city / f"{key}_leftImg8bit.png", found.truths / city / label

    one_each = {key: (path,) for key, path in truths.items()}
    return paired(keys, found.photos, one_each, expected=expected, report=report)


def _photos(folder: Path) -> dict[str, Path]:
    photos: dict[str, Path] = {}
    for path in _files(folder):
        if match := _PHOTO.fullmatch(path.name):
            _add(photos, match["key"], path)
    return photos


def _labels(folder: Path, kind: str) -> dict[str, dict[str, Path]]:
    """Ending of the names -> image key -> file."""
    endings = "|".join((_INSTANCES, _CLASSES, _TRAIN_IDS))
    form = re.compile(rf"(?P<key>[^.].*)_{kind}_(?P<ending>{endings})\.png")
    labels: dict[str, dict[str, Path]] = {}
    for path in _files(folder):
        if match := form.fullmatch(path.name):
            _add(labels.setdefault(match["ending"], {}), match["key"], path)
    return labels


def _add(files: dict[str, Path], key: str, path: Path) -> None:
    if key in files:
        raise BadInput(f"{path}: belongs to the same image as {files[key]}: keep one of them")
    files[key] = path


def _files(folder: Path) -> Iterator[Path]:
    """What lies in the folders of the cities, or in the split's own where they were left out."""
    with os.scandir(folder) as places:
        cities = [Path(place.path) for place in places if place.is_dir()]
    for city in (folder, *sorted(cities)):
        yield from (city / name for name in os.listdir(city))


def _base(root: Path) -> Path:
    return base_of(root, has=(*_FOLDERS, *_ARCHIVES), what="Cityscapes")


def _folder(base: Path, kind: str, split: str) -> Path:
    """Where photos or labels of a split lie; the usual place where they are missing."""
    usual = base / kind / split
    unpacked_apart = base / _archive(kind, split) / kind / split
    return unpacked_apart if unpacked_apart.is_dir() and not usual.is_dir() else usual


def _archive(kind: str, split: str) -> str:
    if kind == "gtCoarse":
        return kind
    return f"{kind}_{'trainextra' if split == 'train_extra' else 'trainvaltest'}"
