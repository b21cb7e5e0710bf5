"""Data sets by name, as `--data SPEC=PATH` opens them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from atrous.data.coco import open_coco
from atrous.data.folder import open_folder
from atrous.data.shapes import Shapes
from atrous.data.source import Source
from atrous.data.split import listed
from atrous.types import BadInput

SOURCES: dict[str, Callable[[Path, str], Source]] = {
    "coco-panoptic": open_coco,
    "folder": open_folder,
}


def open_data(spec: str, split: str) -> Source:
    """The split of a data set: "shapes", or "SPEC=PATH" with SPEC one of `SOURCES`.

    split  a name, or NAME@FILE for the samples of it that a list names

    Raises: BadInput for an unknown name (the nearest is suggested), a folder without the data, or
    a list that does not belong to it.
    """
    split, at, names = split.partition("@")
    whole = _open(spec, split)
    return listed(whole, Path(names)) if at else whole


def _open(spec: str, split: str) -> Source:
    name, equals, path = spec.partition("=")
    if name == "shapes" and not equals:
        if split not in ("train", "val"):
            raise BadInput(f"--split {split}: shapes has train and val")
        return Shapes(split)
    known = ["shapes", *SOURCES]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.4) or known
        raise BadInput(f"--data {spec}: no data set {name!r}, did you mean {' or '.join(near)}?")
    if name == "shapes" or not path:
        example = "shapes" if name == "shapes" else f"{name}=PATH"
        raise BadInput(f"--data {spec}: write {example}")
    if not Path(path).is_dir():
        raise BadInput(f"{path}: no such folder: check the path after {name}=")
    return SOURCES[name](Path(path), split)
