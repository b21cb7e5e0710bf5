"""Finds the files of a data set in its tree, and says what is missing from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from atrous.data.source import Entry
from atrous.formats import image_files
from atrous.types import BadInput, Fault, Report


def base_of(root: Path, *, has: Collection[str], below: Collection[str] = (), what: str) -> Path:
    """The folder that holds a data set: `root`, or one of the usual folders below it.

    has    what must lie in it, any one of these
    below  where else to look, such as "VOCdevkit/VOC2012"
    what   the name of the data set, for the error

    Raises: BadInput if it is none of them; the message says what was looked for and what is there.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder: give the folder that holds {what}")
    for folder in (root, *(root / name for name in below)):
        if any((folder / name).exists() for name in has):
            return folder
    there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    wanted = " or ".join(f"{name}" for name in has)
    raise BadInput(f"{root}: no {what}: looked for {wanted}, found {there}: check the path")


def require_split(split: str, splits: Mapping[str, int], root: Path) -> None:
    """Raises BadInput if there is no such split; the message names those that there are."""
    if split not in splits:
        known = ", ".join(splits) or "none at all"
        raise BadInput(f"{root}: no split {split!r}: there is {known}: choose one by --split")


def listed_names(path: Path) -> tuple[str, ...]:
    """The first word of each line of a list of images, without folders' slashes or suffix changed.

    Raises: BadInput if the list cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{path}: cannot be read: this list names the images of a split") from None
    names = tuple(line.split()[0] for line in lines if line.strip())
    if not names:
        raise BadInput(f"{path}: names no image: copy the list again")
    return names


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
