"""Mapillary Vistas, v1.2 in 65 classes and v2.0 in 116: street scenes of all continents.

config_v1.2.json, config_v2.0.json   the classes; config.json in v1.1, of the same classes as v1.2
training/images/*.jpg                photos; so for validation and testing
training/v1.2/instances/*.png        PNGs of 16 bit: class x 256 + number; so for v2.0
training/v1.2/labels/*.png           PNGs of classes, read where there are no instances

In v1.1, and in copies, the folder of the version is left out: training/instances. The classes that
the list says not to evaluate are void: 1 of 66 in v1.2, 8 of 124 in v2.0. The labels of `testing`
are not public.

Source: Neuhold et al., "The Mapillary Vistas Dataset for Semantic Understanding of Street Scenes",
ICCV 2017; README and demo.py of the data set.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from atrous.data.finding import (
    all_stuff,
    base_of,
    paired,
    photos,
    require_folder,
    require_split,
)
from atrous.data.source import Entry, FileSource
from atrous.formats import (
    image_files,
    read_classes,
    read_mapillary,
    read_mapillary_classes,
    stem_files,
)
from atrous.labels import LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

_CONFIGS = {"v1.2": ("config_v1.2.json", "config.json"), "v2.0": ("config_v2.0.json",)}
ALIASES = {"train": "training", "val": "validation", "test": "testing"}
"""What a split may be called, and the split that it then is."""
_KINDS = ("instances", "labels")


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of `training` and `validation`, as they stand there.

    Raises: BadInput if there is no such tree.
    """
    base = _base(root)
    images = {name: base / name / "images" for name in ("training", "validation")}
    return {name: len(image_files(path)) for name, path in images.items() if path.is_dir()}


def open_mapillary(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split of v1.2, or of v2.0 where there is no other; `train` means `training`.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if the list of classes or a folder is missing, or for `testing`.
    """
    base = _base(root)
    has = {version: _config(base, version) is not None for version in _CONFIGS}
    only_v2 = has["v2.0"] and not has["v1.2"]
    if only_v2 and any(base.glob("*/v1.2")):
        what = "no such file, but there are labels of v1.2"
        raise BadInput(f"{base / 'config_v1.2.json'}: {what}: add it, or open mapillary-v2")
    return _open(base, split, "v2.0" if only_v2 else "v1.2", report)


def open_mapillary_v2(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split of v2.0; `train` means `training`.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if the list of classes or a folder is missing, or for `testing`.
    """
    return _open(_base(root), split, "v2.0", report)


def _open(base: Path, split: str, version: str, report: Report) -> FileSource:
    config = _config(base, version)
    if config is None:
        names = " or ".join(_CONFIGS[version])
        what = f"no {names}, the list of classes of {version}"
        raise BadInput(f"{base}: {what}: copy it from the archive of Mapillary Vistas")
    labels, ignored = read_mapillary_classes(config)
    folder = _split_folder(base, split)
    truths, kind = _truths(folder, base, version)
    entries = _entries(folder / "images", truths, report)
    if kind == "instances":
        read = partial(_read_instances, labels=labels, ignored=ignored)
        return FileSource(labels, entries, read)
    stuff = all_stuff(labels)
    return FileSource(stuff, entries, partial(_read_classes, labels=stuff, ignored=ignored))


def _read_instances(
    entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]
) -> Labelled:
    return read_mapillary(entry.truth[0], labels, ignored=ignored, report=report)


def _read_classes(
    entry: Entry, report: Report, *, labels: LabelSpace, ignored: frozenset[int]
) -> Labelled:
    return read_classes(entry.truth[0], labels, ignored=ignored, report=report)


def _split_folder(base: Path, split: str) -> Path:
    name = ALIASES.get(split, split)
    if name == "testing":
        what = "the labels of testing are not public"
        raise BadInput(f"{base / name}: {what}: open training or validation")
    if name not in ALIASES.values():
        require_split(split, splits(base), base)
    mend = f"unzip the archive of Mapillary Vistas in {base}"
    require_folder(base / name / "images", root=base, mend=mend)
    return base / name


def _truths(folder: Path, base: Path, version: str) -> tuple[Path, str]:
    """The folder of labels and its kind: instances before class maps.

    A folder without a version holds what the one list of classes names; beside two lists, v1.2.
    """
    places = [(folder / version / kind, kind) for kind in _KINDS]
    if version == "v1.2" or _config(base, "v1.2") is None:
        places += [(folder / kind, kind) for kind in _KINDS]
    place, kind = next((found for found in places if found[0].is_dir()), places[0])
    require_folder(place, root=base, mend=f"put the labels of {version} there")
    return place, kind


def _entries(images: Path, truths: Path, report: Report) -> tuple[Entry, ...]:
    found, labels = photos(images), stem_files(truths)
    return paired(
        sorted(found.keys() | labels.keys()),
        found,
        {key: (path,) for key, path in labels.items()},
        expected=lambda key: (images / f"{key}.jpg", truths / f"{key}.png"),
        report=report,
    )


def _config(base: Path, version: str) -> Path | None:
    places = (base / name for name in _CONFIGS[version])
    return next((place for place in places if place.is_file()), None)


def _base(root: Path) -> Path:
    lists = [name for names in _CONFIGS.values() for name in names]
    has = (*lists, "training/images", "validation/images")
    return base_of(root, has=has, what="Mapillary Vistas")
