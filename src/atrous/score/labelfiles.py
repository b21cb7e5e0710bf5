"""Folders of label PNGs as sides: VOC, Cityscapes, ADE20K, Mapillary, KITTI, plain class maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.formats.ade20k import read_ade20k
from atrous.formats.cityscapes import cityscapes_files, is_cityscapes_key, read_cityscapes
from atrous.formats.keys import stem_files
from atrous.formats.kitti import read_kitti
from atrous.formats.mapillary import VERSIONS, mapillary_files, read_mapillary
from atrous.formats.values import read_classes
from atrous.formats.voc import read_voc
from atrous.labels import LabelSpace
from atrous.score.classes import Classes, classes_of, shared_classes
from atrous.score.masks import MaskListSide
from atrous.score.sides import FileSide, Holds, Side
from atrous.types import BadInput, Labelled, Report

Read = Callable[..., Labelled]
"""Reads the files of one image: paths, labels, and by name what is ignored and the report."""


@dataclass(frozen=True, slots=True)
class Found:
    """Label files by image key, what reads those of one, and what that knows."""

    files: Mapping[str, tuple[Path, ...]]
    read: Read
    holds: Holds


@dataclass(frozen=True, slots=True)
class Form:
    """One data set's way to lay out label files.

    classes  name of its list of classes; None = it has none of its own
    find     its files below a folder, and in a second one where that is given
    is_like  whether a folder looks like it
    pairs    whether it has files in a second folder
    """

    classes: str | None
    find: Callable[[Path, Path | None], Found]
    is_like: Callable[[Path], bool]
    pairs: bool = False


def open_label_files(
    path: Path,
    form: str,
    *,
    folder: Path | None,
    classes: str | None,
    truth: Side | None,
    report: Report,
) -> Side:
    """Opens a folder of label files of the form of that name in `LABEL_FILES`.

    folder  the second folder, of objects or instances, where they do not lie where they usually do
    truth   the side whose classes these are to be sorted into; None = these decide

    Raises: BadInput if it has no such files, or nobody says its classes.
    """
    if not path.is_dir():
        raise BadInput(f"{path}: no folder, but {form} is a folder of PNGs: name that")
    if folder is not None and not LABEL_FILES[form].pairs:
        raise BadInput(f"{folder}: {form} has no files in a second folder: leave it out")
    own = _classes(path, form, classes, truth)
    labels = own.labels if truth is None else truth.labels
    agreed = partial(shared_classes, own.labels, labels, source=path, report=report)
    if form == "cityscapes" and truth is not None and (texts := _mask_lists(path)):
        return MaskListSide(labels, texts, path, agreed())
    find = LABEL_FILES[form].find
    if form == "mapillary" and classes is not None:
        find = partial(_mapillary, config=Path(classes))
    found = find(path, folder)
    shared = agreed(things=found.holds == "segments")
    reader = partial(_read, read=found.read, classes=own)
    return FileSide(form, labels, found.holds, tuple(found.files.items()), reader, shared)


def _read(paths: tuple[Path, ...], report: Report, *, read: Read, classes: Classes) -> Labelled:
    return read(*paths, classes.labels, ignored=classes.ignored, report=report)


def _classes(path: Path, form: str, named: str | None, truth: Side | None) -> Classes:
    """Those that the user names, else the form's own, else the truth's."""
    if form == "mapillary" and named is None:
        return classes_of(str(_mapillary_config(path)))
    if known := named or LABEL_FILES[form].classes:
        return classes_of(known)
    if truth is None:
        raise BadInput(f"{path}: class maps do not say what their numbers mean: give --classes")
    return Classes(truth.labels, _void_ids(truth.labels))


def _void_ids(labels: LabelSpace) -> frozenset[int]:
    """What may mean "no class" in a class map of a prediction: 255, and 0 if it is no class."""
    return frozenset({0, labels.void}) - labels.class_ids().keys()


def _plain(path: Path, folder: Path | None) -> Found:
    return Found(_alone(stem_files(path)), read_classes, "classes")


def _paired(path: Path, folder: Path | None, *, names: tuple[str, str], read: Read) -> Found:
    """Class maps with a second file beside each, in folders of these names or in those given."""
    classes = path / names[0] if (path / names[0]).is_dir() else path
    second = folder or (path / names[1] if classes != path else None)
    if second is None or not (folder or second.is_dir()):
        return _plain(classes, None)
    first, others = stem_files(classes), stem_files(second)
    if alone := sorted(first.keys() ^ others.keys()):
        where = second if alone[0] in first else classes
        raise BadInput(f"{where / alone[0]}.png: missing, and {len(alone) - 1} more: add them")
    return Found({key: (first[key], others[key]) for key in first}, read, "segments")


def _cityscapes(path: Path, folder: Path | None) -> Found:
    if any(path.rglob("*instanceIds.png")):
        files = cityscapes_files(path, "instanceIds.png")
        return Found(_alone(files), read_cityscapes, "segments")
    ending = "labelIds.png" if any(path.rglob("*labelIds.png")) else ".png"
    return Found(_alone(cityscapes_files(path, ending)), read_classes, "classes")


def _train_ids(path: Path, folder: Path | None) -> Found:
    ending = "labelTrainIds.png" if any(path.rglob("*labelTrainIds.png")) else ".png"
    return Found(_alone(cityscapes_files(path, ending)), read_classes, "classes")


def _mask_lists(path: Path) -> tuple[tuple[str, Path], ...]:
    """Cityscapes' texts of results; there are others in its folders."""
    if not any(is_cityscapes_key(text.stem) for text in path.rglob("*.txt")):
        return ()
    return tuple(cityscapes_files(path, ".txt").items())


def _mapillary(path: Path, folder: Path | None, *, config: Path) -> Found:
    named = [v for v in VERSIONS if v in config.name and (path / v).is_dir()]
    version = named[0] if named else None
    folders = [path / v / "instances" for v in named or (".", *VERSIONS)]
    if path.name == "instances" or any(folder.is_dir() for folder in folders):
        files = mapillary_files(path, "instances", version=version)
        return Found(_alone(files), read_mapillary, "segments")
    files = mapillary_files(path, "labels", version=version)
    return Found(_alone(files), read_classes, "classes")


def _mapillary_config(path: Path) -> Path:
    """The list of classes that ships with the data."""
    places = (path, *path.absolute().parents[:3])
    found = next((c for c in (sorted(p.glob("config*.json")) for p in places) if c), [])
    if len(found) > 1:
        versions = [version for version in VERSIONS if (path / version).is_dir()]
        found = [c for c in found if len(versions) == 1 and versions[0] in c.name]
    if len(found) != 1:
        raise BadInput(f"{path}: its classes stand in config_v1.2.json or so: name it, --classes")
    return found[0]


def _kitti(path: Path, folder: Path | None) -> Found:
    instances = path / "instance" if (path / "instance").is_dir() else path
    if instances.name == "instance":
        return Found(_alone(stem_files(instances)), read_kitti, "segments")
    return _plain(path / "semantic" if (path / "semantic").is_dir() else path, None)


def _alone(files: Mapping[str, Path]) -> dict[str, tuple[Path, ...]]:
    return {key: (path,) for key, path in files.items()}


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda path: all((path / name).is_dir() for name in names)


_VOC = ("SegmentationClass", "SegmentationObject")
_ADE20K = ("annotations", "annotations_instance")
_find_voc = partial(_paired, names=_VOC, read=read_voc)
_find_ade20k = partial(_paired, names=_ADE20K, read=read_ade20k)

LABEL_FILES: Mapping[str, Form] = {
    "voc": Form(
        "voc", partial(_paired, names=_VOC, read=read_voc), _has("SegmentationClass"), pairs=True
    ),
    "cityscapes": Form(
        "cityscapes",
        _cityscapes,
        lambda path: any(path.rglob("*_labelIds.png")) or any(path.rglob("*_instanceIds.png")),
    ),
    "cityscapes-train-ids": Form("cityscapes-train-ids", _train_ids, lambda _: False),
    "ade20k": Form(
        "ade20k", partial(_paired, names=_ADE20K, read=read_ade20k), _has(*_ADE20K), pairs=True
    ),
    "mapillary": Form(
        None,
        lambda path, folder: _mapillary(path, folder, config=_mapillary_config(path)),
        lambda path: any(_has(f"{v}/instances")(path) for v in (".", *VERSIONS)),
    ),
    "kitti": Form("cityscapes", _kitti, _has("semantic", "instance")),
    "classes": Form(None, _plain, lambda _: False),
}
"""Name -> how its files lie."""
