"""A data set of your own: photos, class maps of the same names, and the list of classes.

images/SPLIT/*      photos
labels/SPLIT/*      a PNG of class ids for each, of the same stem
instances/SPLIT/*   if things are to be told apart: a PNG of instance numbers for each, 8 or 16 bit,
                    0 = no instance; a number is one instance of one class in its image
classes.json        {"classes": [{"id", "name", "color", "thing"}, ...], "ignore_label": 255}
classes.txt         instead: a name a line, ids 0, 1, ... in their order

Without folders of splits, images/* and labels/* are the split `train`. With no `labels` but COCO's
JSON of instances the folder opens as `coco-instances` does. Class maps alone do not tell two things
of a class apart: without `instances` all classes are stuff. With it each pixel of a thing belongs
to an instance and none of stuff does; pixels that break this are void to a lenient reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data import coco_instances
from atrous.data.classlist import classes_of_rows, require_for_class_maps
from atrous.data.finding import all_stuff, base_of, by_stem, require_folder, require_split
from atrous.data.source import Entry, FileSource
from atrous.formats import image_files, read_classes, read_json
from atrous.formats.keys import folder_names
from atrous.formats.values import (
    Meaning,
    Stored,
    classes_of,
    labelled_by,
    looked_up,
    read_stored,
    same_size,
    values_in,
)
from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.types import BadInput, Fault, Labelled, Report, refuse

IGNORED = 255
"""The id of class maps that is void, where the list of classes names none."""


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of each folder below `images`; `train` where there is none.

    Raises: BadInput if there is no `images` folder.
    """
    if _is_coco(root):
        return coco_instances.splits(root)
    images = _images(root)
    names = _split_folders(images)
    if not names:
        return {"train": len(image_files(images))}
    return {name: len(image_files(images / name)) for name in names}


def open_folder(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; photos and label PNGs are read sample by sample.

    report  hears of photos without a label, of labels without a photo, and of photos that lie
            beside the folders of splits and so are in none

    Raises: BadInput if a folder or the list of classes is missing or wrong.
    """
    if _is_coco(root):
        return coco_instances.open_coco_instances(root, split, report)
    images = _images(root)
    names = _split_folders(images)
    require_split(split, dict.fromkeys(names or ("train",), 0), root)
    space, ignored = _classes(root)
    has_instances = (root / "instances").is_dir()
    if has_instances and not space.is_thing.any():
        mend = 'write "thing": true to each class of things in classes.json'
        raise BadInput(f"{root / 'instances'}: no class is a thing: {mend}")
    for path in image_files(images) if names else ():
        what = f"lies beside the folders of splits, {', '.join(names[:4])}: move it into one"
        report(Fault("photos beside the folders of splits", f"{path}: {what}"))
    kinds = ("labels", "instances")[: 1 + has_instances]
    entries = _entries(root, split if names else ".", kinds, report)
    labels = space if has_instances else all_stuff(space)
    read = _read_instances if has_instances else _read
    return FileSource(labels, entries, partial(read, labels=labels, ignored=frozenset({ignored})))


def folder_classes(path: Path) -> tuple[LabelSpace, int]:
    """The classes of a `classes.json`, and the id of its class maps that is ignored.

    Raises: BadInput if the file is missing or of another form.
    """
    data = read_json(path)
    rows = data.get("classes") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadInput(f'{path}: write {{"classes": [{{"id": 0, "name": "road"}}, ...]}}')
    space = classes_of_rows(rows, source=path)
    require_for_class_maps(space, source=path)
    ignored = data.get("ignore_label", IGNORED)
    if type(ignored) is not int:
        raise BadInput(f"{path}: ignore_label is {ignored!r}: give a whole number, such as 255")
    if clash := [label.name for label in space.labels if label.file_id == ignored]:
        raise BadInput(f"{path}: ignore_label {ignored} is the class {clash[0]!r}: take another")
    return space, ignored


def _is_coco(root: Path) -> bool:
    """Whether masks come from JSON: there are no class maps, but such a file is."""
    is_there = root.is_dir() and not (root / "labels").is_dir()
    return is_there and bool(coco_instances.places(root))


def _images(root: Path) -> Path:
    return base_of(root, has=("images",), what="data set of the form `folder`") / "images"


def _split_folders(images: Path) -> list[str]:
    """The folders of splits; none where photos lie in `images` itself and in no folder of it."""
    names = folder_names(images)
    is_flat = names and image_files(images) and not any(image_files(images / n) for n in names)
    return [] if is_flat else names


def _entries(root: Path, split: str, kinds: tuple[str, ...], report: Report) -> tuple[Entry, ...]:
    """Those of a split; `split` is "." where there are no folders of splits."""
    images, *folders = [root / kind / split for kind in ("images", *kinds)]
    for folder in folders:
        require_folder(folder, root=root, mend=f"put a PNG there for each photo of {images}")
    return by_stem(images, tuple(folders), report)


def _read(entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]) -> Labelled:
    told = partial(_told, labels=labels, report=report)
    return read_classes(entry.truth[0], labels, ignored=ignored, report=told)


def _read_instances(
    entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]
) -> Labelled:
    class_path, number_path = entry.truth
    classes, numbers = read_stored(class_path), read_stored(number_path)
    same_size(numbers, classes, sources=(number_path, class_path))
    told = partial(_told, labels=labels, report=report)
    present = values_in(classes)
    found = classes_of(present, labels, ignored=ignored, source=class_path, report=told)
    stored, pairs = _paired(numbers, classes, source=number_path)
    meanings = {code: _meaning(number, found[i]) for code, (number, i) in pairs.items()}
    for codes, fault in _faults(meanings, labels, source=number_path):
        report(fault)
        meanings |= dict.fromkeys(codes)
    return labelled_by(stored, meanings)


def _told(fault: Fault, *, labels: LabelSpace, report: Report) -> None:
    """Adds to ids of no class which ids are classes."""
    ids = sorted(label.file_id for label in labels.labels)
    listed = ", ".join(map(str, ids[:8])) + (f", ... {ids[-1]}" if len(ids) > 8 else "")
    report(replace(fault, message=f"{fault.message}; the classes are {listed}"))


def _meaning(number: int, class_id: int | None) -> Meaning | None:
    return None if class_id is None else Meaning(class_id, number or None)


def _paired(
    numbers: Stored, classes: Stored, *, source: object
) -> tuple[Stored, dict[int, tuple[int, int]]]:
    """A code for each pixel's number and class, and code -> (number, class).

    Raises: BadInput if there are more codes than 16 bits can tell.
    """
    first, second = values_in(numbers), values_in(classes)
    codes = _places(numbers, first) * np.int64(len(second)) + _places(classes, second)
    if len(first) * len(second) > 2**16:  # seldom: hundreds of instances of hundreds of classes
        kept, packed = np.unique(codes, return_inverse=True)
        codes = packed.reshape(codes.shape)
    else:
        kept = np.arange(len(first) * len(second))
    if len(kept) > 2**16:
        raise BadInput(f"{source}: {len(kept)} instances: {2**16} are read: cut the image in tiles")
    stored = codes.astype(np.uint16)
    pairs = {code: divmod(int(kept[code]), len(second)) for code in values_in(stored)}
    return stored, {code: (first[n], second[k]) for code, (n, k) in pairs.items()}


def _places(stored: Stored, values: list[int]) -> Any:
    """(h, w) the place of each pixel's value among those that occur."""
    table = np.zeros(2**16, dtype=np.int32)
    table[values] = np.arange(len(values))
    return looked_up(stored, table)


def _faults(
    meanings: dict[int, Meaning | None], labels: LabelSpace, *, source: object
) -> Iterator[tuple[list[int], Fault]]:
    """What makes no sense, with the codes that it is about."""
    by_number: dict[int | None, dict[int, int]] = {}
    for code, meaning in meanings.items():
        if meaning is not None:
            by_number.setdefault(meaning.number, {})[code] = meaning.class_id
    for number, found in by_number.items():
        wrong = [code for code, c in found.items() if labels[c].is_thing is (number is None)]
        names = " and ".join(labels[c].name for c in found.values())
        if number is None and wrong:
            bare = " and ".join(labels[found[code]].name for code in wrong)
            what = f"no instance has pixels of {bare}: number each thing"
            yield wrong, Fault("things of no instance", f"{source}: {what}")
        elif number is not None and len(found) > 1:
            what = f"instance {number} is of {names}: give each instance one class"
            yield list(found), Fault("instances of two classes", f"{source}: {what}")
        elif wrong:
            what = f"instance {number} is of {names}, which is stuff: number things only"
            yield wrong, Fault("instances of stuff", f"{source}: {what}")


def _classes(root: Path) -> tuple[LabelSpace, int]:
    """Those of classes.json, or else of classes.txt."""
    listed, plain = root / "classes.json", root / "classes.txt"
    if listed.is_file():
        return folder_classes(listed)
    if not plain.is_file():
        example = '{"classes": [{"id": 0, "name": "road"}, ...]}'
        raise BadInput(f"{listed}: missing, and so is classes.txt: write {example}")
    try:
        lines = plain.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{plain}: cannot be read: write a name of a class a line") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names or len(names) > IGNORED:
        what = f"{len(names)} classes: write 1 to {IGNORED} names, or classes.json"
        raise BadInput(f"{plain}: {what}")
    colours = distinct_colours(len(names))
    labels = LabelSpace(tuple(Label(x, colours[i], False, i) for i, x in enumerate(names)))
    require_for_class_maps(labels, source=plain)
    return labels, IGNORED
