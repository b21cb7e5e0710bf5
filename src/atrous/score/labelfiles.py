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
class Where:
    """Where to look.

    folder         the second folder, of objects or instances, if that is named
    classes        the name or file that says the classes
    is_prediction  results have forms that truth has not
    """

    path: Path
    folder: Path | None
    classes: str | None
    is_prediction: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Label files by image key, what those of one know, and what reads them.

    read  None for lists of masks, which are a side of their own
    """

    files: Mapping[str, tuple[Path, ...]]
    holds: Holds
    read: Read | None


@dataclass(frozen=True, slots=True)
class Form:
    """One data set's way to lay out label files.

    classes  the name or file of its list of classes; None = it has none of its own
    find     its files
    is_like  whether a folder looks like it
    pairs    whether it has files in a second folder
    """

    classes: Callable[[Path], str] | None
    find: Callable[[Where], Found]
    is_like: Callable[[Path], bool] = lambda _: False
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
    way = LABEL_FILES[form]
    if not path.is_dir():
        raise BadInput(f"{path}: no folder, but {form} is a folder of PNGs: name that")
    if folder is not None and not way.pairs:
        raise BadInput(f"{folder}: {form} has no files in a second folder: leave it out")
    named = classes or (way.classes(path) if way.classes else None)
    own = _classes(path, named, truth)
    labels = own.labels if truth is None else truth.labels
    found = way.find(Where(path, folder, named, truth is not None))
    shared = shared_classes(
        own.labels, labels, source=path, report=report, things=found.holds != "classes"
    )
    if found.read is None:
        texts = tuple((key, paths[0]) for key, paths in found.files.items())
        return MaskListSide(labels, texts, path, shared)
    reader = partial(_read, read=found.read, classes=own)
    return FileSide(form, labels, found.holds, tuple(found.files.items()), reader, shared)


def _read(paths: tuple[Path, ...], report: Report, *, read: Read, classes: Classes) -> Labelled:
    return read(*paths, classes.labels, ignored=classes.ignored, report=report)


def _classes(path: Path, named: str | None, truth: Side | None) -> Classes:
    """Those that are named, else the truth's."""
    if named is not None:
        return classes_of(named)
    if truth is None:
        raise BadInput(f"{path}: class maps do not say what their numbers mean: give --classes")
    return Classes(truth.labels, _void_ids(truth.labels))


def _void_ids(labels: LabelSpace) -> frozenset[int]:
    """What may mean "no class" in a class map of a prediction: 255, and 0 if it is no class."""
    return frozenset({0, labels.void}) - labels.class_ids().keys()


def _plain(where: Where) -> Found:
    return _alone(stem_files(where.path), "classes", read_classes)


def _paired(where: Where, *, names: tuple[str, str], read: Read) -> Found:
    """Class maps with a second file beside each, in folders of these names or in those given."""
    path, folder = where.path, where.folder
    classes = path / names[0] if (path / names[0]).is_dir() else path
    second = folder or (path / names[1] if classes != path else None)
    if second is None or not (folder or second.is_dir()):
        return _alone(stem_files(classes), "classes", read_classes)
    first, others = stem_files(classes), stem_files(second)
    if alone := sorted(first.keys() ^ others.keys()):
        lacking = second if alone[0] in first else classes
        raise BadInput(f"{lacking / alone[0]}.png: missing, and {len(alone) - 1} more: add them")
    return Found({key: (first[key], others[key]) for key in first}, "segments", read)


def _cityscapes(where: Where) -> Found:
    path = where.path
    # Other texts lie in these folders too.
    if where.is_prediction and any(is_cityscapes_key(x.stem) for x in path.rglob("*.txt")):
        return _alone(cityscapes_files(path, ".txt"), "instances", None)
    if any(path.rglob("*instanceIds.png")):
        return _alone(cityscapes_files(path, "instanceIds.png"), "segments", read_cityscapes)
    ending = "labelIds.png" if any(path.rglob("*labelIds.png")) else ".png"
    return _alone(cityscapes_files(path, ending), "classes", read_classes)


def _train_ids(where: Where) -> Found:
    ending = "labelTrainIds.png" if any(where.path.rglob("*labelTrainIds.png")) else ".png"
    return _alone(cityscapes_files(where.path, ending), "classes", read_classes)


def _mapillary(where: Where) -> Found:
    path, config = where.path, Path(str(where.classes)).name
    named = [v for v in VERSIONS if v in config and (path / v).is_dir()]
    version = named[0] if named else None
    folders = [path / v / "instances" for v in named or (".", *VERSIONS)]
    if path.name == "instances" or any(folder.is_dir() for folder in folders):
        files = mapillary_files(path, "instances", version=version)
        return _alone(files, "segments", read_mapillary)
    return _alone(mapillary_files(path, "labels", version=version), "classes", read_classes)


def _mapillary_config(path: Path) -> str:
    """The list of classes that ships with the data."""
    places = (path, *path.absolute().parents[:3])
    found = next((c for c in (sorted(p.glob("config*.json")) for p in places) if c), [])
    if len(found) > 1:
        versions = [version for version in VERSIONS if (path / version).is_dir()]
        found = [c for c in found if len(versions) == 1 and versions[0] in c.name]
    if len(found) != 1:
        raise BadInput(f"{path}: its classes stand in config_v1.2.json or so: name it, --classes")
    return str(found[0])


def _kitti(where: Where) -> Found:
    path = where.path
    instances = path / "instance" if (path / "instance").is_dir() else path
    if instances.name == "instance":
        return _alone(stem_files(instances), "segments", read_kitti)
    classes = path / "semantic" if (path / "semantic").is_dir() else path
    return _alone(stem_files(classes), "classes", read_classes)


def _alone(files: Mapping[str, Path], holds: Holds, read: Read | None) -> Found:
    return Found({key: (path,) for key, path in files.items()}, holds, read)


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda path: all((path / name).is_dir() for name in names)


def _always(name: str) -> Callable[[Path], str]:
    return lambda _: name


_VOC = ("SegmentationClass", "SegmentationObject")
_ADE20K = ("annotations", "annotations_instance")
_find_voc = partial(_paired, names=_VOC, read=read_voc)
_find_ade20k = partial(_paired, names=_ADE20K, read=read_ade20k)

LABEL_FILES: Mapping[str, Form] = {
    "voc": Form(_always("voc"), _find_voc, _has("SegmentationClass"), pairs=True),
    "cityscapes": Form(
        _always("cityscapes"),
        _cityscapes,
        lambda path: any(path.rglob("*_labelIds.png")) or any(path.rglob("*_instanceIds.png")),
    ),
    "cityscapes-train-ids": Form(_always("cityscapes-train-ids"), _train_ids),
    "ade20k": Form(_always("ade20k"), _find_ade20k, _has(*_ADE20K), pairs=True),
    "mapillary": Form(
        _mapillary_config,
        _mapillary,
        lambda path: any(_has(f"{v}/instances")(path) for v in (".", *VERSIONS)),
    ),
    "kitti": Form(_always("cityscapes"), _kitti, _has("semantic", "instance")),
    "classes": Form(None, _plain),
}
"""Name -> how its files lie."""
