"""Cityscapes: `*_labelIds.png`, `*_instanceIds.png`, and folders of results, both directions.

A class map of label ids is read by `read_classes` with `CITYSCAPES`, one of train ids with
`CITYSCAPES_TRAIN_IDS`; the lists of masks that are submitted for instances are in `masklist.py`.

Source: the pages preparation/json2instanceImg.py, preparation/createPanopticImgs.py and
evaluation/ of mcordts/cityscapesScripts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from atrous.formats.keys import existing, one_each
from atrous.formats.packed import CITYSCAPES_PACKING, read_packed, write_packed
from atrous.labels import CITYSCAPES, CITYSCAPES_IGNORED, LabelSpace
from atrous.types import Labelled, Report, refuse

_KEY = re.compile(r"[^_]+_\d{6}_\d{6}(?!\d)")


def read_cityscapes(
    path: str | os.PathLike[str],
    labels: LabelSpace = CITYSCAPES,
    *,
    ignored: Collection[int] | None = None,
    class_path: str | os.PathLike[str] | None = None,
    report: Report = refuse,
) -> Labelled:
    """An instance file; things without a number are a group, and so a crowd.

    ignored  file ids that are void; those of `unevaluated` where they are not given

    Of train ids give `CITYSCAPES_TRAIN_IDS` and what it ignores.

    Raises: BadInput as `read_packed` does.
    """
    return read_packed(
        path,
        labels,
        packing=CITYSCAPES_PACKING,
        ignored=unevaluated(labels) if ignored is None else ignored,
        class_path=class_path,
        report=report,
    )


def write_cityscapes(
    path: str | os.PathLike[str],
    labelled: Labelled,
    labels: LabelSpace = CITYSCAPES,
    *,
    void: int = 0,
) -> None:
    """Writes an instance file: at most 1000 things, one crowd or one region of stuff for a class.

    Raises: ValueError and BadInput as `write_packed` does.
    """
    write_packed(path, labelled, labels, packing=CITYSCAPES_PACKING, void=void)


def unevaluated(labels: LabelSpace) -> frozenset[int]:
    """The label ids that are void beside some classes: all that are known and none of them."""
    return (CITYSCAPES_IGNORED | set(CITYSCAPES.class_ids())) - set(labels.class_ids())


def is_cityscapes_key(name: str) -> bool:
    """Whether a file name begins as those of Cityscapes' images do."""
    return _KEY.match(name) is not None


def cityscapes_files(folder: str | os.PathLike[str], ending: str = ".png") -> dict[str, Path]:
    """Image key ("aachen_000000_000019") -> file of all in a folder and its subfolders.

    ending  what the names end with: "labelIds.png" or "instanceIds.png" in the official folders,
            ".png" or ".txt" in folders of results, whatever stands between

    Raises: BadInput if there is no such folder or file, or if an image has two.
    """
    root = existing(folder)
    named = ((_KEY.match(path.name), path) for path in sorted(root.rglob(f"*{ending}")))
    keyed = ((match.group(), path) for match, path in named if match)
    return one_each(keyed, searched=f"{root}: no city_000000_000000*{ending} in it")
