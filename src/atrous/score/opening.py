"""Opens one side of a comparison, in any of the forms that labels come in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from atrous.formats import contents, read_index
from atrous.formats.instances import open_instances, open_results
from atrous.score.classes import shared_classes
from atrous.score.labelfiles import LABEL_FILES, open_label_files
from atrous.score.masks import InstanceSide, on_ground
from atrous.score.sides import FileSide, PanopticSide, Side
from atrous.types import BadInput, Report, refuse

FORMATS = ("coco-panoptic", "coco-instances", *LABEL_FILES)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a side lies.

    path     a JSON file, or a folder of label files
    folder   where its PNGs are, if not where they usually lie: of COCO panoptic the segments, of
             VOC the objects, of ADE20K the instances
    format   one of `FORMATS`; None = recognised
    classes  the name of a data set or a file, where the format does not say them
    """

    path: Path
    folder: Path | None = None
    format: str | None = None
    classes: str | None = None


def open_truth(place: Place, *, flat: bool = False, report: Report = refuse) -> Side:
    """Opens the side that says what is right, and which classes there are.

    flat  masks are to be laid in one map: what none covers is a class of its own then

    Raises: BadInput if nothing of the format is there, or its classes are not known.
    """
    side = _open(place, None, report)
    return on_ground(side) if flat and isinstance(side, InstanceSide) else side


def open_prediction(place: Place, truth: Side, *, report: Report = refuse) -> Side:
    """Opens the side that is to be scored, sorted into the classes of the truth.

    report  hears of classes that only one side has

    Raises: BadInput if nothing of the format is there.
    """
    return _open(place, truth, report)


def _open(place: Place, truth: Side | None, report: Report) -> Side:
    if not os.access(place.path, os.R_OK):
        raise BadInput(f"{place.path}: no such file or folder, or none to read: check the path")
    path = place.path / "panoptic.json" if _is_parsed(place.path) else place.path
    form = place.format or recognised(path, truth)
    if form not in FORMATS:
        raise BadInput(f"format {form!r}: no such format: choose one of {', '.join(FORMATS)}")
    if form in LABEL_FILES:
        return open_label_files(
            path, form, folder=place.folder, classes=place.classes, truth=truth, report=report
        )
    if not path.is_file():
        raise BadInput(f"{path}: is a folder, but {form} is a JSON file: name that")
    open_json = _panoptic if form == "coco-panoptic" else _instances
    return open_json(path, place.folder, truth, report)


def recognised(path: Path, truth: Side | None = None) -> str:
    """The format of a JSON file or of a folder, by what is in it; else that of the truth's folder.

    Raises: BadInput if it could be several.
    """
    if path.is_file():
        data = contents(path)[1].strip()
        if b'"segments_info"' in data:
            return "coco-panoptic"
        if b'"segmentation"' in data or data.startswith(b"[") or b'"annotations"' in data:
            return "coco-instances"
        raise BadInput(f"{path}: neither COCO panoptic nor COCO instances: give such a JSON file")
    found = [name for name, form in LABEL_FILES.items() if path.is_dir() and form.is_like(path)]
    if not found and path.is_dir() and isinstance(truth, FileSide):
        return truth.form
    if len(found) != 1:
        raise BadInput(f"{path}: of unknown format: name it, one of {', '.join(FORMATS)}")
    return found[0]


def _is_parsed(path: Path) -> bool:
    """Whether this is a folder that `atrous parse` wrote."""
    return path.is_dir() and (path / "panoptic.json").is_file()


def _panoptic(path: Path, folder: Path | None, truth: Side | None, report: Report) -> Side:
    index = read_index(path, only_annotations=truth is not None, report=report)
    labels = index.labels if truth is None else truth.labels
    if labels is None:
        raise BadInput(f"{path}: the list of categories is empty: add the classes")
    class_ids = labels.class_ids()
    if truth is not None and index.labels is not None:
        shared = shared_classes(index.labels, labels, source=path, report=report)
        own = index.labels.class_ids()
        class_ids = {startid: shared[i] for startid, i in own.items() if i in shared}
    return PanopticSide(labels, class_ids, folder or _png_folder(path), index.records)


def _png_folder(path: Path) -> Path:
    """Where the PNGs of a panoptic JSON usually lie.

    Raises: BadInput if there is no such folder.
    """
    beside = path.parent
    usual = [path.with_suffix(""), beside / f"{path.stem}_png", beside.parent / path.stem]
    usual += [beside / "panoptic"] if path.name == "panoptic.json" else []
    found = next((folder for folder in reversed(usual) if folder.is_dir()), None)
    if found is None:
        what = f"no folder {usual[0].name} or {usual[1].name} of label PNGs"
        raise BadInput(f"{path}: {what}: name the folder (--gt-dir, --pred-dir)")
    return found


def _instances(path: Path, folder: Path | None, truth: Side | None, report: Report) -> Side:
    if folder is not None:
        raise BadInput(f"{folder}: {path} holds its masks itself: leave the folder out")
    with path.open("rb") as start:
        is_list = start.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    ours = truth if isinstance(truth, InstanceSide) else None
    if is_list and ours is None:
        raise BadInput(
            f"{path}: a bare list says neither classes nor the sizes of images: it needs COCO"
            " instances as truth"
        )
    if is_list and ours is not None:
        file = open_results(path, ours.file, report)
    else:
        file = open_instances(path, labels=truth.labels if truth else None, report=report)
    labels = file.labels if truth is None else truth.labels
    return InstanceSide(labels, file, tuple(file.images.values()), ours.ground if ours else None)
