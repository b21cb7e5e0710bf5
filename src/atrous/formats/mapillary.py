"""Mapillary Vistas v1.2 and v2.0: `labels/*.png`, `instances/*.png` and the list of classes.

A class map is read by `read_classes` with what `read_mapillary_classes` gives, and written by
`write_classes` with `palette_of` its classes.

Source: demo.py and config_v1.2.json, config_v2.0.json of Mapillary Vistas.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from atrous.formats.files import read_json
from atrous.formats.keys import existing, stem_files
from atrous.formats.packed import MAPILLARY_PACKING, read_packed, write_packed
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

VERSIONS = ("v1.2", "v2.0")


def read_mapillary_classes(path: str | os.PathLike[str]) -> tuple[LabelSpace, frozenset[int]]:
    """The evaluated classes of a config JSON, and the ids of the others, which are ignored.

    A file id is the place in the list. The last of the ignored means void.

    Raises: BadInput if the file is no such list.
    """
    data = read_json(path)
    rows = data.get("labels") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadInput(f'{path}: has no list "labels": give the config JSON of Mapillary Vistas')
    labels = [_label(row, place, path) for place, row in enumerate(rows)]
    kept = [label for label, row in zip(labels, rows, strict=True) if row.get("evaluate", True)]
    if not kept:
        raise BadInput(f'{path}: no class has "evaluate": true: give the config JSON of the data')
    return LabelSpace(tuple(kept)), frozenset(range(len(rows))) - {x.file_id for x in kept}


def read_mapillary(
    path: str | os.PathLike[str],
    labels: LabelSpace,
    *,
    ignored: Collection[int],
    class_path: str | os.PathLike[str] | None = None,
    report: Report = refuse,
) -> Labelled:
    """An instance file; the number 0 is a thing like any other.

    Raises: BadInput as `read_packed` does.
    """
    return read_packed(
        path,
        labels,
        packing=MAPILLARY_PACKING,
        ignored=ignored,
        class_path=class_path,
        report=report,
    )


def write_mapillary(
    path: str | os.PathLike[str], labelled: Labelled, labels: LabelSpace, *, void: int
) -> None:
    """Writes an instance file: at most 256 things or one region of stuff for a class, no crowd.

    void  the file id for void, the last of the ignored

    Raises: ValueError and BadInput as `write_packed` does.
    """
    write_packed(path, labelled, labels, packing=MAPILLARY_PACKING, void=void)


def mapillary_files(
    folder: str | os.PathLike[str], kind: str = "instances", *, version: str | None = None
) -> dict[str, Path]:
    """Image key -> file of a split, "training" say, or of a folder of results.

    The files are looked for in folder/VERSION/kind, folder/kind and folder itself, in this order.

    kind     "instances" or "labels"
    version  "v1.2" or "v2.0"; not needed where the folder has only one of them

    Raises: BadInput if there are none, or if both versions are there and none is named.
    """
    root = existing(folder)
    known = VERSIONS if version is None else (version,)
    there = [name for name in known if (root / name / kind).is_dir()]
    if len(there) > 1:
        raise BadInput(f"{root}: has {' and '.join(there)}: say which version")
    if version and not there:
        raise BadInput(f"{root / version / kind}: no such folder: name another version or folder")
    places = [root / name / kind for name in there] + [root / kind]
    return stem_files(next((place for place in places if place.is_dir()), root))


def _label(row: Any, place: int, path: str | os.PathLike[str]) -> Label:
    try:
        red, green, blue = (int(v) for v in row["color"])
        name = str(row.get("readable") or row["name"])
        return Label(name, (red, green, blue), bool(row["instances"]), place)
    except (AttributeError, KeyError, TypeError, ValueError):
        what = f"label {place} needs name, color and instances"
        raise BadInput(f"{path}: {what}: give the config JSON of Mapillary Vistas") from None
