"""Copy-paste: things of one crop laid over another, so that rare things meet many backgrounds.

Source: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation (2021), section 3: a random subset of the instances, no blending.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from atrous.types import Labelled, Sample

SHARE = 0.5
"""Probability of each thing of the second crop to be taken."""


def paste(
    below: Sample, above: Sample, is_thing: NDArray[np.bool_], random: np.random.Generator
) -> Sample:
    """`below` with some things of `above`, a crop of the same size, over it; both stay as they are.

    What a thing hides is gone: a region need not have pixels left. Crowds are never taken.

    is_thing  (classes,) true for countable classes
    """
    things = [r for r in above.truth.regions if is_thing[r.class_id] and not r.is_crowd]
    lots = random.random(len(things))
    taken = [r for r, lot in zip(things, lots, strict=True) if lot < SHARE]
    if not taken:
        return below
    first = 1 + max((r.id for r in below.truth.regions), default=0)
    number = {r.id: first + place for place, r in enumerate(taken)}
    table = np.zeros(int(above.truth.ids.max(initial=0)) + 1, np.int32)
    for before, after in number.items():
        table[before : before + 1] = after  # a region may have no pixels, and so no place
    pasted = table[above.truth.ids]
    shown = pasted > 0
    regions = *below.truth.regions, *(replace(r, id=number[r.id]) for r in taken)
    return replace(
        below,
        image=np.where(shown[..., None], above.image, below.image),
        truth=Labelled(np.where(shown, pasted, below.truth.ids), tuple(regions)),
    )
