"""Training and validation lists that do not move when a data set grows.

A list is a text file with one image name a line; "train@lists/val.txt" names the samples of a
split that stand in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path, PurePosixPath

from atrous.data.source import Source, Subset, subset
from atrous.types import BadInput


def place_of(name: str) -> float:
    """The place of an image in [0, 1), drawn by the SHA-256 of its file name, a fraction of 2^256.

    Folders do not count.
    """
    return int.from_bytes(sha256(PurePosixPath(name).name.encode()).digest(), "big") / 2**256


def divide(names: Iterable[str], *, val: float) -> tuple[list[str], list[str]]:
    """The names for training and those for validation, whose place is below `val`.

    Raises: BadInput if `val` is not between 0 and 1.
    """
    if not 0 < val < 1:
        raise BadInput(f"--val {val}: the share for validation lies between 0 and 1, such as 0.2")
    train: list[str] = []
    held: list[str] = []
    for name in names:
        (held if place_of(name) < val else train).append(name)
    return train, held


def listed(source: Source, path: Path) -> Subset:
    """The samples of a source that a list names, in the order of the list.

    Raises: BadInput if the list cannot be read, is empty, or names a sample twice or one that the
    source has not.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path}: no list of image names ({error}): write one by atrous split"
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    places = {source.name(i): i for i in range(len(source))}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise BadInput(f"{path}: the data have no image {unknown[0]!r}: write the list anew")
    if not names or len(set(names)) < len(names):
        what = "a name stands twice" if names else "no names"
        raise BadInput(f"{path}: {what}: write the list anew by atrous split")
    return subset(source, (places[name] for name in names))
