"""Finds the files of a data set in its tree, and says what is missing from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from atrous.data.source import Entry
from atrous.formats import image_files, stem_files
from atrous.formats.keys import folder_names
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Report

LISTED = 120
"""Characters of the names of what lies in a folder, in an error."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".mat")


def base_of(root: Path, *, has: Collection[str], below: Collection[str] = (), what: str) -> Path:
    """The folder that holds a data set: `root`, or one of the usual folders below it.

    has    what must lie in it, any one of these
    below  where else to look, such as "VOCdevkit/VOC2012"
    what   the name of the data set, for the error

    Raises: BadInput if it is none of them; the message names the right folder if `root` is one or
    two off, or an archive that is still packed, or else what was looked for and what is there.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: give the folder that holds {what}")
    for folder in (root, *(root / name for name in below)):
        if _holds(folder, has):
            return folder
    here, inside = root.absolute(), folder_names(root)
    for folder in (here.parent, here.parent.parent, *(here / name for name in inside)):
        if _holds(folder, has):
            raise BadInput(f"{root}: {what} lies in {folder}: give that folder")
    if packed := _archives(root):
        raise BadInput(f"{root}: {what} is still packed: unzip {packed} there")
    there = _shortened(", ".join(sorted(os.listdir(root))[:8]) or "nothing")
    wanted = " or ".join(has)
    raise BadInput(f"{root}: no {what}: looked for {wanted}, found {there}: check the path")


def require_split(split: str, splits: Mapping[str, int], root: Path) -> None:
    """Raises BadInput if there is no such split; the message names those that there are."""
    if split not in splits:
        known = ", ".join(splits) or "none at all"
        raise BadInput(f"{root}: no split {split!r}: there is {known}: choose one by --split")


def listed_lines(path: Path) -> tuple[str, ...]:
    """The lines of a list of images, without those that are empty and the spaces around them.

    Raises: BadInput if the list cannot be read or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError:
        raise BadInput(f"{path}: cannot be read: this list names the images of a split") from None
    if "\0" in text:
        raise BadInput(f"{path}: cannot be read: this list is no text: copy it again")
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise BadInput(f"{path}: names no image: copy the list again")
    return lines


def whole_key(line: str, known: Collection[str]) -> str | None:
    """The image of `known` that a whole line names, spaces and all; None if there is none."""
    if any("/" in word for word in line.split()[1:]):  # photo and label
        return None
    name = line.rpartition("/")[2]
    return next((key for key in (name, stem_of(name)) if key in known), None)


def stem_of(name: str) -> str:
    """A name of a list without folders, and without suffix if that is one of image or label."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def photos(folder: Path) -> dict[str, Path]:
    """Stem -> photo of all that lie directly in a folder.

    Raises: BadInput if there is no such folder, or if two photos have one stem.
    """
    found: dict[str, Path] = {}
    for path in image_files(folder):
        if path.stem in found:
            other = found[path.stem].name
            raise BadInput(f"{path}: has the name of {other}: keep one photo of a name")
        found[path.stem] = path
    return found


def paired(
    keys: Iterable[str],
    images: Mapping[str, Path],
    truths: Mapping[str, tuple[Path, ...]],
    *,
    expected: Callable[[str], tuple[Path, Path]],
    report: Report,
) -> tuple[Entry, ...]:
    """An entry for each key that has photo and labels; `expected` says where they should lie.

    report  hears of each key that lacks one of them, which is left out if it returns
    """
    entries = []
    for key in keys:
        image, truth = expected(key)
        if key not in images:
            mend = "add the photo, or take it out of the split"
            report(Fault("labels without a photo", f"{image}: missing: {mend}"))
        elif key not in truths:
            mend = f"label {images[key].name}, or take it out of the split"
            report(Fault("photos without a label", f"{truth}: missing: {mend}"))
        else:
            entries.append(Entry(images[key].name, images[key], truths[key]))
    return tuple(entries)


def by_stem(images: Path, folders: tuple[Path, ...], report: Report) -> tuple[Entry, ...]:
    """An entry for each photo that has a PNG of its stem in each of the folders.

    report  hears of photos that lack one, and of PNGs without a photo

    Raises: BadInput if a folder is missing or empty, or if two photos have one stem.
    """
    found, maps = photos(images), [stem_files(folder) for folder in folders]
    keys = found.keys() | set().union(*maps)
    whole = [key for key in keys if all(key in files for files in maps)]
    truths = {key: tuple(files[key] for files in maps) for key in whole}

    def expected(key: str) -> tuple[Path, Path]:
        lacking = [x for x, files in zip(folders, maps, strict=True) if key not in files]
        return images / f"{key}.jpg", (lacking or folders)[0] / f"{key}.png"

    return paired(sorted(keys), found, truths, expected=expected, report=report)


def require_folder(folder: Path, *, root: Path, mend: str, archives: str = "*.zip") -> None:
    """Raises BadInput if there is no such folder; its mend names an archive that is still packed.

    archives  the names of archives in `root` that may hold the folder
    """
    if not folder.is_dir():
        packed = _archives(root, archives)
        raise BadInput(f"{folder}: no such folder: {f'unzip {packed}' if packed else mend}")


def all_stuff(labels: LabelSpace) -> LabelSpace:
    """The same classes, none a thing: class maps do not tell two things of a class apart."""
    return LabelSpace(tuple(replace(label, is_thing=False) for label in labels.labels))


def _holds(folder: Path, names: Collection[str]) -> bool:
    return any((folder / name).exists() for name in names)


def _shortened(text: str) -> str:
    return text if len(text) <= LISTED else f"{text[: LISTED - 4]} ..."


def _archives(root: Path, names: str = "*.zip") -> str:
    return ", ".join(str(path) for path in sorted(root.glob(names))[:4])
