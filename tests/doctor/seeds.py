"""One fault each, made in a clean drawn set, and what the doctor must say of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

import drawn_sets as sets
from atrous.doctor import kinds
from atrous.doctor.opening import NO_LABEL, NO_PHOTO
from atrous.formats import write_class_map, write_image
from atrous.labels import voc_colours

LABEL, PHOTO = "labels/train/train2.png", "images/train/train2.png"
CATEGORY = "images with segments of an unknown category"
ADE = "annotations/training"
FIRST = "labels/train/train0.png"
CLASS_MAP, PNG = "SegmentationClass/train2.png", "train_png/train2.png"


OFFICIAL = ("voc", "cityscapes", "cityscapes-train-ids", "ade20k")
"""Forms whose lists have classes that the drawn scenes have not."""


@dataclass(frozen=True)
class Seed:
    """A fault: what is done to a set, and the row that follows.

    count  of the row
    file   what the path of the first example ends with
    place  what the place of the first example holds
    """

    name: str
    form: str
    do: Callable[[Path], object]
    kind: str
    count: int = 1
    file: str = LABEL
    place: str = "y "
    split: str = "train"

    @property
    def spec(self) -> str:
        """The data set's name on the command line."""
        return "folder" if self.form.startswith("folder") else self.form


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "folder": sets.folder,
    "folder-from-1": lambda root: sets.folder(root, first=1),
    "folder-void-0": lambda root: sets.folder(root, first=1, ignored=0),
    "coco-panoptic": sets.coco,
    "voc": sets.voc,
    "cityscapes": sets.cityscapes,
    "cityscapes-train-ids": lambda root: sets.cityscapes(root, kind="train"),
    "ade20k": sets.ade20k,
}


def labels(root: Path, split: str = "train") -> list[Path]:
    return sorted((root / "labels" / split).iterdir())


def changed(path: Path, change: Callable[[Any], Any]) -> None:
    sets.save(path, change(sets.pixels(path)))


def all_labels(
    change: Callable[[Any], Any], folder: str = "labels/train"
) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        for path in sorted((root / folder).rglob("*.png")):
            changed(path, change)

    return do


def one_label(change: Callable[[Any], Any], file: str = "labels/train/train2.png") -> Any:
    return lambda root: changed(root / file, change)


def coloured(ids: Any) -> Any:
    palette = np.zeros((256, 3), np.uint8)
    palette[:5], palette[255] = sets.LABELS.colours, 0
    return palette[ids]


def grey_palette(*places: int) -> Callable[[Path], None]:
    """What `convert("L")` makes of palette PNGs whose palette was applied."""

    def do(root: Path) -> None:
        for path in (root / "SegmentationClass" / f"train{i}.png" for i in places):
            image = PIL.Image.open(path).convert("RGB").convert("L")
            image.save(path)

    return do


def tripled(ids: Any) -> Any:
    return np.stack((ids, ids, ids), axis=-1)


def strange(ids: Any) -> Any:
    return np.stack((ids * 7 + 3, ids, 255 - ids), axis=-1)


def mirrored(ids: Any) -> Any:
    return np.ascontiguousarray(ids[:, ::-1])


def resized(ids: Any, way: int = cv2.INTER_LINEAR) -> Any:
    """Half as large and back, as tools do that forget to say nearest."""
    spread = np.where(ids == 255, 0, ids * 20).astype(np.uint8)
    half = cv2.resize(spread, None, fx=0.7, fy=0.7, interpolation=way)
    back = cv2.resize(half, ids.shape[::-1], interpolation=way)
    return back // 20


def shift(by: int, *, void: int | None = 255) -> Callable[[Any], Any]:
    def change(ids: Any) -> Any:
        moved = (ids.astype(int) + by) % 256
        return (moved if void is None else np.where(ids == void, void, moved)).astype(np.uint8)

    return change


def zero_reduced(ids: Any) -> Any:
    """What MMSegmentation does to 0 when it is told to."""
    moved = np.where(ids == 0, 255, ids).astype(np.uint8) - 1
    return np.where(moved == 254, 255, moved).astype(np.uint8)


def twice(ids: Any) -> Any:
    return zero_reduced(zero_reduced(ids))


def ade(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    return all_labels(change, ADE)


def cubic(ids: Any) -> Any:
    return resized(ids, cv2.INTER_CUBIC)


def gone(file: str) -> Callable[[Path], None]:
    return lambda root: (root / file).unlink()


def cut(file: str) -> Callable[[Path], None]:
    """Half of a file, as a full disk leaves it."""

    def do(root: Path) -> None:
        path = root / file
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return do


def as_jpeg(root: Path) -> None:
    path = root / "labels" / "train" / "train2.png"
    ids = sets.pixels(path)
    path.unlink()
    sets.save(path.with_suffix(".jpg"), ids, quality=95)


def all_as_jpeg(root: Path) -> None:
    for path in labels(root):
        sets.save(path.with_suffix(".jpg"), sets.pixels(path), quality=95)
        path.unlink()


def rewritten(change: Callable[[Any], Any], *splits: str) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        for split in splits or ("train",):
            data = sets.load(root / f"{split}.json")
            change(data)
            sets.write_json(root / f"{split}.json", data)

    return do


def no_note(data: Any) -> None:
    data["annotations"].pop()


def no_entry(data: Any) -> None:
    info = data["annotations"][1]["segments_info"]
    info[:] = [row for row in info if row["id"] != 3]


def extra_entry(data: Any) -> None:
    row = {"id": 777, "category_id": 13, "area": 9, "iscrowd": 0}
    data["annotations"][1]["segments_info"].append(row)


def wrong_area(data: Any) -> None:
    data["annotations"][1]["segments_info"][0]["area"] += 5


def unknown_category(data: Any) -> None:
    data["annotations"][1]["segments_info"][0]["category_id"] = 99


def shifted_categories(data: Any) -> None:
    for note in data["annotations"]:
        for row in note["segments_info"]:
            row["category_id"] -= 1


def named_twice(data: Any) -> None:
    data["categories"].append({"id": 16, "name": "car", "isthing": 1})


def other_order(data: Any) -> None:
    data["categories"].reverse()


def exif_turned(root: Path, turn: int = 6) -> None:
    """A camera held upright: stored lying, with a tag, while the label fits what is stored."""
    path = root / "images" / "train" / "train2.png"
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    sets.save(path.with_suffix(".jpg"), sets.pixels(path), exif=exif, quality=95)
    path.unlink()


def in_both_splits(root: Path) -> None:
    """One photo in train and val, in another container and under another name."""
    photo = sets.pixels(root / "images" / "train" / "train2.png")
    sets.save(root / "images" / "val" / "other.bmp", photo)
    shutil.copy(labels(root)[2], root / "labels" / "val" / "other.png")


def two_classes(root: Path) -> None:
    """The lower half of object 1, a car, becomes a person's in the class map."""
    classes, objects = (
        root / kind / "train2.png" for kind in ("SegmentationClass", "SegmentationObject")
    )
    numbers = np.asarray(PIL.Image.open(objects))
    rows = np.flatnonzero((numbers == 1).any(1))
    image = PIL.Image.open(classes)
    ids, palette = np.array(image), image.getpalette()
    ids[(numbers == 1) & (np.arange(len(ids))[:, None] > rows.mean())] = 15
    again = PIL.Image.fromarray(ids)
    again.putpalette(palette or [])
    again.save(classes)


def transparent(ids: Any) -> Any:
    return np.stack((ids, np.full_like(ids, 255)), axis=-1)


def swapped_channels(root: Path) -> None:
    path = root / "train_png" / "train2.png"
    write_image(path, sets.pixels(path)[..., ::-1].copy())


def blended_ids(root: Path) -> None:
    path = root / "train_png" / "train2.png"
    ids = sets.pixels(path)
    ids[..., 1] = np.where(ids[..., 0] > 99, 40 * (ids[..., 0] - 99), 0)
    data = sets.load(root / "train.json")
    for row in data["annotations"][2]["segments_info"]:
        row["id"] += 256 * 40 * (row["id"] - 99) if row["id"] > 99 else 0
    sets.write_json(root / "train.json", data)
    half = cv2.resize(ids, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_LINEAR)
    sets.save(path, cv2.resize(half, ids.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def smaller_photo(root: Path) -> None:
    path = root / "images" / "train" / "train2.png"
    write_image(path, sets.pixels(path)[:50].copy())


def turned_label(root: Path) -> None:
    path = root / "labels" / "train" / "train2.png"
    write_class_map(path, np.ascontiguousarray(sets.pixels(path).T))


def city_ids(kind: str, void: int) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        paths = sorted((root / "gtFine" / "train" / "ulm").iterdir())
        for path, one in zip(paths, sets.scenes("train").values(), strict=True):
            write_class_map(path, sets.city_ids(one, kind, void=void))

    return do


def voc_colours_saved(root: Path) -> None:
    path = root / "SegmentationClass" / "train2.png"
    ids = np.asarray(PIL.Image.open(path))
    write_image(path, voc_colours()[ids])


def leaked_name(root: Path) -> None:
    path = root / "ImageSets" / "Segmentation" / "val.txt"
    path.write_text(path.read_text() + "train2\n")


def one_id_more(root: Path) -> None:
    path = root / "labels" / "train" / "train2.png"
    ids = sets.pixels(path)
    ids[30:33, 40:44] = 77
    write_class_map(path, ids)


def panoptic_in_grey(root: Path) -> None:
    write_class_map(
        root / "train_png" / "train2.png",
        sets.pixels(root / "train_png" / "train2.png")[..., 0].copy(),
    )


def mask(ids: Any) -> Any:
    return np.where((ids > 0) & (ids < 255), 255, 0).astype(np.uint8)


def as_bmp(root: Path) -> None:
    ids = sets.pixels(root / LABEL)
    (root / LABEL).unlink()
    sets.save((root / LABEL).with_suffix(".bmp"), ids)


def drifted(root: Path) -> None:
    """All ids of one split are one lower, and what was 0 is void: nothing in it looks wrong."""
    for split in ("train", "val"):
        for i in range(6, 12):
            one = sets.scene(200 + i + 50 * (split == "val"))
            write_image(root / "images" / split / f"more{i}.png", one.photo)
            write_class_map(root / "labels" / split / f"more{i}.png", one.classes)
    for split in ("train", "val"):
        all_labels(verge, f"labels/{split}")(root)
    data = sets.load(root / "classes.json")
    data["classes"].append({"id": 5, "name": "verge"})
    sets.write_json(root / "classes.json", data)
    all_labels(zero_reduced)(root)


def verge(ids: Any) -> Any:
    """The lowest ground is a sixth class."""
    below = np.arange(len(ids))[:, None] > 50
    return np.where(below & (ids == 0), 5, ids).astype(np.uint8)


F1, F0 = "folder-from-1", "folder-void-0"
COCO, CITY, CITY_TRAIN = "coco-panoptic", "cityscapes", "cityscapes-train-ids"
CITY_FILE = "ulm_000000_000019_gtFine_label"
ADE_FILE = f"{ADE}/train0.png"

SEEDS = [
    Seed("a palette was applied", "folder", one_label(coloured), kinds.COLOURS, place="y 0, x "),
    Seed("VOC's palette was applied", "voc", voc_colours_saved, kinds.COLOURS, 1, CLASS_MAP),
    Seed("a palette became grey", "voc", grey_palette(2), kinds.GREY_COLOURS, 1, CLASS_MAP),
    Seed("palettes became grey", "voc", grey_palette(*range(6)), kinds.GREY_COLOURS, 6, "0.png"),
    Seed("grey saved as RGB", "folder", one_label(tripled), kinds.TRIPLED),
    Seed("colours of no class", "folder", one_label(strange), kinds.STRANGE_COLOURS),
    Seed("masks of 0 and 255", "folder", all_labels(mask), kinds.MASKS, 6, FIRST, "file"),
    Seed("one mask of 0 and 255", "folder", one_label(mask), kinds.MASKS, place="file"),
    Seed("a mask where 255 is no id", F0, one_label(mask), kinds.MASKS),
    Seed("all one too high", "folder", all_labels(shift(1)), kinds.SHIFTED, 6, FIRST),
    Seed("one file one too high", "folder", one_label(shift(1)), kinds.SHIFTED),
    Seed("all one too low", F1, all_labels(shift(-1)), kinds.SHIFTED, 6, FIRST),
    Seed("void wrapped", "folder", all_labels(shift(-1, void=None)), kinds.SHIFTED, 6, FIRST),
    Seed("zero reduced", "ade20k", ade(zero_reduced), kinds.SHIFTED, 6, ADE_FILE, "y ", "training"),
    Seed("zero reduced twice", "ade20k", ade(twice), kinds.TWICE, 6, ADE_FILE, "y ", "training"),
    Seed(
        "two too low",
        "ade20k",
        ade(shift(-2, void=None)),
        kinds.TWICE,
        6,
        ADE_FILE,
        "y ",
        "training",
    ),
    Seed(
        "categories one too low",
        COCO,
        rewritten(shifted_categories),
        kinds.SHIFTED,
        6,
        "0.png",
        "category 10",
    ),
    Seed("one split one too low", "folder", drifted, kinds.DRIFTED, 1, ".png", "all labels"),
    Seed("train ids", CITY, city_ids("train", 255), kinds.TRAIN_IDS, 6, f"{CITY_FILE}Ids.png"),
    Seed(
        "train ids, void 0",
        CITY,
        city_ids("train", 0),
        kinds.TRAIN_IDS,
        6,
        f"{CITY_FILE}Ids.png",
        "file",
    ),
    Seed(
        "label ids",
        CITY_TRAIN,
        city_ids("label", 255),
        kinds.LABEL_IDS,
        6,
        f"{CITY_FILE}TrainIds.png",
    ),
    Seed("a smooth resize", "folder", one_label(resized), kinds.BLENDED),
    Seed("all resized smoothly", "folder", all_labels(resized), kinds.BLENDED, 6, FIRST),
    Seed("a cubic resize", "folder", one_label(cubic), kinds.BLENDED),
    Seed("segments resized smoothly", COCO, blended_ids, kinds.BLENDED, 1, PNG),
    Seed("a JPEG among labels", "folder", as_jpeg, kinds.JPEG, 1, "train2.jpg", "file"),
    Seed("labels are JPEGs", "folder", all_as_jpeg, kinds.JPEG, 6, "labels/train", "file"),
    Seed("a BMP among labels", "folder", as_bmp, kinds.NO_PNG, 1, "train2.bmp", "file"),
    Seed("labels with alpha", "folder", one_label(transparent), kinds.ALPHA, place="file"),
    Seed("labels of one bit", "folder", one_label(lambda a: a == 1), kinds.ONE_BIT, place="file"),
    Seed("a photo was cropped", "folder", smaller_photo, kinds.SIZES, place="file"),
    Seed("sides exchanged", "folder", turned_label, kinds.SIZES, place="file"),
    Seed("a label is missing", "folder", gone(LABEL), NO_LABEL, 1, LABEL, "file"),
    Seed("a photo is missing", "folder", gone(PHOTO), NO_PHOTO, 1, LABEL, "file"),
    Seed("a label PNG is missing", COCO, gone(PNG), NO_LABEL, 1, PNG, "file"),
    Seed(
        "a listed photo is missing",
        COCO,
        gone("train/train2.png"),
        NO_PHOTO,
        1,
        "train2.png",
        "file",
    ),
    Seed(
        "no annotation",
        COCO,
        rewritten(no_note),
        "images without an annotation",
        1,
        "train.json",
        "file",
    ),
    Seed(
        "pixels, no entry", COCO, rewritten(no_entry), kinds.NO_ENTRY, 1, "1.png", "segment 3 at y "
    ),
    Seed(
        "entry, no pixels", COCO, rewritten(extra_entry), kinds.NO_PIXELS, 1, "1.png", "segment 777"
    ),
    Seed("a wrong area", COCO, rewritten(wrong_area), kinds.AREAS, 1, "1.png", "segment 1 at y "),
    Seed("unknown category", COCO, rewritten(unknown_category), CATEGORY, 1, "1.png", "segment 1"),
    Seed("an unknown id", "folder", one_id_more, kinds.NO_CLASS, place="y 30, x 40"),
    Seed("red is blue", COCO, swapped_channels, kinds.SWAPPED, 1, PNG, "segment "),
    Seed("segments in grey", COCO, panoptic_in_grey, kinds.NO_IDS, 1, PNG, "file"),
    Seed(
        "an object of two classes",
        "voc",
        two_classes,
        "objects of two classes",
        1,
        "Object/train2.png",
        "object 1",
    ),
    Seed(
        "turned by EXIF", "folder", exif_turned, kinds.TURNED, 1, "images/train/train2.jpg", "EXIF"
    ),
    Seed("mirrored", "folder", all_labels(mirrored), kinds.MIRRORED, 6, "train", "all labels"),
    Seed("a photo cut off", "folder", cut(PHOTO), kinds.BAD_PHOTO, 1, PHOTO, "file"),
    Seed("a label cut off", "folder", cut(LABEL), kinds.BAD_LABEL, 1, LABEL, "file"),
    Seed(
        "a JSON cut off",
        COCO,
        cut("train.json"),
        kinds.NO_SPLIT,
        1,
        "train.json",
        "line 1, column ",
    ),
    Seed(
        "a JSON without classes",
        "folder",
        gone("classes.json"),
        kinds.NO_SPLIT,
        1,
        "classes.json",
        "file",
    ),
    Seed(
        "one photo in two splits",
        "folder",
        in_both_splits,
        kinds.LEAKS,
        1,
        PHOTO,
        "file",
        "train, val",
    ),
    Seed(
        "one name in two lists",
        "voc",
        leaked_name,
        kinds.LEAKS,
        1,
        "train2.jpg",
        "file",
        "train, val",
    ),
    Seed(
        "a class twice",
        COCO,
        rewritten(named_twice, "train", "val"),
        kinds.NAMED_TWICE,
        1,
        "train.json",
        "class 'car'",
    ),
    Seed(
        "another order",
        COCO,
        rewritten(other_order, "val"),
        kinds.LISTS,
        1,
        "val.json",
        "class ",
        "val",
    ),
    Seed(
        "all void",
        "folder",
        all_labels(lambda a: np.full_like(a, 255)),
        kinds.ALL_VOID,
        6,
        FIRST,
        "file",
    ),
]
