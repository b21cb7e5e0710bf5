"""Data sets by name, as `--data SPEC=PATH` opens them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atrous.data import (
    ade20k,
    camvid,
    cityscapes,
    coco,
    coco_instances,
    coco_voc,
    context,
    folder,
    kitti,
    mapillary,
    sbd,
    voc,
    voc_aug,
)
from atrous.data.shapes import COUNTS, Shapes
from atrous.data.shards.files import shards_of
from atrous.data.shards.reading import Shards, open_shards
from atrous.data.source import FileSource, Source, Subset
from atrous.data.split import listed
from atrous.types import BadInput, Report, refuse


@dataclass(frozen=True, slots=True)
class DataSet:
    """How a data set in files is opened.

    open     its root, a split and a report -> the split; strict unless the report returns
    splits   its root -> name and number of images of each split
    aliases  what else a split may be called -> its name in `splits`
    """

    open: Callable[[Path, str, Report], FileSource]
    splits: Callable[[Path], dict[str, int]]
    aliases: Mapping[str, str] = field(default_factory=dict)


DATA_SETS: dict[str, DataSet] = {
    "coco-panoptic": DataSet(coco.open_coco, coco.splits),
    "coco-instances": DataSet(coco_instances.open_coco_instances, coco_instances.splits),
    "coco-voc": DataSet(coco_voc.open_coco_voc, coco_voc.splits),
    "ade20k": DataSet(ade20k.open_ade20k, ade20k.splits, ade20k.ALIASES),
    "ade20k-panoptic": DataSet(ade20k.open_ade20k_panoptic, ade20k.panoptic_splits, ade20k.ALIASES),
    "folder": DataSet(folder.open_folder, folder.splits),
    "cityscapes": DataSet(cityscapes.open_cityscapes, cityscapes.splits),
    "cityscapes-train-ids": DataSet(cityscapes.open_train_ids, cityscapes.splits),
    "mapillary": DataSet(mapillary.open_mapillary, mapillary.splits, mapillary.ALIASES),
    "mapillary-v2": DataSet(mapillary.open_mapillary_v2, mapillary.splits, mapillary.ALIASES),
    "kitti": DataSet(kitti.open_kitti, kitti.splits, kitti.ALIASES),
    "camvid": DataSet(camvid.open_camvid, camvid.splits),
    "voc": DataSet(voc.open_voc, voc.splits),
    "voc-aug": DataSet(voc_aug.open_voc_aug, voc_aug.splits, voc_aug.ALIASES),
    "sbd": DataSet(sbd.open_sbd, sbd.splits),
    "pascal-context-59": DataSet(context.open_context_59, context.splits),
    "pascal-context-60": DataSet(context.open_context_60, context.splits),
}


SHAPES_SPLITS = ("train", "val")
SHARDS = "shards"
"""The one data set whose place may be a URL or a pattern."""


def open_data(spec: str, split: str) -> Source:
    """The split of a data set: "shapes", or "SPEC=PATH" with SPEC one of `DATA_SETS` or "shards".

    split  a name, or NAME@FILE for the samples of it that a list names

    Raises: BadInput for an unknown name (the nearest is suggested), a folder without the data, or
    a list that does not belong to it.
    """
    name, at, names = split.partition("@")
    if at and not names:
        raise BadInput(f"--split {split}: no list after the @: write {name}@lists/val.txt, say")
    whole = _whole(spec, name)
    return listed(whole, Path(os.path.expanduser(names))) if at else whole


def data_set(spec: str) -> tuple[DataSet, Path] | None:
    """The data set of "SPEC=PATH" and its root; None for "shapes", which has no files.

    Raises: BadInput for an unknown name (the nearest is suggested), no such folder, or shards,
    which are no folder of files.
    """
    name, equals, path = spec.partition("=")
    if name == "shapes" and not equals:
        return None
    known = ["shapes", SHARDS, *DATA_SETS]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.4) or known
        raise BadInput(f"--data {spec}: no data set {name!r}, did you mean {' or '.join(near)}?")
    if name == "shapes" or not path:
        example = "shapes" if name == "shapes" else f"{name}=PATH"
        raise BadInput(f"--data {spec}: write {example}")
    if name == SHARDS:
        what = "shards are no files one by one"
        raise BadInput(f"--data {spec}: {what}: give the data set that they were made of")
    root = Path(os.path.expanduser(path))  # no shell does so after a "="
    if not root.is_dir():
        raise BadInput(f"{path}: no such folder: check the path after {name}=")
    return DATA_SETS[name], root


def summary(spec: str, split: str, source: Source) -> str:
    """What was found, in one line: the images of the split, of the others, and the classes.

    split  as `open_data` has it; the source is what it gave

    Never raises: where the other splits cannot be counted, it leaves them out.
    """
    name, _, names = split.partition("@")
    found = _images(len(source))
    if isinstance(source, Subset):
        found = f"{len(source):,} of {_images(len(source.source))}, those in {names}"
    if isinstance(source, Shards):
        found += f" in {_several(len(source.paths), 'shard')}"
    classes = [label.name for label in source.labels.labels]
    first = ", ".join(classes if len(classes) <= 6 else [*classes[:5], "..."])
    kinds = f"{_several(len(classes), 'class')}, {source.labels.is_thing.sum()} of them things"
    return f"{spec}: {name} {found}{_others(spec, name)}; {kinds}: {first}"


def _whole(spec: str, split: str) -> Source:
    name, _, place = spec.partition("=")
    if name == SHARDS and place:
        return open_shards(os.path.expanduser(place), split)
    found = data_set(spec)
    return _shapes(split) if found is None else found[0].open(found[1], split, refuse)


def _others(spec: str, split: str) -> str:
    """The other splits and how much is in them, in words."""
    try:
        counts = _counts(spec)
    except Exception:  # a line of words must not end a run
        return ""
    name = spec.partition("=")[0]
    aliases = DATA_SETS[name].aliases if name in DATA_SETS else {}
    split = split if split in counts else aliases.get(split, split)
    own = {split} if split in counts else {f"{split}{name[-4:]}" for name in counts}  # val2017
    rest = ", ".join(f"{name} {words}" for name, words in counts.items() if name not in own)
    return f" (also {rest})" if rest else ""


def _counts(spec: str) -> dict[str, str]:
    """Split -> its size in words."""
    name, _, place = spec.partition("=")
    if name == SHARDS:
        shards = shards_of(os.path.expanduser(place))
        return {k: _several(len(v), "shard") for k, v in shards.items()}
    found = data_set(spec)
    counts = {k: COUNTS[k] for k in SHAPES_SPLITS} if found is None else found[0].splits(found[1])
    return {k: f"{v:,}" for k, v in counts.items()}


def _several(count: int, noun: str) -> str:
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def _images(count: int) -> str:
    return _several(count, "image")


def _shapes(split: str) -> Shapes:
    if split not in SHAPES_SPLITS:
        raise BadInput(f"--split {split}: shapes has {' and '.join(SHAPES_SPLITS)}")
    return Shapes(split)
