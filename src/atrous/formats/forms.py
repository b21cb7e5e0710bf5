"""The forms in which label files of one image are written: by name, and into which folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from atrous.formats.ade20k import write_ade20k
from atrous.formats.cityscapes import write_cityscapes
from atrous.formats.classpng import palette_of, write_classes
from atrous.formats.mapillary import write_mapillary
from atrous.formats.panoptic import write_panoptic
from atrous.formats.voc import write_voc
from atrous.labels import LabelSpace
from atrous.types import BadInput, Labelled

_PHOTO_END = "_leftImg8bit"
"""What a Cityscapes photo's name has where its labels' have their kind."""


@dataclass(frozen=True, slots=True)
class LabelForm:
    """One form.

    kinds     folder -> what the file's name ends with, for each file of an image
    write     writes the files, in the order of `kinds`
    void      file id for void, by the classes; None where void is no file id
    most      the largest file id that it holds
    has_json  whether `panoptic.json` belongs to it
    """

    kinds: Mapping[str, str]
    write: Callable[[list[Path], Labelled, LabelSpace], None]
    void: Callable[[LabelSpace], int] | None
    most: int
    has_json: bool = False

    def paths(self, folder: Path, name: str) -> dict[str, Path]:
        """Kind -> file, for the image of a name."""
        return {kind: folder / kind / _file_name(name, end) for kind, end in self.kinds.items()}


def _file_name(name: str, end: str) -> str:
    """Labels have their kind where Cityscapes' photos have theirs."""
    return f"{name}{end}" if end == ".png" else f"{name.removesuffix(_PHOTO_END)}{end}"


def _coco(paths: list[Path], labelled: Labelled, labels: LabelSpace) -> None:
    write_panoptic(paths[0], labelled.ids)


def _voc(paths: list[Path], labelled: Labelled, labels: LabelSpace) -> None:
    classes, objects = paths
    write_voc(classes, objects, labelled, labels)


def _cityscapes(paths: list[Path], labelled: Labelled, labels: LabelSpace) -> None:
    write_cityscapes(paths[0], labelled, labels)
    write_classes(paths[1], labels.semantic(labelled), labels, void=0)


def _ade20k(paths: list[Path], labelled: Labelled, labels: LabelSpace) -> None:
    classes, instances = paths
    write_ade20k(classes, instances, labelled, labels)


def _mapillary(paths: list[Path], labelled: Labelled, labels: LabelSpace) -> None:
    void, classes = _beyond(labels), labels.semantic(labelled)
    write_mapillary(paths[0], labelled, labels, void=void)
    write_classes(paths[1], classes, labels, void=void, palette=palette_of(labels))


def _beyond(labels: LabelSpace) -> int:
    """The id after the last class: in Mapillary's lists what follows is not evaluated."""
    return max(label.file_id for label in labels.labels) + 1


FORMS: Mapping[str, LabelForm] = {
    "coco": LabelForm({"panoptic": ".png"}, _coco, None, 2**31, has_json=True),
    "cityscapes": LabelForm(
        {"instanceIds": "_instanceIds.png", "labelIds": "_labelIds.png"},
        _cityscapes,
        lambda _: 0,
        64,
    ),
    "voc": LabelForm(
        {"SegmentationClass": ".png", "SegmentationObject": ".png"}, _voc, lambda _: 255, 255
    ),
    "ade20k": LabelForm(
        {"annotations": ".png", "annotations_instance": ".png"}, _ade20k, lambda _: 0, 255
    ),
    "mapillary": LabelForm({"instances": ".png", "labels": ".png"}, _mapillary, _beyond, 254),
}
"""By name. `atrous score` opens what they write."""


def require_form(name: str) -> LabelForm:
    """The form of a name.

    Raises: BadInput if there is none.
    """
    if name not in FORMS:
        raise BadInput(f"--format {name}: there is {', '.join(FORMS)}")
    return FORMS[name]


def require_fit(name: str, labels: LabelSpace) -> None:
    """Raises BadInput if the form of a name does not hold the file ids of these classes."""
    form = require_form(name)
    void = form.void(labels) if form.void else None
    for label in labels.labels:
        what = f"--format {name}: {label.name} has the file id {label.file_id}"
        if label.file_id == void:
            raise BadInput(f"{what}, which means void there: use --format coco")
        if not 0 <= label.file_id <= form.most:
            raise BadInput(f"{what}, beyond the {form.most} that it holds: use --format coco")
