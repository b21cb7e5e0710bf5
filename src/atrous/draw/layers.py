"""What a parse and a labelled image have in common for the brush: patches on a map of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atrous.draw.colours import Colour, shade
from atrous.draw.words import Box
from atrous.labels import Label, LabelSpace
from atrous.types import IdMap, Labelled, Parse, Region, Segment

GROUND = "background"
SHADES = 12
"""Relatives of a class's colour that the things of frames have."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A segment as it is drawn.

    captions  what to write on it, the best first: the first with enough room is taken
    """

    id: int
    class_id: int
    name: str
    is_thing: bool
    area: int
    box: Box
    captions: tuple[str, ...] = ()
    is_crowd: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Patches, and where they lie: `ids` (h, w) holds their ids; any other id means none."""

    ids: IdMap
    patches: tuple[Patch, ...]

    @property
    def has_void(self) -> bool:
        """Whether some pixel is of no patch."""
        return sum(patch.area for patch in self.patches) < self.ids.size


def parse_layer(parse: Parse) -> Layer:
    """What a system found, with names and scores on things."""
    return Layer(parse.panoptic, tuple(map(_segment_patch, parse.segments)))


def _segment_patch(segment: Segment) -> Patch:
    captions = (f"{segment.name} {segment.score:.0%}", segment.name) if segment.is_thing else ()
    return Patch(
        id=segment.id,
        class_id=segment.class_id,
        name=segment.name,
        is_thing=segment.is_thing,
        area=segment.area,
        box=segment.box,
        captions=captions,
    )


def labelled_layer(labelled: Labelled, labels: LabelSpace) -> Layer:
    """The regions that have pixels, with names on things, and scores where there are any."""
    extents = measured(labelled.ids)
    regions = (region for region in labelled.regions if region.id in extents)
    patches = (_region_patch(r, labels[r.class_id], extents[r.id]) for r in regions)
    return Layer(labelled.ids, tuple(patches))


def _region_patch(region: Region, label: Label, extent: tuple[int, Box]) -> Patch:
    return Patch(
        id=region.id,
        class_id=region.class_id,
        name=label.name,
        is_thing=label.is_thing,
        area=extent[0],
        box=extent[1],
        captions=_captions(region, label.name) if label.is_thing else (),
        is_crowd=region.is_crowd,
    )


def _captions(region: Region, name: str) -> tuple[str, ...]:
    if region.is_crowd:
        return f"{name} crowd", name
    return (name,) if region.score is None else (f"{name} {region.score:.0%}", name)


def measured(ids: IdMap) -> dict[int, tuple[int, Box]]:
    """Id -> area and box, for all ids of a map; by its runs, for label maps are flat."""
    height, width = ids.shape
    is_first = np.ones((height, width), dtype=np.bool_)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=is_first[:, 1:])
    starts = np.flatnonzero(is_first)
    lengths, values = np.diff(starts, append=ids.size), ids.ravel()[starts]
    order = np.argsort(values, kind="stable")
    found, firsts = np.unique(values[order], return_index=True)
    ys, xs = np.divmod(starts[order], width)
    edges = (
        np.minimum.reduceat(ys, firsts),
        np.minimum.reduceat(xs, firsts),
        np.maximum.reduceat(ys, firsts) + 1,
        np.maximum.reduceat(xs + lengths[order], firsts),
    )
    areas = np.add.reduceat(lengths[order], firsts).tolist()
    boxes = zip(*(edge.tolist() for edge in edges), strict=True)
    return dict(zip(found.tolist(), zip(areas, boxes, strict=True), strict=True))


def ranks(layer: Layer) -> dict[int, int]:
    """Id of each thing -> its place among those of its class, large to small."""
    return _ranked(layer, {}, Counter())


def ranks_like(layer: Layer, other: Layer, partners: Mapping[int, int]) -> dict[int, int]:
    """Ranks in which a thing has that of its partner, and one of its own where it has none.

    partners  id in `layer` -> id in `other`
    """
    known = ranks(other)
    shared = {mine: known[yours] for mine, yours in partners.items() if yours in known}
    return _ranked(layer, shared, Counter(p.class_id for p in other.patches if p.is_thing))


def lasting_ranks(layer: Layer, classes: int) -> dict[int, int]:
    """Ranks by ids that a `Tracker` gave: in all frames, a thing has one colour."""
    return {p.id: (p.id - classes - 1) % SHADES for p in layer.patches if p.is_thing}


def _ranked(layer: Layer, known: Mapping[int, int], seen: Counter[int]) -> dict[int, int]:
    """The ranks that are known, and the next ones of each class for the others."""
    found = dict(known)
    for patch in sorted(layer.patches, key=lambda p: (-p.area, p.box)):
        if patch.is_thing and patch.id not in found:
            found[patch.id] = seen[patch.class_id]
            seen[patch.class_id] += 1
    return found


def colours(
    layer: Layer, labels: LabelSpace, ranks: Mapping[int, int], *, by: str = "instance"
) -> dict[int, Colour]:
    """Id -> colour, without ground; stuff has that of its class, things a relative of it.

    by  "instance", or "class": then all things of a class have the same
    """
    found = {}
    for patch in layer.patches:
        colour = labels[patch.class_id].colour
        if patch.is_thing:
            found[patch.id] = shade(colour, ranks[patch.id] if by == "instance" else 0)
        elif patch.name != GROUND:
            found[patch.id] = colour
    return found
