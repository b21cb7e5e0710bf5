"""KITTI semantics: `semantic/*.png` of Cityscapes label ids, `instance/*.png`, both directions.

A class map is read by `read_classes` with `CITYSCAPES`.

Source: README of the KITTI semantics development kit (Geiger, Abu Alhaija).
"""

from __future__ import annotations

import os
from collections.abc import Collection

from atrous.formats.cityscapes import unevaluated
from atrous.formats.packed import KITTI_PACKING, read_packed, write_packed
from atrous.labels import CITYSCAPES, LabelSpace
from atrous.types import Labelled, Report, refuse


def read_kitti(
    path: str | os.PathLike[str],
    labels: LabelSpace = CITYSCAPES,
    *,
    ignored: Collection[int] | None = None,
    class_path: str | os.PathLike[str] | None = None,
    report: Report = refuse,
) -> Labelled:
    """An instance file; things of number 0 have no instance truth, and so are a crowd.

    ignored  file ids that are void; those of `unevaluated` where they are not given

    Raises: BadInput as `read_packed` does.
    """
    return read_packed(
        path,
        labels,
        packing=KITTI_PACKING,
        ignored=unevaluated(labels) if ignored is None else ignored,
        class_path=class_path,
        report=report,
    )


def write_kitti(
    path: str | os.PathLike[str],
    labelled: Labelled,
    labels: LabelSpace = CITYSCAPES,
    *,
    void: int = 0,
) -> None:
    """Writes an instance file: at most 255 things, one crowd or one region of stuff for a class.

    Raises: ValueError and BadInput as `write_packed` does.
    """
    write_packed(path, labelled, labels, packing=KITTI_PACKING, void=void)
