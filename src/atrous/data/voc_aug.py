"""PASCAL VOC 2012 with the labels of SBD: train_aug, 10,582 images, and VOC's val and trainval.

VOC2012/ or VOCdevkit/VOC2012/      as in `voc`
  SegmentationClassAug/NAME.png     SBD as class maps, where somebody converted it
  ImageSets/Segmentation/train_aug.txt or trainaug.txt
                                    wins where it is there; else the list is built: train, and the
                                    images of SBD that are not in val
benchmark_RELEASE/dataset/          SBD, in any of the places of `sbd`; not needed with the former

With SegmentationObject and SBD's inst files the background is stuff and the 20 classes are things;
else there are class maps alone, and all classes are stuff. What VOC labels itself is read from VOC.

Source: Hariharan et al. 2011; the list is the one of DeepLab (Chen et al. 2015).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.data.finding import paired, photos, require_folder, require_split
from atrous.data.sbd import find_sbd, sbd_names
from atrous.data.source import Entry, FileSource
from atrous.data.voc import (
    Truths,
    has_objects,
    image_names,
    missing_truth,
    photo_path,
    read_maps,
    read_objects,
    voc_base,
    voc_labels,
    voc_truths,
)
from atrous.formats import read_sbd, read_sbd_classes, stem_files
from atrous.labels import LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

ALIASES = {"train": "train_aug", "trainaug": "train_aug"}
"""What a split may be called, and the split that it then is."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What lies where; `maps` is SegmentationClassAug, `sbd` is None without SBD."""

    voc: Path
    sbd: Path | None
    maps: Path

    @property
    def has_instances(self) -> bool:
        return self.sbd is not None and (self.sbd / "inst").is_dir() and has_objects(self.voc)


def splits(root: Path) -> dict[str, int]:
    """Name -> number of images: train_aug, val, both, and trainval, which is VOC's own.

    Raises: BadInput if VOC 2012 or SBD or one of their lists is missing.
    """
    return {name: len(names) for name, names in _splits(_place(root), ()).items()}


def open_voc_aug(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; `train` is train_aug. Photos and labels are read sample by sample.

    report  hears of images of the list that lack photo or labels

    Raises: BadInput if VOC 2012 or SBD is missing, or there is no such split.
    """
    place = _place(root)
    images = _photos(place)
    found = _splits(place, images)
    name = ALIASES.get(split, split)
    require_split(name, dict.fromkeys(found, 0), root)
    own = {key for name in ("train", "val") for key in _voc_names(place, name, images)}
    has_classes = stem_files(place.voc / "SegmentationClass", ".png", needed=False).keys()
    labels = voc_labels(objects=place.has_instances)
    entries = paired(
        found[name],
        images,
        _truths(place, own),
        expected=lambda key: _expected(key, place, own, has_classes),
        report=report,
    )
    return FileSource(labels, entries, partial(_read, labels=labels))


def _place(root: Path) -> _Place:
    voc = voc_base(root, years="2012")
    maps, sbd = voc / "SegmentationClassAug", find_sbd(root) or find_sbd(voc)
    if sbd is None and not maps.is_dir():
        what = f"no SBD: looked for benchmark_RELEASE/dataset, dataset, sbd, SBD and {maps}"
        raise BadInput(f"{root}: {what}: unpack benchmark.tgz of SBD there")
    return _Place(voc, sbd, maps)


def _splits(place: _Place, images: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Name -> images; `images` are those that a whole line of a list may name."""
    val = _voc_names(place, "val", images)
    made = (
        place.voc / "ImageSets" / "Segmentation" / f"{n}.txt" for n in ("train_aug", "trainaug")
    )
    path = next((path for path in made if path.is_file()), None)
    train = _built(place, set(val), images) if path is None else image_names(path, images)
    own = tuple(dict.fromkeys(_voc_names(place, "train", images) + val))
    both = tuple(dict.fromkeys(train + val))
    return {"train_aug": train, "val": val, "trainval_aug": both, "trainval": own}


def _built(place: _Place, val: set[str], images: Collection[str]) -> tuple[str, ...]:
    """VOC's train, then what SBD adds to it; none of it in `val`."""
    if place.sbd:
        names = {name for names in sbd_names(place.sbd, images).values() for name in names}
    else:
        names = set(stem_files(place.maps, ".png", needed=False))
    return tuple(dict.fromkeys((*_voc_names(place, "train", images), *sorted(names - val))))


def _voc_names(place: _Place, name: str, images: Collection[str]) -> tuple[str, ...]:
    return image_names(place.voc / "ImageSets" / "Segmentation" / f"{name}.txt", images)


def _photos(place: _Place) -> dict[str, Path]:
    """Image key -> photo; those of SBD are VOC's, so that either folder will do."""
    more = place.sbd / "img" if place.sbd else place.voc
    own = place.voc / "JPEGImages"
    if more.name != "img" or not more.is_dir():
        require_folder(own, root=place.voc, mend="unpack VOCtrainval_11-May-2012.tar again")
        return photos(own)
    return photos(more) | (photos(own) if own.is_dir() else {})


def _truths(place: _Place, own: set[str]) -> Truths:
    """Image key -> label files; what VOC labels itself is never read from SBD's."""
    kind = "inst" if place.has_instances else "cls"
    mats = stem_files(place.sbd / kind, ".mat", needed=False) if place.sbd else {}
    found: Truths = {key: (path,) for key, path in mats.items() if key not in own}
    if not place.has_instances:
        maps = stem_files(place.maps, ".png", needed=False)
        found |= {key: (path,) for key, path in maps.items()}
    return found | voc_truths(place.voc, objects=place.has_instances)


def _expected(
    key: str, place: _Place, own: set[str], has_classes: Collection[str]
) -> tuple[Path, Path]:
    photo = photo_path(place.voc, key)
    if key in own:
        return photo, missing_truth(place.voc, key, has_classes)
    if place.sbd is None or (place.maps.is_dir() and not place.has_instances):
        return photo, place.maps / f"{key}.png"
    return photo, place.sbd / ("inst" if place.has_instances else "cls") / f"{key}.mat"


def _read(entry: Entry, report: Report, *, labels: LabelSpace) -> Labelled:
    is_mat = entry.truth[0].suffix.lower() == ".mat"
    if labels.is_thing.any():
        if is_mat:
            return read_sbd(entry.truth[0], labels, report=report)
        return read_objects(entry, report)
    if is_mat:
        return read_sbd_classes(entry.truth[0], labels, report=report)
    return read_maps(entry, report, labels=labels)
