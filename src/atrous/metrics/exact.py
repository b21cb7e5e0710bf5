"""Sums of fractions that do not depend on their order, to the last bit; means that skip nan."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from atrous.labels import LabelSpace

FRACTION_BITS = 96


def exact(part: int, whole: int) -> int:
    """`part / whole` in units of 2^-96, as an integer: its sums are the same in any order."""
    return (part << FRACTION_BITS) // whole


def ratio(part: int, whole: int) -> float:
    """`part / whole`, nan where there is nothing to divide by."""
    return part / whole if whole else math.nan


def mean(values: Iterable[float]) -> float:
    """The mean of what is not nan; nan if nothing is left."""
    known = [value for value in values if value == value]
    return math.fsum(known) / len(known) if known else math.nan


def zeros(count: int, labels: LabelSpace) -> Iterable[NDArray[np.object_]]:
    """`count` arrays (classes,) of Python integers, which never overflow."""
    return (np.array([0] * len(labels), dtype=object) for _ in range(count))


def require_same(ours: object, theirs: object) -> None:
    """Raises ValueError if two accumulators that are to merge do not count the same things."""
    if ours != theirs:
        raise ValueError("accumulators of different label spaces or options cannot merge")
