"""Which members of a shard make a sample: WebDataset's rule, and our names for labels.

The members of a sample follow each other and have one key: their path up to the first dot of the
base name. What follows the dot says what a member is.

KEY.jpg                      the photo; or jpeg, webp, png, tif, tiff, bmp, ppm, pgm, gif
KEY.panoptic.png, KEY.json   segment ids as COCO panoptic has them, and {"segments_info": [...]}
KEY.seg.png                  or a class map; cls, mask, label and semantic are understood as well,
                             and KEY.png where the photo is no PNG

A key has one of the two kinds of labels. Other members are left alone, and so are keys without
photo and label. The sample's name is the photo's; in it %2E stands for a dot and %25 for a percent
sign, since a key has no dots.

Source: the section on file names in the documentation of WebDataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

from atrous.data.shards.index import Member
from atrous.types import Fault, Report

PHOTOS = ("jpg", "jpeg", "webp", "png", "tif", "tiff", "bmp", "ppm", "pgm", "gif")
PANOPTIC, SEGMENTS = "panoptic.png", "json"
CLASS_MAPS = ("seg.png", "cls.png", "mask.png", "label.png", "semantic.png")
_KEYED = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)")


@dataclass(frozen=True, slots=True)
class Packed:
    """A sample in a shard.

    shard   its number
    labels  a panoptic PNG and its JSON, or a class map
    """

    name: str
    shard: int
    photo: Member
    labels: tuple[Member, ...]

    @property
    def is_panoptic(self) -> bool:
        """Whether its labels tell things apart."""
        return len(self.labels) == 2

    @property
    def members(self) -> tuple[Member, ...]:
        """Photo and labels."""
        return (self.photo, *self.labels)


def samples_of(
    members: Iterable[Member], *, shard: int, path: str, report: Report
) -> Iterator[Packed]:
    """The samples of a shard, in their order.

    report  hears of keys that make no sample, which are left out if it returns
    """
    keyed = [(found, m) for m in members if (found := _KEYED.fullmatch(m.name))]
    seen: set[str] = set()
    for key, group in groupby(keyed, key=lambda pair: pair[0][1]):
        parts = [(found[2].lower(), member) for found, member in group]
        fault = _fault(key, [kind for kind, _ in parts], is_again=key in seen)
        seen.add(key)
        if fault:
            report(Fault(fault[0], f"{path}: {key}: {fault[1]}"))
            continue
        kinds = dict(parts)
        if _photos(list(kinds)):
            photo, *labels = (kinds[kind] for kind in _parts_of(list(kinds)))
            yield Packed(name_of(photo.name), shard, photo, tuple(labels))


def member_stem(name: str) -> str:
    """The key of a sample: its name without suffix, with no dot in its base name."""
    path = PurePosixPath(name)
    suffix = path.suffix[1:].lower()
    base = path.name[: -len(suffix) - 1] if suffix in PHOTOS else path.name
    return path.with_name(base.replace("%", "%25").replace(".", "%2E")).as_posix()


def name_of(photo: str) -> str:
    """The name of a sample, by the member that is its photo."""
    folder, slash, base = photo.removeprefix("./").rpartition("/")
    return folder + slash + base.replace("%2E", ".").replace("%25", "%")


def _parts_of(kinds: list[str]) -> list[str]:
    """The photo of a sample, then its labels."""
    photo, labels = _photos(kinds)[0], _labels(kinds)
    return [photo, PANOPTIC, SEGMENTS] if labels == [PANOPTIC] else [photo, *labels]


def _photos(kinds: list[str]) -> list[str]:
    """What may be the photo; a PNG beside another photo is a class map."""
    photos = [kind for kind in kinds if kind in PHOTOS]
    return [kind for kind in photos if kind != "png"] or photos


def _labels(kinds: list[str]) -> list[str]:
    known = {PANOPTIC, *CLASS_MAPS} | ({"png"} if "png" not in _photos(kinds) else set())
    return [kind for kind in kinds if kind in known]


def _fault(key: str, kinds: list[str], *, is_again: bool) -> tuple[str, str] | None:
    """What keeps a key from being a sample: a kind of fault, and its words."""
    photos, labels = _photos(kinds), _labels(kinds)
    if not photos and not labels:
        return None
    if is_again:
        return "keys in two places", "its members do not follow each other: write the shard anew"
    if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        return "keys with a member twice", f"{twice[0]} stands twice: keep one"
    if not photos:
        what = f"{labels[0]} has no photo: add one of {', '.join(PHOTOS[:4])}"
        return "labels without a photo", what
    if len(photos) > 1:
        return "keys with two photos", f"has {' and '.join(photos)}: keep one"
    if not labels:
        what = f"{photos[0]} has no label: add {PANOPTIC} and {SEGMENTS}, or {CLASS_MAPS[0]}"
        return "photos without a label", what
    if len(labels) > 1:
        return "keys with two labels", f"has {' and '.join(labels)}: keep one"
    if labels == [PANOPTIC] and SEGMENTS not in kinds:
        return "photos without a label", f"{PANOPTIC} has no {SEGMENTS} of its segments: add it"
    return None
