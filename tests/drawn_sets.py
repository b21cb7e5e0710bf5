"""Small data sets on disk without a fault: drawn scenes in several official forms.

Each scene has all five classes, a ring of void, two cars and two persons; no two scenes are alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from atrous.formats import write_class_map, write_image, write_panoptic, write_voc
from atrous.labels import ADE20K, CITYSCAPES, VOC, LabelSpace, read_table
from atrous.types import Labelled, Region

SIZE = (60, 80)
LABELS = read_table(
    """
0 stuff 804080 ground
1 stuff 4682b4 sky
2 thing 00008e car
3 thing dc143c person
4 stuff 6b8e23 tree
"""
)
COUNTS = {"train": 6, "val": 5}
VOID = 255


@dataclass(frozen=True)
class Scene:
    """A photo (h, w, 3), classes (h, w) with 255 = void, and numbers of things, 0 = none."""

    photo: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    things: NDArray[np.uint8]

    @property
    def labelled(self) -> Labelled:
        """Things of their own ids, stuff of 100 + its class."""
        ids = np.where(self.things > 0, self.things, 100 + self.classes.astype(np.int32))
        ids[self.classes == VOID] = 0
        regions = (Region(i, int(self.classes[ids == i][0])) for i in np.unique(ids).tolist() if i)
        return Labelled(ids.astype(np.int32), tuple(regions))


def scene(seed: int) -> Scene:
    """The scene of a seed: a cell each for two cars, two persons and two trees, in any order."""
    random = np.random.default_rng(seed)
    classes, things = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    classes[: int(random.integers(8, 13))] = 1
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for cell, (class_id, number) in enumerate(
        random.permutation([(2, 1), (2, 2), (3, 3), (3, 4), (4, 0), (4, 0)]).tolist()
    ):
        y, x = 25 + 22 * (cell // 3), 12 + 23 * (cell % 3) + int(random.integers(-1, 2))
        high, wide = random.integers(5, 9, 2).tolist()
        inside = (abs(rows - y) <= high) & (abs(columns - x) <= wide)
        if class_id != 2:
            inside = ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 <= 1
        if cell == 0:
            near = (abs(rows - y) <= high + 1) & (abs(columns - x) <= wide + 1)
            classes[near], things[near] = VOID, 0
        classes[inside], things[inside] = class_id, number
    colours = np.zeros((256, 3), np.uint8)
    colours[:5], colours[VOID] = LABELS.colours, 200
    noise = random.integers(-30, 31, (*SIZE, 3))
    photo = np.clip(colours[classes].astype(int) + noise, 0, 255).astype(np.uint8)
    return Scene(photo, classes, things)


def scenes(split: str) -> dict[str, Scene]:
    """Stem -> scene of a split."""
    first = 0 if split == "train" else 100
    return {f"{split}{i}": scene(first + i) for i in range(COUNTS[split])}


def write_json(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def folder(root: Path, *, first: int = 0, ignored: int = VOID) -> Path:
    """The form `folder`: PNG photos and class maps; file ids count from `first`."""
    rows = [
        {"id": x.file_id + first, "name": x.name, "color": list(x.colour)} for x in LABELS.labels
    ]
    write_json(root / "classes.json", {"classes": rows, "ignore_label": ignored})
    for split in COUNTS:
        for stem, one in scenes(split).items():
            write_image(root / "images" / split / f"{stem}.png", one.photo)
            ids = np.where(one.classes == VOID, ignored, one.classes + first).astype(np.uint8)
            write_class_map(root / "labels" / split / f"{stem}.png", ids)
    return root


def coco(root: Path) -> Path:
    """COCO panoptic, the flat tree; category ids are 11 to 15."""
    for split in COUNTS:
        images, notes = [], []
        for place, (stem, one) in enumerate(scenes(split).items()):
            write_image(root / split / f"{stem}.png", one.photo)
            write_panoptic(root / f"{split}_png" / f"{stem}.png", one.labelled.ids)
            height, width = SIZE
            row = {"id": place, "file_name": f"{stem}.png", "height": height, "width": width}
            info = [
                {
                    "id": region.id,
                    "category_id": 11 + region.class_id,
                    "area": int((one.labelled.ids == region.id).sum()),
                    "iscrowd": 0,
                }
                for region in one.labelled.regions
            ]
            images.append(row)
            notes.append({"image_id": place, "file_name": f"{stem}.png", "segments_info": info})
        categories = [
            {"id": 11 + i, "name": x.name, "isthing": int(x.is_thing), "color": list(x.colour)}
            for i, x in enumerate(LABELS.labels)
        ]
        data = {"images": images, "annotations": notes, "categories": categories}
        write_json(root / f"{split}.json", data)
    return root


def voc(root: Path) -> Path:
    """VOC: background for ground, sky and tree; cars and persons are objects."""
    names: dict[str, list[str]] = {}
    for split in COUNTS:
        for stem, one in scenes(split).items():
            write_image(root / "JPEGImages" / f"{stem}.png", one.photo)
            (root / "JPEGImages" / f"{stem}.png").rename(root / "JPEGImages" / f"{stem}.jpg")
            ids = np.where(one.classes == VOID, 0, np.where(one.things > 0, one.things, 9))
            regions = (Region(1, 7), Region(2, 7), Region(3, 15), Region(4, 15), Region(9, 0))
            class_map = root / "SegmentationClass" / f"{stem}.png"
            objects = root / "SegmentationObject" / f"{stem}.png"
            write_voc(class_map, objects, Labelled(ids.astype(np.int32), regions), VOC)
            names.setdefault(split, []).append(stem)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in (*names.items(), ("trainval", names["train"] + names["val"])):
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    return root


CITY = {"label": (7, 23, 26, 24, 21), "train": (0, 10, 13, 11, 8)}
"""Label ids and train ids of the five classes."""


def city_ids(one: Scene, kind: str, *, void: int) -> NDArray[np.uint8]:
    table = np.full(256, void, np.uint8)
    table[:5] = CITY[kind]
    return table[one.classes]


def cityscapes(root: Path, *, kind: str = "label") -> Path:
    """Cityscapes with class maps alone, of label ids (void 0) or train ids (void 255)."""
    ending, void = ("labelIds", 0) if kind == "label" else ("labelTrainIds", VOID)
    for split in COUNTS:
        for place, one in enumerate(scenes(split).values()):
            stem = f"ulm_{place:06}_000019"
            write_image(root / "leftImg8bit" / split / "ulm" / f"{stem}_leftImg8bit.png", one.photo)
            path = root / "gtFine" / split / "ulm" / f"{stem}_gtFine_{ending}.png"
            write_class_map(path, city_ids(one, kind, void=void))
    return root


def ade20k(root: Path) -> Path:
    """ADE20K: the classes are 1 to 4 and the last, 150; void is 0."""
    table = np.zeros(256, np.uint8)
    table[:5] = (1, 2, 3, 4, 150)
    for split, name in (("train", "training"), ("val", "validation")):
        for stem, one in scenes(split).items():
            write_image(root / "images" / name / f"{stem}.png", one.photo)
            (root / "images" / name / f"{stem}.png").rename(root / "images" / name / f"{stem}.jpg")
            write_class_map(root / "annotations" / name / f"{stem}.png", table[one.classes])
    return root


def pixels(path: Path) -> NDArray[Any]:
    """Whatever a PNG holds."""
    return np.array(PIL.Image.open(path))


def save(path: Path, array: NDArray[Any], **options: Any) -> None:
    """An array as the file says by its suffix."""
    PIL.Image.fromarray(array).save(path, **options)


KNOWN: dict[str, LabelSpace] = {"voc": VOC, "cityscapes": CITYSCAPES, "ade20k": ADE20K}
