"""Tiny trees of PASCAL VOC and SBD, in the layouts of their archives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from atrous.formats import write_image, write_sbd, write_voc
from atrous.labels import VOC
from atrous.types import Labelled, Region

PERSON = 15
IDS = np.array([[1, 1, 0, 2], [1, 3, 0, 2]], dtype=np.int32)
REGIONS = (Region(1, 0), Region(2, PERSON), Region(3, PERSON))
"""Background and two people; 0 is the border."""

TRUTH = Labelled(IDS, REGIONS)
WITHOUT_VOID = Labelled(np.maximum(IDS, 1), REGIONS)


def write_list(path: Path, names: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def write_photo(path: Path) -> None:
    write_image(path, np.zeros((*IDS.shape, 3), np.uint8))


def voc_tree(base: Path, lists: Mapping[str, Iterable[str]]) -> Path:
    """A year of VOC with the lists of its segmentation task, and all that they name."""
    for split, names in lists.items():
        write_list(base / "ImageSets" / "Segmentation" / f"{split}.txt", names)
        for name in names:
            write_photo(base / "JPEGImages" / f"{name}.jpg")
            classes, objects = (base / f"Segmentation{kind}" for kind in ("Class", "Object"))
            write_voc(classes / f"{name}.png", objects / f"{name}.png", TRUTH)
    return base


def sbd_tree(base: Path, train: Iterable[str], val: Iterable[str]) -> Path:
    """SBD with its two lists, and all that they name."""
    for split, names in (("train", train), ("val", val)):
        write_list(base / f"{split}.txt", names)
        for name in names:
            write_photo(base / "img" / f"{name}.jpg")
            classes, instances = (base / kind / f"{name}.mat" for kind in ("cls", "inst"))
            write_sbd(classes, instances, WITHOUT_VOID)
    return base


def class_map() -> np.ndarray:
    """(h, w) what a class map holds of `WITHOUT_VOID`."""
    return np.asarray(VOC.semantic(WITHOUT_VOID))
