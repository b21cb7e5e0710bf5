"""Images of hard classes come twice in an epoch.

Source: DeepLabv3, section 4.1 ("bootstrapping on hard images"): in the last stage for the test set
photos with bicycle, chair, diningtable, pottedplant or sofa are duplicated. How often is left open:
there is one copy more here.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from atrous.data.source import Source, Subset, subset
from atrous.data.stratify import areas_of, truth_of
from atrous.labels import LabelSpace
from atrous.types import BadInput

CHUNK = 32
"""Images whose labels are read before what they hold is told."""

ClassIds = frozenset[int]
Read = Callable[[range], Sequence[ClassIds]]
Each = Callable[[Read, Iterable[range]], Iterator[Sequence[ClassIds]]]
"""As `map` of one iterable: what a function makes of each chunk, in their order."""


def again(source: Source, hard: Iterable[int]) -> Subset:
    """Every image once, in the source's order, then those at the places `hard` a second time.

    Raises: ValueError if a place lies outside the source.
    """
    return subset(source, (*range(len(source)), *hard))


def places(
    source: Source,
    classes: Sequence[str],
    *,
    each: Each = map,
    progress: Callable[[int], None] = lambda _: None,
    told: Callable[[str], None] = warnings.warn,
) -> tuple[int, ...]:
    """Where the images stand that have any pixel of one of the classes, in the source's order.

    All labels are read for it, and no photo where the source can do without.

    classes   names as the label space has them, letter by letter
    each      reads chunk after chunk; for several processes give
              partial(atrous.processes.in_order, processes=n)
    progress  hears how many images are done
    told      hears of classes that no image has, in one line

    Raises: BadInput for a class that the source has not, or if labels cannot be read.
    """
    wanted = class_ids(source.labels, classes)
    if not wanted:
        return ()
    chunks = [range(i, min(i + CHUNK, len(source))) for i in range(0, len(source), CHUNK)]
    held: list[ClassIds] = []
    for found in each(partial(_held, source, frozenset(wanted)), chunks):
        held += found
        progress(len(held))
    absent = wanted.keys() - frozenset().union(*held)
    if absent:
        names = " and ".join(dict.fromkeys(wanted[class_id] for class_id in sorted(absent)))
        told(f"no image has {names}, whose images come twice")
    return tuple(place for place, found in enumerate(held) if found)


def class_ids(labels: LabelSpace, classes: Iterable[str]) -> Mapping[int, str]:
    """Class id -> name of the classes asked for.

    Raises: BadInput for a class that there is not.
    """
    names = [label.name for label in labels.labels]
    for name in classes:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
            mend = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(names)}"
            raise BadInput(f"train.doubled: the data have no class {name!r}: {mend}")
    return {i: name for i, name in enumerate(names) if name in classes}


def _held(source: Source, wanted: ClassIds, chunk: range) -> list[ClassIds]:
    """Which of the classes each of some images has a pixel of."""
    return [_of(source, wanted, place) for place in chunk]


def _of(source: Source, wanted: ClassIds, place: int) -> ClassIds:
    truth = truth_of(source, place)
    listed = {r.id: r.class_id for r in truth.regions if r.class_id in wanted}
    if not listed:
        return frozenset()
    areas = areas_of(truth)
    return frozenset(class_id for region, class_id in listed.items() if areas.get(region))
