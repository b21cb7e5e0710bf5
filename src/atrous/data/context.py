"""PASCAL-Context: the photos of VOC 2010, every pixel labelled; 59 classes, or 60 with background.

converted  VOC2010/JPEGImages/NAME.jpg
           VOC2010/SegmentationClassContext/NAME.png    0 = background, 1 to 59
           VOC2010/ImageSets/SegmentationContext/train.txt, val.txt
original   VOC2010/JPEGImages/NAME.jpg
           VOC2010/ImageSets/Main/train.txt, val.txt    4,998 and 5,105
           trainval/NAME.mat, labels.txt                459 names; in VOC2010/, beside it, or in
                                                        pascal-context/ beside it

The root is VOC2010, VOCdevkit or what holds VOCdevkit. Where both are there the converted PNGs are
read. Files of 459 names are mapped by the names of the list beside them; names of no class are
background, which is void among 59 classes. All classes are stuff. scipy reads the MATLAB files.

Source: Mottaghi et al. 2014; the converted tree is that of MMSegmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.data.finding import base_of, paired, photos, require_folder, require_split
from atrous.data.source import Entry, FileSource
from atrous.data.voc import Truths, counted, image_names, photo_path, read_maps
from atrous.formats import read_label_map, stem_files
from atrous.formats.values import Meaning, labelled_by, values_in
from atrous.labels import (
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_59_IGNORED,
    PASCAL_CONTEXT_60,
    PASCAL_CONTEXT_60_IGNORED,
    LabelSpace,
)
from atrous.types import BadInput, Fault, Labelled, Report, refuse

Classes = dict[int, int | None]
"""An id of 459 -> class id, None = void."""

_WHERE = ("VOC2010", "VOCdevkit/VOC2010")
_BESIDE = (".", "pascal-context", "pascal_context", "PASCAL-Context", "context")
_PNGS = "SegmentationClassContext"
_SPLITS = ("train", "val", "trainval")


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder of VOC 2010, and that of the labels, whose names end in `ending`."""

    voc: Path
    labels: Path
    ending: str


def splits(root: Path) -> dict[str, int]:
    """Name -> number of images of each list.

    Raises: BadInput if there is no VOC 2010 or no list.
    """
    lists = _lists(_voc(root))
    return {name: counted(path) for name, path in lists.items()}


def open_context_59(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; the background is void.

    report  hears of images of the list that lack photo or labels

    Raises: BadInput if there is no PASCAL-Context, no such split, or a folder or list is missing.
    """
    classes = PASCAL_CONTEXT_59, PASCAL_CONTEXT_59_IGNORED
    return _open(_place(root), split, report, classes)


def open_context_60(root: Path, split: str, report: Report = refuse) -> FileSource:
    """`open_context_59`, but the background is a class.

    Raises: BadInput as that does.
    """
    classes = PASCAL_CONTEXT_60, PASCAL_CONTEXT_60_IGNORED
    return _open(_place(root), split, report, classes)


def classes_of_names(path: Path, labels: LabelSpace) -> Classes:
    """A list of names ("2: aeroplane") -> what each id means; 0, which is unlabelled, too.

    Names of no class are background: a class of `labels` if it has one, else void.

    Raises: BadInput if the list cannot be read, or lacks the name of a class.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [line.split(":", 1) for line in lines if line.strip()]
        names = {int(number): name.strip() for number, name in rows}
    except (OSError, ValueError):
        raise BadInput(f"{path}: write a line for each name, such as 2: aeroplane") from None
    known = {label.name: i for i, label in enumerate(labels.labels)}
    rest = known.get("background")
    if missing := sorted(known.keys() - set(names.values()) - {"background"}):
        what = f"has no {', '.join(missing[:4])}"
        raise BadInput(f"{path}: {what}: give labels.txt of PASCAL-Context, with its 459 names")
    return {0: rest} | {number: known.get(name, rest) for number, name in names.items()}


def _open(
    place: _Place, split: str, report: Report, classes: tuple[LabelSpace, frozenset[int]]
) -> FileSource:
    labels, ignored = classes
    lists = _lists(place.voc)
    require_split(split, dict.fromkeys(lists, 0), place.voc)
    photo_folder = place.voc / "JPEGImages"
    require_folder(photo_folder, root=place.voc, mend="unpack VOCtrainval_03-May-2010.tar again")
    maps, images = stem_files(place.labels, place.ending, needed=False), photos(photo_folder)
    truths: Truths = {key: (path,) for key, path in maps.items()}
    entries = paired(
        image_names(lists[split], images),
        images,
        truths,
        expected=lambda k: (photo_path(place.voc, k), place.labels / f"{k}{place.ending}"),
        report=report,
    )
    if place.ending == ".png":
        return FileSource(labels, entries, partial(read_maps, labels=labels, ignored=ignored))
    names = classes_of_names(_names_file(place.labels), labels)
    return FileSource(labels, entries, partial(_read_mat, classes=names))


def _voc(root: Path) -> Path:
    return base_of(root, has=("JPEGImages", _PNGS), below=_WHERE, what="VOC2010 of PASCAL-Context")


def _place(root: Path) -> _Place:
    voc = _voc(root)
    if (voc / _PNGS).is_dir():
        return _Place(voc, voc / _PNGS, ".png")
    for beside in dict.fromkeys((voc, voc.parent, root)):
        for folder in (beside / name / "trainval" for name in _BESIDE):
            if folder.is_dir():
                return _Place(voc, folder, ".mat")
    what = f"no labels of PASCAL-Context: looked for {_PNGS} and trainval/*.mat"
    raise BadInput(f"{voc}: {what}: unpack trainval.tar.gz of PASCAL-Context there")


def _lists(voc: Path) -> dict[str, Path]:
    """Name -> list; the converted tree's own, else those of VOC 2010, which are the same."""
    for folder in (voc / "ImageSets" / "SegmentationContext", voc / "ImageSets" / "Main"):
        lists = stem_files(folder, ".txt", needed=False)
        if found := [n for n in _SPLITS if n in lists]:
            return {name: lists[name] for name in found}
    what = "no ImageSets/Main/train.txt and val.txt"
    mend = "they are the splits of PASCAL-Context: take them from VOCtrainval_03-May-2010.tar"
    raise BadInput(f"{voc}: {what}: {mend}")


def _names_file(folder: Path) -> Path:
    found = (folder / "labels.txt", folder.parent / "labels.txt")
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        what = "missing: it names the 459 ids of trainval"
        raise BadInput(f"{found[1]}: {what}: it lies on the page of PASCAL-Context")
    return path


def _read_mat(entry: Entry, report: Report, *, classes: Classes) -> Labelled:
    path = entry.truth[0]
    stored = read_label_map(path)
    present = values_in(stored)
    if unknown := [value for value in present if value not in classes]:
        what = f"holds {unknown[:6]}, which labels.txt does not name"
        report(Fault("ids of no class", f"{path}: {what}: give the list of these files"))
    found = {value: classes.get(value) for value in present}
    return labelled_by(stored, {v: None if c is None else Meaning(c) for v, c in found.items()})
