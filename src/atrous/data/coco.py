"""COCO panoptic data sets, in the official tree and in the flat one.

official  annotations/panoptic_val2017.json, annotations/panoptic_val2017/ or panoptic_val2017/,
          val2017/ or images/val2017/; `val` means the one `val` with a year
flat      val.json, val_png/, val/

A class id is the place of its category in the JSON's own list.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from atrous.formats import PanopticRecord, read_image, read_index, read_segments
from atrous.labels import LabelSpace
from atrous.types import BadInput, Sample


@dataclass(frozen=True, slots=True, eq=False)
class CocoPanoptic:
    """One split; a sample's name is the image's file name in the JSON."""

    labels: LabelSpace
    image_folder: Path
    png_folder: Path
    records: tuple[PanopticRecord, ...]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Reads image and label.

        Raises: BadInput if a file is missing, damaged, or disagrees with the other or the JSON.
        """
        record = self.records[index]
        image_path, png_path = self.image_folder / self.name(index), self.png_folder / record.png
        image = read_image(image_path)
        truth = read_segments(png_path, record.segments, self.labels.class_ids())
        if image.shape[:2] != truth.ids.shape:
            sizes = f"{_size(truth.ids.shape)} but {image_path} is {_size(image.shape)}"
            mend = "(height x width, upright): give both the same size"
            raise BadInput(f"{png_path}: the label is {sizes} {mend}")
        return Sample(self.name(index), image, truth)

    def name(self, index: int) -> str:
        """File name of the image."""
        return str(self.records[index].image)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the three parts of a split lie, or should."""

    json: Path
    images: Path
    pngs: Path

    @property
    def zipped(self) -> Path:
        return self.pngs.with_name(self.pngs.name + ".zip")

    @property
    def has_a_folder(self) -> bool:
        return self.images.is_dir() or self.pngs.is_dir() or self.zipped.is_file()


def splits(root: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the splits under `root`, sorted, as they stand there: `val2017`, not `val`.

    A split is a JSON file with a folder of images or label PNGs.

    Raises: BadInput if there is no such folder.
    """
    return tuple(sorted(_places(Path(root))))


def open_coco(root: str | os.PathLike[str], split: str) -> CocoPanoptic:
    """Reads the index of a split; images and labels are read sample by sample.

    Raises: BadInput if the split, a folder of it, or a part of its JSON is missing or wrong.
    """
    place = _place(Path(root), split)
    for folder, what in ((place.images, "images"), (place.pngs, "label PNGs")):
        if not folder.is_dir():
            zipped = what == "label PNGs" and place.zipped.is_file()
            mend = f"unzip {place.zipped}" if zipped else f"put the {what} of {place.json} there"
            raise BadInput(f"{folder}: no such folder: {mend}")
    index = read_index(place.json)
    if index.labels is None:
        raise BadInput(f"{place.json}: the list of categories is empty: add the classes")
    return CocoPanoptic(index.labels, place.images, place.pngs, index.records)


def _place(root: Path, split: str) -> _Place:
    places = _places(root)
    if split in places:
        return places[split]
    dated = [name for name in places if re.fullmatch(re.escape(split) + r"\d{4}", name)]
    if len(dated) == 1:
        return places[dated[0]]
    if not places:
        layout = "SPLIT.json, SPLIT_png/, SPLIT/ or annotations/panoptic_SPLIT.json"
        raise BadInput(f"{root}: no COCO panoptic data set: expected {layout}")
    what = f"{len(dated)} splits are a {split!r}" if dated else f"no split {split!r}"
    raise BadInput(f"{root}: {what}: choose one of {', '.join(sorted(places))}")


def _places(root: Path) -> dict[str, _Place]:
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: give the folder that holds the data set")
    flat = {
        path.stem: _Place(path, root / path.stem, root / f"{path.stem}_png")
        for path in root.glob("*.json")
    }
    official = {
        path.stem.removeprefix("panoptic_"): _official(root, path)
        for path in root.glob("annotations/panoptic_*.json")
    }
    return {name: place for name, place in (flat | official).items() if place.has_a_folder}


def _official(root: Path, path: Path) -> _Place:
    name = path.stem.removeprefix("panoptic_")
    images = _first_folder(root / name, root / "images" / name)
    return _Place(path, images, _first_folder(path.with_suffix(""), root / path.stem))


def _first_folder(usual: Path, other: Path) -> Path:
    return other if other.is_dir() and not usual.is_dir() else usual


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
