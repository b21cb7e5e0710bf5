"""Which file of a folder belongs to which image, so that two folders can be paired."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from atrous.types import BadInput


def stem_files(folder: str | os.PathLike[str], ending: str = ".png") -> dict[str, Path]:
    """Image key -> file of all that lie directly in a folder; the key is the name without `ending`.

    So are VOC, ADE20K, Mapillary and KITTI paired. Hidden files are left out.

    Raises: BadInput if there is no such folder, or no such file in it.
    """
    root = existing(folder)
    names = (path for path in sorted(root.iterdir()) if path.name.lower().endswith(ending.lower()))
    keyed = ((path.name[: -len(ending)], path) for path in names if path.is_file())
    return one_each(keyed, searched=f"{root}: no *{ending} in it")


def one_each(keyed: Iterable[tuple[str, Path]], *, searched: str) -> dict[str, Path]:
    """Key -> file; `searched` begins the error where there is none.

    Raises: BadInput if there is no file, or if two have one key.
    """
    files: dict[str, Path] = {}
    for key, path in keyed:
        if path.name.startswith("."):
            continue
        if key in files:
            what = f"belongs to the image {key}, as {files[key]} does"
            raise BadInput(f"{path}: {what}: say how the names end, or leave one file an image")
        files[key] = path
    if not files:
        raise BadInput(f"{searched}: name the folder that holds the files themselves")
    return files


def existing(folder: str | os.PathLike[str]) -> Path:
    """The folder as a path.

    Raises: BadInput if there is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: check the path")
    return root
