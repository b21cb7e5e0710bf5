"""Random labelled images for round trips, and what stays of one when it is renumbered."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.labels import LabelSpace
from atrous.types import Labelled, Region


@st.composite
def truths(draw: Any, labels: LabelSpace, *, crowds: bool = False) -> Labelled:
    """Up to 6 x 6 pixels: things, a region for a class of stuff, a crowd for one of things.

    Ids are in no order, void is drawn, and a region may be left without pixels.
    """
    kinds = st.tuples(st.integers(0, len(labels) - 1), st.booleans() if crowds else st.just(False))
    drawn = draw(st.lists(kinds, max_size=8))
    kept: list[tuple[int, bool]] = []
    for class_id, is_crowd in drawn:
        is_thing = labels[class_id].is_thing
        kind = (class_id, is_crowd and is_thing)
        if (is_thing and not is_crowd) or kind not in kept:
            kept.append(kind)
    numbers = st.lists(
        st.integers(1, 2**24 - 1), min_size=len(kept), max_size=len(kept), unique=True
    )
    ids = draw(numbers)
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    place = draw(arrays(np.int64, size, elements=st.integers(0, len(ids))))
    regions = (Region(i, c, crowd) for i, (c, crowd) in zip(ids, kept, strict=True))
    return Labelled(np.array([0, *ids], np.int32)[place], tuple(regions))


def essence(labelled: Labelled) -> NDArray[np.int64]:
    """(h, w, 3) class, crowd and first pixel of each pixel's region; -1 in void.

    Two images are equal in it if one is the other with its regions renumbered.
    """
    out = np.full((*labelled.ids.shape, 3), -1)
    for region in labelled.regions:
        inside = labelled.ids == region.id
        first = np.flatnonzero(inside)[:1]
        out[inside] = (region.class_id, region.is_crowd, first[0] if first.size else 0)
    return out
