"""The segments of one image: pixels, pieces and sizes, and whether its JSON says the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atrous.doctor.findings import VOID, Findings, Found
from atrous.doctor.kinds import (
    AREAS,
    NEAR_VOID,
    NO_ENTRY,
    NO_PIXELS,
    PARTED,
    STUFF_APART,
    SWAPPED,
    TINY,
    VOID_LABEL,
)
from atrous.doctor.labelfile import Stored, at
from atrous.doctor.photos import digest
from atrous.doctor.pieces import Pieces, pieces
from atrous.formats import PanopticRecord
from atrous.labels import LabelSpace
from atrous.types import Labelled, Region

TINY_AREA = 4
PIECE_AREA, PIECE_SHARE = 16, 0.1
"""What a second piece of a thing has at least, in pixels and of the thing."""
NEARLY = 0.95


@dataclass(frozen=True, slots=True)
class Extent:
    """Where an id lies: pixels, the first of them, and the areas of its pieces, large to small."""

    area: int
    first: int
    pieces: tuple[int, ...]


def extents(found: Pieces) -> dict[int, Extent]:
    """Id -> where it lies, 0 among them."""
    order = np.lexsort((-found.areas, found.ids))
    ids, cuts = np.unique(found.ids[order], return_index=True)
    parts = zip(*(np.split(x[order], cuts[1:]) for x in (found.areas, found.firsts)), strict=True)
    return {
        i: Extent(int(areas.sum()), int(firsts.min()), tuple(areas.tolist()))
        for i, (areas, firsts) in zip(ids.tolist(), parts, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Site:
    """Where the segments of a sample come from, in words.

    image    begins a place where the file is of several images, else ""
    has_ids  whether ids of segments are those of the file
    """

    sample: int
    file: str
    image: str = ""
    has_ids: bool = False

    def place(self, segment: int, pixel: int, size_hw: tuple[int, ...]) -> str:
        """A pixel of a segment, counted over all pixels, in words."""
        known = f"segment {segment} at " if self.has_ids else ""
        return f"{self.image}{known}{at(pixel, size_hw)}"


def measured(labelled: Labelled, labels: LabelSpace, site: Site) -> Findings:
    """What the segments of a label hold, and what may be wrong with them."""
    found = pieces(labelled.ids)
    where, size = extents(found), labelled.ids.shape
    regions = [region for region in labelled.regions if region.id in where]
    pixels = Counter({VOID: where[0].area} if 0 in where else {})
    areas: dict[int, Counter[int]] = {}
    for region in regions:
        pixels[region.class_id] += where[region.id].area
        if labels[region.class_id].is_thing and not region.is_crowd:
            areas.setdefault(region.class_id, Counter())[where[region.id].area] += 1
    same: dict[bytes, tuple[int, ...]] = {}
    if len(regions) > 1:
        same[digest(found.firsts.tobytes() + found.ids.tobytes(), size)] = (site.sample,)
    odd = [*_void(pixels, site), *_odd(regions, where, labels, site, size)]
    seen = Counter(dict.fromkeys(pixels, 1))
    return Findings(1, pixels, seen, areas, labels=same, found=odd)


def disagreements(stored: Stored, record: PanopticRecord, sample: int) -> list[Found]:
    """Where a label PNG and the rows of its JSON differ."""
    where, size, file = extents(pieces(stored.pixels)), stored.pixels.shape, str(stored.path)
    listed, there = {row[0]: row for row in record.segments.tolist()}, where.keys() - {0}
    strange, empty = sorted(there - listed.keys()), sorted(listed.keys() - there)
    if strange and {_swapped(i) for i in there} == set(listed):
        what = f"{len(there)} ids, which the JSON has with red and blue exchanged"
        return [Found(sample, SWAPPED, file, f"segment {strange[0]}", what)]
    found = []
    if strange:
        first = where[strange[0]]
        place = f"segment {strange[0]} at {at(first.first, size)}"
        what = f"{_ids(strange)} in no segments_info: {first.area} pixels of the first"
        found.append(Found(sample, NO_ENTRY, file, place, what, count=len(strange)))
    if empty:
        what = f"{_ids(empty)} in segments_info, nowhere in the PNG"
        place = f"segment {empty[0]}"
        found.append(Found(sample, NO_PIXELS, file, place, what, count=len(empty)))
    wrong = [i for i in sorted(there & listed.keys()) if listed[i][3] not in (-1, where[i].area)]
    if wrong:
        what = f"{where[wrong[0]].area} pixels, but area {listed[wrong[0]][3]} in segments_info"
        place = f"segment {wrong[0]} at {at(where[wrong[0]].first, size)}"
        found.append(Found(sample, AREAS, file, place, what, count=len(wrong)))
    return found


def _void(pixels: Counter[int], site: Site) -> Iterator[Found]:
    void, total = pixels[VOID], sum(pixels.values())
    place = f"{site.image}whole file"
    if void == total:
        yield Found(site.sample, VOID_LABEL, site.file, place, "no pixel has a class")
    elif void > NEARLY * total:
        what = f"{100 * void / total:.1f} % is void"
        yield Found(site.sample, NEAR_VOID, site.file, place, what)


def _odd(
    regions: list[Region],
    where: dict[int, Extent],
    labels: LabelSpace,
    site: Site,
    size_hw: tuple[int, ...],
) -> Iterator[Found]:
    """Things that are tiny or in pieces, and stuff that is in several segments."""
    things = [r for r in regions if labels[r.class_id].is_thing and not r.is_crowd]
    stuff = Counter(r.class_id for r in regions if not labels[r.class_id].is_thing)
    twice = [r for r in regions if stuff[r.class_id] > 1]
    tiny = [r for r in things if where[r.id].area < TINY_AREA]
    parted = [r for r in things if _is_parted(where[r.id])]
    for kind, rows in ((TINY, tiny), (PARTED, parted), (STUFF_APART, twice)):
        if rows:
            region, extent = rows[0], where[rows[0].id]
            pieces_of = f"{len(extent.pieces)} piece{'s' * (len(extent.pieces) > 1)}"
            what = f"{labels[region.class_id].name}, {extent.area} pixels in {pieces_of}"
            place = site.place(region.id, extent.first, size_hw)
            yield Found(site.sample, kind, site.file, place, what, count=len(rows))


def _is_parted(extent: Extent) -> bool:
    if len(extent.pieces) < 2:
        return False
    return extent.pieces[1] >= max(PIECE_AREA, PIECE_SHARE * extent.area)


def _swapped(segment: int) -> int:
    return (segment & 255) << 16 | segment & 0xFF00 | segment >> 16


def _ids(numbers: list[int]) -> str:
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"id{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{more}"
