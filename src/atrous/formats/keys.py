"""Which file of a folder belongs to which image, so that two folders can be paired."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from atrous.types import BadInput


def stem_files(
    folder: str | os.PathLike[str], ending: str = ".png", *, needed: bool = True
) -> dict[str, Path]:
    """Image key -> file of all that lie directly in a folder; the key is the name without `ending`.

    So are VOC, ADE20K, Mapillary and KITTI paired. Hidden files are left out.

    needed  whether it is an error that there is no such folder, or no such file in it

    Raises: BadInput for that, if a folder cannot be read, or if two files have one key.
    """
    if not needed and not Path(folder).is_dir():
        return {}
    root = existing(folder)
    try:
        names = file_names(root, endings=(ending,))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadInput(f"{root}: cannot be read ({why}): check your rights to it") from None
    keyed = ((name[: -len(ending)], root / name) for name in names)
    return one_each(keyed, searched=f"{root}: no *{ending} in it" if needed else "")


def file_names(folder: str | os.PathLike[str], *, endings: Iterable[str]) -> list[str]:
    """The names in a folder that end so, in whatever case, in their order; no hidden files.

    One look at the folder says which are files: a look at each takes minutes on a network's disk.

    Raises: OSError if the folder cannot be listed.
    """
    lowered = tuple(ending.lower() for ending in endings)
    with os.scandir(folder) as places:
        return sorted(
            place.name
            for place in places
            if place.name.lower().endswith(lowered) and place.name[0] != "." and _is_file(place)
        )


def folder_names(folder: str | os.PathLike[str]) -> list[str]:
    """The names of the folders in a folder, in their order; no hidden ones.

    Raises: BadInput if the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as places:
            return sorted(x.name for x in places if x.name[0] != "." and _is_folder(x))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadInput(f"{folder}: cannot be read ({why}): check the path") from None


def one_each(keyed: Iterable[tuple[str, Path]], *, searched: str) -> dict[str, Path]:
    """Key -> file; `searched` begins the error where there is none, empty where none is no error.

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
    if not files and searched:
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


def _is_file(place: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one that is there."""
    try:
        return place.is_file()
    except OSError:  # a link that cannot be followed
        return False


def _is_folder(place: os.DirEntry[str]) -> bool:
    try:
        return place.is_dir()
    except OSError:
        return False
