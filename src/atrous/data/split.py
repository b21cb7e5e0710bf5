"""Lists of images for training, validation and test, and the samples that a list names.

A list is a text file with one image name a line; "train@lists/val.txt" names the samples of a
split that stand in one. Where nothing but names decides, an image never moves when others come.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from atrous.data.source import FileSource, Source, Subset, subset
from atrous.types import BadInput

SIDES = ("train", "val", "test")
"""What a data set is divided into; a side is a place in this."""
Sides = NDArray[np.int64]
"""(images,) the side of each image."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of the images for validation and test; the rest is for training.

    Raises: BadInput if a share is not between 0 and 1, or nothing is left for training.
    """

    val: float
    test: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.val < 1:
            what = "the share for validation lies between 0 and 1, such as 0.2"
            raise BadInput(f"--val {self.val}: {what}")
        if not 0 <= self.test < 1:
            raise BadInput(f"--test {self.test}: the share for test lies between 0 and 1")
        if self.val + self.test >= 1:
            what = f"{self.val} and {self.test} leave nothing for training"
            raise BadInput(f"--val and --test: {what}: choose smaller shares")

    def __str__(self) -> str:
        return f"--val {self.val}" + (f" --test {self.test}" if self.test else "")

    @property
    def values(self) -> tuple[float, ...]:
        """Of training, validation and, if there is one, test."""
        rest = 1 - self.val - self.test
        return (rest, self.val, self.test) if self.test else (rest, self.val)


def fraction(text: str) -> float:
    """The SHA-256 of a text as a fraction of 2^256: a number in [0, 1) that looks drawn."""
    return int.from_bytes(sha256(text.encode("utf-8", "surrogateescape")).digest(), "big") / 2**256


def place_of(name: str, *, seed: int = 0) -> float:
    """The place of an image in [0, 1), drawn by the SHA-256 of its file name, a fraction of 2^256.

    Folders do not count. Another seed than 0 is written before the name.
    """
    return fraction(seeded(PurePosixPath(name).name, seed))


def seeded(text: str, seed: int) -> str:
    """What is hashed for a text: with another seed than 0 another text."""
    return f"{seed} {text}" if seed else text


def hashed(names: Sequence[str], *, shares: Shares, seed: int = 0) -> Sides:
    """The side of each image, by the place of its name alone.

    An image is for validation if its place is below the share for that, and for test if not but
    below the sum of both shares.
    """
    return _sides_at([place_of(name, seed=seed) for name in names], shares)


def hashed_groups(groups: Sequence[str], *, shares: Shares, seed: int = 0) -> Sides:
    """The side of each image, by the SHA-256 of its group alone.

    Raises: BadInput as `require_divisible` does.
    """
    require_divisible(groups, shares)
    return _sides_at([fraction(seeded(group, seed)) for group in groups], shares)


def require_no_empty_side(sides: Sides, shares: Shares, *, groups: Sequence[str] = ()) -> None:
    """Raises BadInput if a side has no image.

    groups  of each image, where groups were divided; for the message
    """
    among = f" in {len(set(groups))} groups" if len(groups) else ""
    mend = "try --stratify or another --seed, or choose other shares"
    for side, name in enumerate(SIDES[: len(shares.values)]):
        if not (sides == side).any():
            what = f"no image of {len(sides)}{among} is left for {name}"
            raise BadInput(f"{shares}: {what}: {mend}")


def groups_of(names: Sequence[str], group_by: str) -> list[str]:
    """The group of each image, whose images shall stay on one side.

    names     for "folder" those of `names_with_folders`
    group_by  "folder", or a regular expression that is searched in the name; the group is what
              its first parentheses match, or all that it matches

    Raises: BadInput for an invalid pattern, and for a name that has no group.
    """
    if group_by == "folder":
        return [_folder(name) for name in names]
    try:
        pattern = re.compile(group_by)
    except (re.error, OverflowError, RecursionError) as error:
        what = f"no regular expression ({error})"
        raise BadInput(f"--group-by {group_by}: {what}: write 'folder' or a pattern") from None
    return [_matched(pattern, name) for name in names]


def names_with_folders(source: Source) -> list[str]:
    """The names of a source; where they have no folders, with those of the photos as they differ.

    Cityscapes' photos lie in a folder for each city, of which their names say nothing.
    """
    names = [source.name(i) for i in range(len(source))]
    photos = [_photo(source, i) for i in range(len(source))]
    folders = [photo.parent for photo in photos if photo is not None]
    if any("/" in name for name in names) or not folders or len(folders) < len(names):
        return names
    common = os.path.commonpath(folders)
    return [(f.relative_to(common) / n).as_posix() for f, n in zip(folders, names, strict=True)]


def require_divisible(groups: Sequence[str], shares: Shares) -> None:
    """Raises BadInput if there are fewer groups than sides, or one is larger than every side."""
    sizes, sides = Counter(groups), len(shares.values)
    if len(sizes) < sides:
        what = f"{len(groups)} images in {len(sizes)} groups cannot be {sides} sides"
        raise BadInput(f"{shares}: {what}: give more images, or finer groups")
    total, largest = len(groups), max(shares.values)
    name, size = max(sizes.items(), key=lambda item: item[1])
    if size > ceil(largest * total):
        what = f"group {name!r} has {size} of {total} images"
        room = f"the largest side shall have {round(largest * total)}"
        raise BadInput(f"--group-by: {what}, but {room}: choose finer groups or other shares")


def listed(source: Source, path: Path) -> Subset:
    """The samples of a source that a list names, in the order of the list.

    Raises: BadInput if the list cannot be read, is empty, or names a sample twice or one that the
    source has not.
    """
    places = {source.name(i): i for i in range(len(source))}
    names = [line if line in places else line.strip() for line in _lines(path) if line.strip()]
    unknown = [name for name in names if name not in places]
    if unknown:
        raise BadInput(f"{path}: the data have no image {unknown[0][:200]!r}: write the list anew")
    if not names or len(set(names)) < len(names):
        what = "a name stands twice" if names else "no names"
        raise BadInput(f"{path}: {what}: write the list anew by atrous split")
    return subset(source, (places[name] for name in names))


def _lines(path: Path) -> list[str]:
    """The lines of a list; bytes that are no UTF-8 are those of names as the system has them."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        why = "is a folder" if path.is_dir() else (error.strerror or "cannot be read").lower()
    else:
        if "\0" not in text:
            return text.split("\n")
        why = "is no text"
    raise BadInput(f"{path}: no list of image names ({why}): write one by atrous split")


def _sides_at(places: Sequence[float], shares: Shares) -> Sides:
    held = shares.val + shares.test
    return np.array([1 if p < shares.val else 2 if p < held else 0 for p in places], np.int64)


def _photo(source: Source, index: int) -> Path | None:
    if isinstance(source, Subset):
        return _photo(source.source, source.indices[index])
    return source.entries[index].image if isinstance(source, FileSource) else None


def _folder(name: str) -> str:
    folder = PurePosixPath(name).parent.as_posix()
    if folder == ".":
        what = f"{name!r} lies in no folder of its own"
        raise BadInput(f"--group-by folder: {what}: give a pattern for the names")
    return folder


def _matched(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    key = match and match[1 if pattern.groups else 0]
    if not key:
        what = f"does not match {name!r}" if match is None else f"matches nothing of {name!r}"
        mend = "write a pattern that every name has a group by"
        raise BadInput(f"--group-by {pattern.pattern}: {what}: {mend}")
    return key
