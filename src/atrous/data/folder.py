"""A data set of your own: photos, class maps of the same names, and the list of classes.

images/SPLIT/*     photos
labels/SPLIT/*     a PNG of class ids for each, of the same stem
classes.json       {"classes": [{"id", "name", "color"}, ...], "ignore_label": 255}

All classes are stuff: class maps do not tell two things of a class apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.formats import image_files, label_classes, read_class_map, read_image, read_json
from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.types import BadInput, Sample


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """One split; a sample's name is the photo's file name."""

    labels: LabelSpace
    images: tuple[Path, ...]
    label_folder: Path
    ignore: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Reads photo and class map.

        Raises: BadInput if one is missing or damaged, if their sizes differ, or if the map holds a
        number that is neither a class nor to be ignored.
        """
        path = self.images[index]
        label = self.label_folder / f"{path.stem}.png"
        image, stored = read_image(path), read_class_map(label)
        if image.shape[:2] != stored.shape:
            sizes = [" x ".join(map(str, s)) for s in (stored.shape, image.shape[:2])]
            raise BadInput(f"{label}: is {sizes[0]} but {path} is {sizes[1]}: give both one size")
        truth = label_classes(stored, self.labels, ignored={self.ignore}, source=label)
        return Sample(path.name, image, truth)

    def name(self, index: int) -> str:
        """File name of the photo."""
        return self.images[index].name


def open_folder(root: Path, split: str) -> Folder:
    """Lists a split; photos and class maps are read sample by sample.

    Raises: BadInput if a folder, `classes.json` or a label is missing or wrong.
    """
    images, labels = root / "images" / split, root / "labels" / split
    for folder in (images, labels):
        if not folder.is_dir():
            beside = folder.parent
            there = sorted(p.name for p in beside.iterdir()) if beside.is_dir() else []
            known = f"there is {', '.join(there)}" if there else f"{beside} is missing too"
            raise BadInput(f"{folder}: no such folder: {known}; see the data set `folder`")
    files = tuple(image_files(images))
    stems = {path.stem for path in labels.glob("*.png")}
    lacking = [path for path in files if path.stem not in stems]
    if lacking:
        raise BadInput(
            f"{labels / lacking[0].stem}.png: missing, and {len(lacking) - 1} more: give every "
            "photo its class map, or take the photo out"
        )
    space, ignore = folder_classes(root / "classes.json")
    return Folder(space, files, labels, ignore)


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
