"""COCO instances: JSON of masks, as COCO has it and as tools for labelling export it.

COCO          annotations/instances_val2017.json, val2017/ or images/val2017/; `val` means the one
              `val` with a year
CVAT          annotations/instances_default.json, images/default/ or images/
flat          val_instances.json or val.json, val/ or images/val/
Roboflow      train/_annotations.coco.json beside its photos
one JSON      annotations.json (labelme2coco.py of LabelMe), result.json (Label Studio) or
              dataset.json (the package labelme2coco), with images/, JPEGImages/ or photos beside
              it: the split `train`, as is CVAT's `default` where there is no other

Classes are things unless the JSON says otherwise. What no mask covers is of a class of stuff,
"background", which is added unless there is one. Masks may lie over each other: a pixel goes to
the smallest, to crowds last. Images without a mask are all background.

Source: the format section of the COCO detection task; the exporters named above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.data.coco import Listing, chosen
from atrous.data.source import Entry, FileSource
from atrous.formats import ImageKey, InstanceFile, flatten, open_instances, read_json
from atrous.formats.instances import IsPanoptic
from atrous.formats.layers import grounded, smaller_first, with_ground
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Instances, Labelled, Report, refuse

ONE_JSON = ("annotations.json", "result.json", "dataset.json", "_annotations.coco.json")
LAYOUT = (
    "COCO instances: expected annotations/instances_SPLIT.json, SPLIT_instances.json, "
    f"{', '.join(ONE_JSON[:3])}, and the photos"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the JSON of a split lies; the first of `folders` that there is has the photos."""

    json: Path
    folders: tuple[Path, ...]

    @property
    def images(self) -> Path:
        """The folder of the photos, or where it should be."""
        return next((folder for folder in self.folders if folder.is_dir()), self.folders[0])


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of each split that has them, as it stands there.

    Raises: BadInput if there is no such folder.
    """
    found = {name: place for name, place in places(root).items() if place.images.is_dir()}
    users = Counter(place.images for place in found.values())
    counts = {name: _count(x, users[x.images] > 1) for name, x in sorted(found.items())}
    return {name: count for name, count in counts.items() if count}


def open_coco_instances(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Reads the index of a split; a sample's name is the photo's path below the photos' folder.

    report  hears of photos that are missing, and of rows of the JSON that are wrong

    Raises: BadInput if the split or its photos are missing, or the JSON is of another form.
    """
    place = place_of(root, split)
    file = read_file(place, root, report)
    labels, ground = with_ground(file.labels)
    entries = entries_of(place, file.images.values(), report)
    return FileSource(labels, tuple(entries), partial(_read, file=file, labels=labels, at=ground))


def _read(
    entry: Entry, report: Report, *, file: InstanceFile, labels: LabelSpace, at: int
) -> Labelled:
    assert isinstance(entry.record, int | str)
    return laid(file.of(entry.record, report), labels, at)


def laid(instances: Instances, labels: LabelSpace, ground: int) -> Labelled:
    """One map of all masks, `ground` where there is none; the smaller of two lies above."""
    flat, _ = flatten(smaller_first(instances), source="", report=_allowed)
    return grounded(flat, labels.is_thing, ground)


def _allowed(_: Fault) -> None:
    """Masks may lie over each other in this form."""


def place_of(root: Path, split: str) -> Place:
    """Where a split lies.

    Raises: BadInput if there is no such split, or if the folder of its photos is missing.
    """
    place = chosen(places(root), split, root=root, layout=LAYOUT)
    if not place.images.is_dir():
        raise BadInput(f"{place.images}: no such folder: put the photos of {place.json} there")
    return place


def read_file(place: Place, root: Path, report: Report) -> InstanceFile:
    """The opened JSON of a split.

    Raises: BadInput if it is of another form, or lists no images or classes.
    """
    try:
        file = open_instances(place.json, report=report)
    except IsPanoptic:
        what = f"is COCO panoptic: open it as coco-panoptic={root}"
        raise BadInput(f"{place.json}: {what}") from None
    if not file.images:
        raise BadInput(f"{place.json}: lists no image: export it again, with images")
    return file


def entries_of(place: Place, images: Iterable[ImageKey], report: Report) -> Iterator[Entry]:
    """An entry for each image whose photo is there; `record` is the image's id.

    report  hears of photos that are missing, and of those that two images claim
    """
    folder, listing, seen = place.images, Listing(), set()
    for image in images:
        name = image.file_name.replace("\\", "/").lstrip("/")
        photo = next((path for path in _tried(name, place, folder) if listing.has(path)), None)
        if photo is None:
            below = place.json.parent / name
            wanted = below if below.parent == folder else folder / name
            what = f"missing, but {place.json} lists it: add it or take it out"
            report(Fault("labels without a photo", f"{wanted}: {what}"))
        elif photo in seen:
            what = f"image {image.id!r} has it, as an earlier one does: list each photo once"
            report(Fault("photos listed twice", f"{place.json}: {photo}: {what}"))
        else:
            seen.add(photo)
            yield Entry(_below(photo, folder), photo, (place.json,), image.id)


def _tried(name: str, place: Place, folder: Path) -> Iterator[Path]:
    """Where a photo may lie: exporters name it from their own folders, or from the JSON's."""
    yield folder / name
    yield place.json.parent / name
    yield folder / Path(name).name


def _below(photo: Path, images: Path) -> str:
    if photo.parent == images:
        return photo.name
    return photo.relative_to(images).as_posix() if photo.is_relative_to(images) else photo.name


def places(root: Path) -> dict[str, Place]:
    """Split -> where it lies, with photos or without.

    Raises: BadInput if there is no such folder.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: give the folder that holds the data set")
    found = _flat(root) | {path.parent.name: Place(path, (path.parent,)) for path in _beside(root)}
    for path in (*root.glob("instances_*.json"), *root.glob("annotations/instances_*.json")):
        name = path.stem.removeprefix("instances_")
        found[name] = Place(path, _folders(root, name))
    one = [root / name for name in ONE_JSON if (root / name).is_file()]
    if "train" not in found and one:
        found["train"] = Place(one[0], (root / "images", root / "JPEGImages", root))
    elif list(found) == ["default"]:
        found = {"train": found["default"]}
    return found


def _flat(root: Path) -> dict[str, Place]:
    """SPLIT_instances.json before SPLIT.json."""
    known = {*ONE_JSON, "classes.json"}
    others = ("instances_", "panoptic_")
    paths = [x for x in root.glob("*.json") if not (x.name in known or x.name.startswith(others))]
    named = {path.stem.removesuffix("_instances"): path for path in sorted(paths, key=_is_marked)}
    found = {name: Place(path, _folders(root, name)) for name, path in named.items()}
    return {name: place for name, place in found.items() if place.images.is_dir()}


def _is_marked(path: Path) -> bool:
    return path.stem.endswith("_instances")


def _beside(root: Path) -> list[Path]:
    return sorted(root.glob(f"*/{ONE_JSON[-1]}"))


def _folders(root: Path, name: str) -> tuple[Path, ...]:
    return (root / name, root / "images" / name, root / "images")


def _count(place: Place, is_shared: bool) -> int:
    """The photos in its folder; where other splits have the same folder, those of the JSON."""
    if not is_shared:
        names = (path.name for path in place.images.iterdir())
        return sum("." in name[1:] and not name.endswith(".json") for name in names)
    try:
        data = read_json(place.json)
    except BadInput:
        return 0
    images = data.get("images") if isinstance(data, dict) else None
    return len(images) if isinstance(images, list) else 0
