"""A data set of your own: photos, class maps of the same names, and the list of classes.

images/SPLIT/*     photos
labels/SPLIT/*     a PNG of class ids for each, of the same stem
classes.json       {"classes": [{"id", "name", "color"}, ...], "ignore_label": 255}

All classes are stuff: class maps do not tell two things of a class apart.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from atrous.data.finding import base_of, paired, photos, require_split
from atrous.data.source import Entry, FileSource
from atrous.formats import image_files, read_classes, read_json, stem_files
from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.types import BadInput, Labelled, Report, refuse


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of each folder below `images`.

    Raises: BadInput if there is no `images` folder.
    """
    base = base_of(root, has=("images",), what="data set of the form `folder`")
    folders = sorted(path for path in (base / "images").iterdir() if path.is_dir())
    return {path.name: len(image_files(path)) for path in folders}


def open_folder(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; photos and class maps are read sample by sample.

    report  hears of photos without a class map, and of class maps without a photo

    Raises: BadInput if a folder or `classes.json` is missing or wrong.
    """
    require_split(split, splits(root), root)
    images, labels = root / "images" / split, root / "labels" / split
    space, ignored = folder_classes(root / "classes.json")
    found = photos(images)
    truths = {key: (path,) for key, path in stem_files(labels).items()}
    entries = paired(
        sorted(found.keys() | truths.keys()),
        found,
        truths,
        expected=lambda key: (images / f"{key}.jpg", labels / f"{key}.png"),
        report=report,
    )
    return FileSource(space, entries, partial(_read, labels=space, ignored=frozenset({ignored})))


def _read(entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]) -> Labelled:
    return read_classes(entry.truth[0], labels, ignored=ignored, report=report)


def folder_classes(path: Path) -> tuple[LabelSpace, int]:
    """The classes of a `classes.json`, all stuff, and the id of its class maps that is ignored.

    Raises: BadInput if the file is missing or of another form.
    """
    data = read_json(path)
    rows = data.get("classes") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadInput(f'{path}: write {{"classes": [{{"id": 0, "name": "road"}}, ...]}}')
    colours = distinct_colours(len(rows))
    labels = tuple(_label(row, colours[i], path) for i, row in enumerate(rows))
    ignored = data.get("ignore_label", 255)
    if type(ignored) is not int:
        raise BadInput(f"{path}: ignore_label is {ignored!r}: give a whole number, such as 255")
    if clash := [label.name for label in labels if label.file_id == ignored]:
        raise BadInput(f"{path}: ignore_label {ignored} is the class {clash[0]!r}: take another")
    try:
        return LabelSpace(labels), ignored
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _label(row: Any, colour: tuple[int, int, int], path: Path) -> Label:
    try:
        red, green, blue = bytes(row.get("color", colour))  # bytes refuses all but 0..255
        if type(row["id"]) is not int:
            raise TypeError(f"{row['id']!r} is no whole number")
        return Label(str(row["name"]), (red, green, blue), False, row["id"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: {row}: a class has an id, a name and maybe a color") from error
