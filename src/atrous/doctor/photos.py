"""One photo: whether it can be read, what it is, and what is odd about it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from atrous.doctor.findings import Found
from atrous.doctor.kinds import (
    BAD_PHOTO,
    BLANK,
    CMYK,
    DEEP,
    SEE_THROUGH,
    SIZES,
    TURN_UNSEEN,
    TURNED,
)
from atrous.formats import Photo, read_photo
from atrous.formats.images import opened, raw_mode
from atrous.formats.photo import TALL
from atrous.types import BadInput, Image

DIGEST = 16
"""Bytes of a digest."""
DARK = 16
"""Level of 255 below which all of a photo is nearly black."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a photo is.

    size_hw  of the upright photo
    turn     1 to 8, as EXIF has it
    is_grey  whether its file has no colour
    digest   of its upright pixels: equal whatever the container is
    pixels   (h, w, 3) upright
    """

    size_hw: tuple[int, int]
    turn: int
    is_grey: bool
    digest: bytes
    pixels: Image


def seen(path: Path, sample: int) -> tuple[Seen | None, list[Found]]:
    """What a photo is, None if it cannot be read, and what is wrong with it."""
    try:
        photo = read_photo(path)
        pixels = photo.pixels()
    except BadInput as error:
        what = str(error).removeprefix(f"{path}: ").partition(": ")[0]
        return None, [Found(sample, BAD_PHOTO, str(path), "whole file", what)]
    is_grey, odd = _odd(photo, pixels)
    found = [Found(sample, kind, str(path), "whole file", what) for kind, what in odd]
    return Seen(
        photo.size_hw, photo.orientation, is_grey, digest(pixels.data, pixels.shape), pixels
    ), found


def digest(data: bytes | memoryview, shape: tuple[int, ...]) -> bytes:
    """What is equal for equal pixels of one shape alone."""
    return blake2b(data, digest_size=DIGEST, key=repr(shape).encode()).digest()


def _odd(photo: Photo, pixels: Image) -> tuple[bool, list[tuple[str, str]]]:
    """Whether it is grey, and what is odd: kinds and words."""
    image = opened(photo.data, name=photo.source)
    raw, odd = raw_mode(image), []
    if ";16" in raw or image.mode in ("I", "F") or image.mode.startswith("I;16"):
        dark = f", brightest {pixels.max()} of 255 once read" if pixels.max() < DARK else ""
        odd.append((DEEP, f"{image.format} {raw or image.mode}{dark}"))
    elif pixels.min() == pixels.max():
        odd.append((BLANK, f"all pixels are {tuple(pixels[0, 0].tolist())}"))
    if image.mode == "CMYK":
        odd.append((CMYK, f"{image.format} CMYK"))
    if image.has_transparency_data:
        odd.append((SEE_THROUGH, f"{image.format} {image.mode}"))
    return image.mode != "LAB" and image.mode[0] in "1LIF", odd


def size_fault(
    file: Path, size_hw: tuple[int, ...], photo: tuple[Path, Seen], sample: int
) -> Found | None:
    """What the size of a label says: two sizes, a photo turned without it, or nothing."""
    path, seen_as = photo
    wanted, turn = seen_as.size_hw, seen_as.turn
    words = f"label {file.name} is {_by(size_hw)}, photo {path.name} {_by(wanted)} (height x width)"
    if size_hw == wanted:
        unseen = turn in (2, 3, 4) or (turn in TALL and wanted[0] == wanted[1])
        what = f"EXIF orientation {turn}, and {file.name} has the same size either way"
        return Found(sample, TURN_UNSEEN, str(path), "EXIF", what) if unseen else None
    if turn in TALL and size_hw == wanted[::-1]:
        what = f"{words} once upright: EXIF orientation {turn}"
        return Found(sample, TURNED, str(path), "EXIF", what)
    swapped = ": height and width exchanged" if size_hw == wanted[::-1] else ""
    return Found(sample, SIZES, str(file), "whole file", words + swapped)


def _by(size_hw: tuple[int, ...]) -> str:
    return f"{size_hw[0]} x {size_hw[1]}"
