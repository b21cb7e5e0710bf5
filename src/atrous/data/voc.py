"""PASCAL VOC as its segmentation task has it: 2012, 2007 or another year.

VOC2012/                  or a folder above it: VOCdevkit/, or what holds VOCdevkit/
  JPEGImages/NAME.jpg
  SegmentationClass/NAME.png
  SegmentationObject/NAME.png       without this folder: class maps alone, and all classes are stuff
  ImageSets/Segmentation/SPLIT.txt  train, val, trainval and lists of your own

With objects the background is stuff and the 20 classes are things; the border, 255, is void.

Source: Everingham et al., the development kits of VOC 2007 and 2012.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from atrous.data.finding import (
    all_stuff,
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
from atrous.formats import read_classes, read_voc, stem_files
from atrous.labels import VOC, VOC_IGNORED, LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

AUGMENTED = ("train_aug", "trainaug", "trainval_aug", "trainvalaug", "aug")
"""Lists that people lay beside VOC's own for the labels of SBD: `voc-aug` reads them."""

Truths = dict[str, tuple[Path, ...]]
"""Image key -> its label files."""

_FIRST = ("train", "val", "trainval", "test")
_ANY_YEAR = "20[0-9][0-9]"


def splits(root: Path) -> dict[str, int]:
    """Name -> number of images of each list; `test` only where its labels are (VOC 2007).

    Raises: BadInput if there is no VOC, several years of it, or no list.
    """
    return {name: counted(path) for name, path in _lists(voc_base(root)).items()}


def open_voc(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; photos and labels are read sample by sample.

    report  hears of images of the list that lack photo, class map or object map

    Raises: BadInput if there is no VOC, several years of it, no such split, or a folder is missing.
    """
    base = voc_base(root)
    lists = _lists(base)
    _require_voc_split(split, lists, base)
    for name in ("JPEGImages", "SegmentationClass"):
        mend = "unpack the archive of VOC again (VOCtrainval_11-May-2012.tar for 2012)"
        require_folder(base / name, root=base, mend=mend)
    labels = voc_labels(objects=has_objects(base))
    has_classes = stem_files(base / "SegmentationClass", ".png", needed=False).keys()
    images = photos(base / "JPEGImages")
    entries = paired(
        image_names(lists[split], images),
        images,
        voc_truths(base, objects=has_objects(base)),
        expected=lambda key: (photo_path(base, key), missing_truth(base, key, has_classes)),
        report=report,
    )
    read = read_objects if has_objects(base) else partial(read_maps, labels=labels)
    return FileSource(labels, entries, read)


def voc_base(root: Path, *, years: str = _ANY_YEAR) -> Path:
    """The folder of one year: `root`, or the only one in it or in its VOCdevkit.

    years  which, as a pattern of file names

    Raises: BadInput if there is none, or several.
    """
    found = [] if _is_voc(root) else _years_below(root, years)
    if len(found) > 1:
        there = " and ".join(path.name for path in found)
        raise BadInput(f"{root}: holds {there}: give one of them, such as {found[-1]}")
    if not found and not _is_voc(root) and (others := _years_below(root, _ANY_YEAR)):
        there = " and ".join(path.name for path in others)
        raise BadInput(f"{root}: holds {there}, not VOC{years}: give the folder of VOC{years}")
    what = "PASCAL VOC (VOC2012 or VOC2007)" if years == _ANY_YEAR else f"PASCAL VOC {years}"
    return found[0] if found else base_of(root, has=_PARTS, what=what)


def image_names(path: Path, known: Collection[str] = ()) -> tuple[str, ...]:
    """The images of a list, without folders and suffix, whatever stands beside them.

    known  images that a whole line may name, with spaces; of another line the first word counts

    Raises: BadInput if the list cannot be read, is empty or names an image of `known` twice.
    """
    lines = listed_lines(path)
    names = [whole_key(line, known) or stem_of(line.split()[0]) for line in lines]
    pairs = zip(names, lines, strict=True)
    seen = Counter(name if name in known else line for name, line in pairs)
    name, count = seen.most_common(1)[0]
    if count > 1:
        raise BadInput(f"{path}: {name} stands in it {count} times: keep one line of it")
    return tuple(names)


def counted(path: Path) -> int:
    """The number of images of a list, 0 of one that cannot be read or is empty."""
    try:
        return len(listed_lines(path))
    except BadInput:
        return 0


def has_objects(base: Path) -> bool:
    """Whether object maps are there, so that things can be told apart."""
    return (base / "SegmentationObject").is_dir()


def voc_labels(*, objects: bool) -> LabelSpace:
    """VOC's classes; without objects all are stuff."""
    return VOC if objects else all_stuff(VOC)


def voc_truths(base: Path, *, objects: bool) -> Truths:
    """Image key -> class map, and object map with `objects`, of all that have what is asked for."""
    classes = stem_files(base / "SegmentationClass", ".png", needed=False)
    if not objects:
        return {key: (path,) for key, path in classes.items()}
    numbers = stem_files(base / "SegmentationObject", ".png", needed=False)
    return {key: (path, numbers[key]) for key, path in classes.items() if key in numbers}


def photo_path(base: Path, key: str) -> Path:
    """Where the photo of an image lies, or should."""
    return base / "JPEGImages" / f"{key}.jpg"


def missing_truth(base: Path, key: str, has_classes: Collection[str]) -> Path:
    """The label file that an image lacks; `has_classes` are the images that have a class map."""
    folder = "SegmentationObject" if key in has_classes else "SegmentationClass"
    return base / folder / f"{key}.png"


def read_objects(entry: Entry, report: Report) -> Labelled:
    """Class map and object map.

    Raises: BadInput as `read_voc` does.
    """
    return read_voc(entry.truth[0], entry.truth[1], report=report)


def read_maps(
    entry: Entry, report: Report, *, labels: LabelSpace, ignored: Collection[int] = VOC_IGNORED
) -> Labelled:
    """A class map alone.

    Raises: BadInput as `read_classes` does.
    """
    return read_classes(entry.truth[0], labels, ignored=ignored, report=report)


_PARTS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")


def _is_voc(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in _PARTS)


def _years_below(root: Path, years: str) -> list[Path]:
    found = (path for where in (root, root / "VOCdevkit") for path in where.glob(f"VOC{years}"))
    return sorted(path for path in found if _is_voc(path))


def _lists(base: Path) -> dict[str, Path]:
    """Name -> list of each split whose labels can be there, the official ones first."""
    folder = base / "ImageSets" / "Segmentation"
    files = stem_files(folder, ".txt", needed=False)
    found = {name: path for name, path in files.items() if name not in AUGMENTED}
    if "test" in found and not _is_labelled(found["test"], base):
        del found["test"]
    if not found:
        what = "no list of images, such as train.txt"
        raise BadInput(f"{folder}: {what}: copy ImageSets from the archive of VOC")
    order = [*(name for name in _FIRST if name in found), *sorted(found.keys() - set(_FIRST))]
    return {name: found[name] for name in order}


def _is_labelled(path: Path, base: Path) -> bool:
    """Whether there is a class map of an image that a list names."""
    labelled = stem_files(base / "SegmentationClass", ".png", needed=False).keys()
    return counted(path) > 0 and bool(labelled & set(image_names(path)))


def _require_voc_split(split: str, lists: Mapping[str, Path], base: Path) -> None:
    if split == "test" and split not in lists:
        what = "the labels of test are not public"
        raise BadInput(f"{base}: {what}: `atrous parse` takes its photos, val can be scored")
    if split in AUGMENTED:
        raise BadInput(f"{base}: {split} needs the labels of SBD: write --data voc-aug=PATH")
    require_split(split, dict.fromkeys(lists, 0), base)
