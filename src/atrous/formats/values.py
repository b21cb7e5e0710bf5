"""What the values of a label PNG stand for: files of classes and instances to regions, and back.

Every data set packs class and instance into its pixels in a way of its own. Its page says what each
value that occurs stands for; the loops over pixels are here. Regions are numbered from 1 in the
order of their values, so that writing and reading again renumbers, and changes nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.formats.agreement import MAX_ID
from atrous.formats.classes import read_class_map, read_class_runs
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, IdRuns, Labelled, Region, Report, refuse

Stored = NDArray[np.uint16]
"""(h, w) pixels as they stand in a PNG, of 8 bit or 16."""

_VALUES = 2**16


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a value stands for; values of one meaning become one region.

    number  tells the things of a class apart; None where there is nothing to tell apart
    """

    class_id: int
    number: int | None = None
    is_crowd: bool = False


def read_stored(path: str | os.PathLike[str]) -> Stored:
    """(h, w) pixels of a grey or palette PNG as they stand in it.

    Raises: BadInput if the file is no whole PNG of that kind.
    """
    return read_class_map(path).astype(np.uint16)


def read_classes(
    path: str | os.PathLike[str],
    labels: LabelSpace,
    *,
    ignored: Collection[int],
    report: Report = refuse,
) -> Labelled:
    """A class map of any data set: one region for each class that occurs, things too.

    ignored  file ids that are void
    report   hears of ids that are neither, which become void if it returns

    Raises: BadInput if the file is no class map, or holds other ids.
    """
    stored = read_class_runs(path)
    return label_classes(stored, labels, ignored=ignored, source=path, report=report)


def label_classes(
    stored: NDArray[np.integer[Any]] | IdRuns,
    labels: LabelSpace,
    *,
    ignored: Collection[int],
    source: object,
    report: Report = refuse,
) -> Labelled:
    """`read_classes` for pixels, 0 to 65535, that are read already; errors name `source`."""
    values = stored if isinstance(stored, IdRuns) else stored.astype(np.uint16, copy=False)
    file_ids = values_in(values)
    classes = classes_of(file_ids, labels, ignored=ignored, source=source, report=report)
    meanings = {value: None if c is None else Meaning(c) for value, c in classes.items()}
    return labelled_by(values, meanings)


def classes_of(
    file_ids: Iterable[int],
    labels: LabelSpace,
    *,
    ignored: Collection[int],
    source: object,
    report: Report = refuse,
) -> dict[int, int | None]:
    """File id -> class id, None = void, in the order given; what is ignored is no class.

    Raises: BadInput if an id is neither a class nor ignored.
    """
    known = labels.class_ids()
    found = {i: None if i in ignored else known.get(i) for i in file_ids}
    unknown = sorted(i for i, c in found.items() if c is None and i not in ignored)
    if unknown:
        more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
        what = f"holds {unknown[:6]}{more}, neither ids of its {len(labels)} classes nor ignored"
        mend = "give the classes it was made with (train ids are no label ids), or mend the label"
        report(Fault("ids of no class", f"{source}: {what}: {mend}"))
    return found


def values_in(stored: Stored | IdRuns) -> list[int]:
    """The values that occur, in ascending order."""
    is_there = np.zeros(_VALUES, dtype=np.bool_)
    _mark(_values(stored), is_there)
    return np.flatnonzero(is_there).tolist()


def labelled_by(stored: Stored | IdRuns, meanings: Mapping[int, Meaning | None]) -> Labelled:
    """The image in which each value stands for its meaning, None = void.

    meanings  of each value that occurs; regions keep their order
    """
    ids = {m: i for i, m in enumerate(dict.fromkeys(m for m in meanings.values() if m), 1)}
    table = np.zeros(_VALUES, dtype=np.int32)
    for value, meaning in meanings.items():
        table[value] = ids[meaning] if meaning else 0
    regions = (Region(i, m.class_id, m.is_crowd) for m, i in ids.items())
    return Labelled(looked_up(stored, table), tuple(regions))


def looked_up(stored: Stored | IdRuns, table: NDArray[np.int32]) -> NDArray[np.int32]:
    """(h, w) what stands in a table of 65536 places for each pixel."""
    found = np.empty(stored.shape, dtype=np.int32)
    if isinstance(stored, IdRuns):
        _look_up_runs(stored.ids, stored.starts, table, found.ravel())
    else:
        _look_up(stored.ravel(), table, found.ravel())
    return found


def _values(stored: Stored | IdRuns) -> NDArray[np.integer[Any]]:
    return stored.ids if isinstance(stored, IdRuns) else stored.ravel()


def same_size(stored: NDArray[Any], other: NDArray[Any], *, sources: tuple[object, object]) -> None:
    """Raises BadInput if two files of one image differ in size."""
    if stored.shape != other.shape:
        sizes = [" x ".join(map(str, a.shape)) for a in (stored, other)]
        what = f"is {sizes[0]} but {sources[1]} is {sizes[1]}"
        raise BadInput(f"{sources[0]}: {what}: give both one size")


def numbered(
    labelled: Labelled, labels: LabelSpace, *, has_crowds: bool
) -> list[tuple[Region, int | None]]:
    """The regions that have pixels, each with its place among the things of its class.

    The place is None for stuff and for crowds.

    has_crowds  whether the form can say that a region is a crowd

    Raises: ValueError if map and regions disagree, or a class has two regions without a place.
    """
    things: dict[int, int] = {}
    places: list[tuple[Region, int | None]] = []
    for region in _with_pixels(labelled, labels):
        has_place = labels[region.class_id].is_thing and not region.is_crowd
        if region.is_crowd:
            _check_crowd(region, labels, has_crowds)
        if not has_place and any(r.class_id == region.class_id and p is None for r, p in places):
            what = f"{labels[region.class_id].name} has two regions of stuff or crowd"
            raise ValueError(f"{what}, and this form holds one: merge them first")
        places.append((region, things.get(region.class_id, 0) if has_place else None))
        things[region.class_id] = things.get(region.class_id, 0) + has_place
    return places


def painted(labelled: Labelled, values: Mapping[int, int], *, void: int) -> NDArray[np.uint16]:
    """(h, w) the value of each pixel's region; region id -> value, `void` where there is none."""
    table = np.full(int(labelled.ids.max(initial=0)) + 1, void, dtype=np.uint16)
    for region_id, value in values.items():
        table[region_id] = value
    return table[labelled.ids]


def _with_pixels(labelled: Labelled, labels: LabelSpace) -> list[Region]:
    ids, known = labelled.ids, {region.id: region for region in labelled.regions}
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if low < 0 or high > MAX_ID:
        raise ValueError(f"ids run from {low} to {high}: number regions within 1 and {MAX_ID}")
    is_there = np.zeros(high + 1, dtype=np.bool_)
    is_there[ids] = True
    stray = set(np.flatnonzero(is_there).tolist()) - {0} - set(known)
    if stray or 0 in known or len(known) < len(labelled.regions):
        what = f"ids {sorted(stray)[:6]} have no region" if stray else "region ids are 0 or twice"
        raise ValueError(f"{what}: give one region for each id of the map but 0")
    outside = [r.class_id for r in labelled.regions if not 0 <= r.class_id < len(labels)]
    if outside:
        raise ValueError(f"class {outside[0]} is none of {len(labels)}: give the label space of it")
    return [region for region in labelled.regions if region.id <= high and is_there[region.id]]


def _check_crowd(region: Region, labels: LabelSpace, has_crowds: bool) -> None:
    name = labels[region.class_id].name
    if not labels[region.class_id].is_thing:
        raise ValueError(f"region {region.id} of {name} is a crowd, but {name} is stuff: unmark it")
    if not has_crowds:
        raise ValueError(f"region {region.id} of {name} is a crowd, which this form cannot say")


@compiled
def _mark(values: NDArray[np.integer[Any]], is_there: NDArray[np.bool_]) -> None:
    for i in range(values.size):
        is_there[values[i]] = True


@compiled
def _look_up(values: Stored, table: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    for i in range(values.size):
        found[i] = table[values[i]]


@compiled
def _look_up_runs(
    values: NDArray[np.int32],
    starts: NDArray[np.int32],
    table: NDArray[np.int32],
    found: NDArray[np.int32],
) -> None:
    for i in range(values.size):
        new = table[values[i]]
        # Unsigned places cannot be counted from the end, which would be asked at each pixel.
        for at in range(np.uint64(starts[i]), np.uint64(starts[i + 1])):
            found[at] = new
