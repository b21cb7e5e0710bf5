"""Divides a data set so that each side holds its share of every class.

Iterative stratification: the images of the rarest class are dealt first, each to the side that
still needs most of that class, then those of the next rarest. Where images come in groups, groups
are dealt whole. Then single groups change sides for as long as that brings all classes closer.

# Deviates: the paper deals images that have a label or not; here a class counts by its pixels, and
# a thing also by how many there are. Where a class is left in as few groups as there are sides
# without it, these get one each. The last step is ours: a minute or two on 100,000 images.

Source: Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data (2011),
algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atrous.data.source import FileSource, Source, Subset, opened
from atrous.data.split import Shares, Sides, fraction, require_divisible, seeded
from atrous.labels import LabelSpace
from atrous.types import Labelled

Counts = NDArray[np.int64]
MOVES = 1000
"""The most groups that change sides at the end."""
FEW = 8
"""Units of a class in whose order chance is worse than size."""
IMAGES = 3
"""As many classes the number of images counts for."""
_LEAST = 1e-9
WORTH_A_MOVE = 1e-6
"""Of squared deviations over the shares: single images of a large set are worth less."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What images hold of each class.

    pixels     (images, classes)
    instances  (images, classes) things that are no crowds; 0 of stuff
    """

    pixels: Counts
    instances: Counts


def truth_of(source: Source, index: int) -> Labelled:
    """The labels of a sample, without its photo where the source can do so."""
    if isinstance(source, Subset):
        return truth_of(source.source, source.indices[index])
    if isinstance(source, FileSource):
        return source.truth(index)
    own = getattr(source, "truth", None)
    found: Labelled = opened(source, index).truth if own is None else own(index)
    return found


def tallied(source: Source, places: range) -> Tally:
    """Counts some samples of a source.

    Raises: BadInput if their labels cannot be read.
    """
    rows = [_counted(truth_of(source, index), source.labels) for index in places]
    both = np.array(rows, dtype=np.int64).reshape(len(places), 2, len(source.labels))
    return Tally(both[:, 0], both[:, 1])


def joined(parts: Sequence[Tally]) -> Tally:
    """The tally of all parts, in their order."""
    return Tally(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.instances for part in parts]),
    )


def stratified(groups: Sequence[str], tally: Tally, *, shares: Shares, seed: int = 0) -> Sides:
    """The side of each image.

    groups  of each image, which stays with its group; names are groups of one

    Raises: BadInput as `require_divisible` does.
    """
    require_divisible(groups, shares)
    keys = sorted(set(groups), key=lambda key: (fraction(seeded(key, seed)), key))
    number = {key: i for i, key in enumerate(keys)}
    unit = np.array([number[group] for group in groups])
    sizes = np.bincount(unit, minlength=len(keys))
    pixels, instances = (_summed(x, unit, len(keys)) for x in (tally.pixels, tally.instances))
    deal = _Deal(_weights(pixels, instances, sizes), pixels > 0, np.array(shares.values))
    deal.out()
    deal.settle()
    sides: Sides = deal.side[unit]
    return sides


@dataclass(slots=True, eq=False)
class _Deal:
    """Units on their way to sides; the order of units breaks all ties.

    weights  (units, 2 * classes + 1) what part a unit holds: of each class's pixels, then of its
             things, last of all images, times `IMAGES`
    has      (units, classes) whether it holds any
    shares   (sides,)
    goal     (sides, 2 * classes + 1) what parts each side shall hold
    side     (units,) -1 = not dealt
    held     (sides, 2 * classes + 1) sums of weights on a side
    spread   (sides, classes) units of a side that hold a class
    left     (classes,) units to be dealt that hold it
    """

    weights: NDArray[np.float64]
    has: NDArray[np.bool_]
    shares: NDArray[np.float64]
    goal: NDArray[np.float64] = field(init=False)
    side: Sides = field(init=False)
    held: NDArray[np.float64] = field(init=False)
    spread: Counts = field(init=False)
    left: Counts = field(init=False)

    def __post_init__(self) -> None:
        sides = len(self.shares)
        self.goal = np.outer(self.shares, self.weights.sum(axis=0))
        self.side = np.full(len(self.weights), -1, dtype=np.int64)
        self.held = np.zeros((sides, self.weights.shape[1]))
        self.spread = np.zeros((sides, self.has.shape[1]), dtype=np.int64)
        self.left = self.has.sum(axis=0)

    def out(self) -> None:
        """Deals all units; those without any class come last, by the number of images."""
        while self.left.any():
            rarest = int(np.argmin(np.where(self.left, self.left, len(self.side) + 1)))
            for unit in self._due(rarest):
                self._give(unit, self._needy(unit, self._columns(rarest)))
        for unit in np.flatnonzero(self.side < 0).tolist():
            self._give(unit, self._needy(unit, [-1]))

    def settle(self) -> None:
        """Moves the one unit that helps most, again and again."""
        squares = (self.weights**2).sum(axis=1)
        for _ in range(MOVES):
            gains = self._gains(squares)
            unit, side = np.unravel_index(np.argmin(gains), gains.shape)
            if gains[unit, side] > -WORTH_A_MOVE:
                return
            self._take(int(unit))
            self._give(int(unit), int(side))

    def _due(self, wanted: int) -> list[int]:
        """The units of a class that are to be dealt; of a few the largest first."""
        units = np.flatnonzero(self.has[:, wanted] & (self.side < 0))
        if len(units) <= FEW:
            size = self.weights[:, self._columns(wanted)].sum(axis=1)
            units = units[np.argsort(-size[units], kind="stable")]
        found: list[int] = units.tolist()
        return found

    def _columns(self, class_id: int) -> list[int]:
        """Where a class stands in weights; of stuff the second is 0."""
        return [class_id, self.has.shape[1] + class_id]

    def _needy(self, unit: int, wanted: list[int]) -> int:
        """The side that shall have a unit: it needs most of the class, then most images."""
        sides = self._rescued(unit)
        needs = self.goal - self.held
        has_room = needs[sides, -1] >= self.weights[unit, -1] / 2
        sides = sides[has_room] if has_room.any() else sides
        for need in (needs[:, wanted].sum(axis=1), needs[:, -1], self.shares):
            sides = sides[need[sides] >= need[sides].max() - _LEAST]
        return int(sides[0])

    def _rescued(self, unit: int) -> NDArray[np.int64]:
        """The sides that would else go without a class, where so few units of it are left."""
        lacks = (self.spread == 0) & self.has[unit]
        needed = (lacks & (self.left <= lacks.sum(axis=0))).sum(axis=1)
        return np.flatnonzero(needed == needed.max())

    def _give(self, unit: int, side: int) -> None:
        self.side[unit] = side
        self.held[side] += self.weights[unit]
        self.spread[side] += self.has[unit]
        self.left -= self.has[unit]

    def _take(self, unit: int) -> None:
        side = self.side[unit]
        self.held[side] -= self.weights[unit]
        self.spread[side] -= self.has[unit]
        self.left += self.has[unit]
        self.side[unit] = -1

    def _gains(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """(units, sides) what a move adds to the squared deviations over the shares."""
        units = np.arange(len(self.side))
        along = self.weights @ (2 * (self.held - self.goal)).T
        away = (squares - along[units, self.side]) / self.shares[self.side]
        gains: NDArray[np.float64] = away[:, None] + (squares[:, None] + along) / self.shares
        gains[units, self.side] = 0
        gains[self._alone()] = 0
        return gains

    def _alone(self) -> NDArray[np.bool_]:
        """(units,) whether a side would lose a class, or its last unit."""
        units = np.bincount(self.side, minlength=len(self.shares))
        alone: NDArray[np.bool_] = units[self.side] == 1
        for side, spread in enumerate(self.spread):
            alone |= (self.side == side) & self.has[:, spread == 1].any(axis=1)
        return alone


def _weights(pixels: Counts, instances: Counts, sizes: Counts) -> NDArray[np.float64]:
    return np.hstack([_parts(pixels), _parts(instances), IMAGES * _parts(sizes[:, None])])


def _parts(counts: Counts) -> NDArray[np.float64]:
    """Each count as a part of the sum of its column; 0 where that is 0."""
    parts: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=0), 1)
    return parts


def _summed(counts: Counts, unit: Counts, units: int) -> Counts:
    total = np.zeros((units, counts.shape[1]), dtype=np.int64)
    np.add.at(total, unit, counts)
    return total


def _counted(truth: Labelled, labels: LabelSpace) -> tuple[Counts, Counts]:
    """(classes,) pixels and (classes,) things of one image."""
    areas = areas_of(truth)
    pixels, instances = np.zeros((2, len(labels)), dtype=np.int64)
    for region in truth.regions:
        area = areas.get(region.id, 0)
        pixels[region.class_id] += area
        if area and labels[region.class_id].is_thing and not region.is_crowd:
            instances[region.class_id] += 1
    return pixels, instances


def areas_of(truth: Labelled) -> dict[int, int]:
    """Id -> pixels, counted by runs: ids lie in flat regions."""
    flat = truth.ids.ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)[: flat.size]
    ids, place = np.unique(flat[starts], return_inverse=True)
    areas = np.bincount(place, weights=np.diff(starts, append=flat.size), minlength=len(ids))
    return dict(zip(ids.tolist(), areas.astype(np.int64).tolist(), strict=True))
