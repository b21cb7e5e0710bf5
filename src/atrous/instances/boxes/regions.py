"""Clusters of votes: their sizes and scores, and suppression where their masks overlap.

Source: FCRN, instance inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.boxes.coding import BoxNumbers
from atrous.instances.boxes.suppression import Places, Taken


@dataclass(frozen=True, slots=True)
class Regions:
    """Clusters of one class, best first.

    scores   (k,) mean probability of the votes of each, summed row by row
    seeds    (k,) where the survivor of each stands in the votes
    starts   (k + 1,) where its members begin in `members`, which are places in the votes, rising
    """

    scores: NDArray[np.float64]
    seeds: Places
    starts: NDArray[np.int64]
    members: Places


def gather(levels: Sequence[Taken], scores: NDArray[np.float32], numbers: BoxNumbers) -> Regions:
    """The clusters of all levels that are large and sure enough, best first; equal ones in order.

    levels  for masks of several m, of the same votes; clusters of one level share no vote
    scores  (n,) of the votes
    """
    if not levels:
        nothing = np.empty(0, np.int32)
        return Regions(np.empty(0), nothing, np.zeros(1, np.int64), nothing)
    sums = [_summed(level, scores, numbers.least_score) for level in levels]
    sizes, totals = (np.concatenate(part) for part in zip(*sums, strict=True))
    means = totals / np.maximum(sizes, 1)
    good = np.flatnonzero((sizes >= numbers.least_px) & (means >= numbers.least_score))
    good = good[np.argsort(-means[good], kind="stable")]
    slots = np.full(len(sizes), -1, np.int32)
    slots[good] = np.arange(len(good))
    starts = np.append(0, np.cumsum(sizes[good]))
    at, members, begin = starts[:-1].copy(), np.empty(int(starts[-1]), np.int32), 0
    for level in levels:
        _fill(level.owner, slots[begin : begin + len(level.seeds)], at, members)
        begin += len(level.seeds)
    seeds = np.concatenate([level.seeds for level in levels])[good]
    return Regions(means[good], seeds, starts, members)


def choose(regions: Regions, *, votes: int, levels: int, iou: float) -> Regions:
    """The regions that no better chosen one overlaps by more than `iou`.

    votes, levels  how many votes there are, and how many regions at most hold one of them

    Source: FCRN, instance inference: non-maximum suppression of regions.
    """
    sizes, chosen = np.diff(regions.starts), np.ones(len(regions.scores), np.bool_)
    if levels > 1:
        holders = np.full((votes, levels), -1, np.int32)
        _choose(regions.starts, regions.members, iou, holders, chosen)
    return Regions(
        regions.scores[chosen],
        regions.seeds[chosen],
        np.append(0, np.cumsum(sizes[chosen])),
        regions.members[np.repeat(chosen, sizes)],
    )


def _summed(
    level: Taken, scores: NDArray[np.float32], least: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Size of each cluster and the sum of its scores.

    A cluster begun when no vote left had the least score is none: its size is 0.
    """
    count = len(level.seeds)
    sizes, totals = np.zeros(count + 1, np.int64), np.zeros(count + 1)
    greatest = np.full(count + 1, -np.inf, np.float32)
    _tally(level.owner, scores, sizes, totals, greatest)
    ahead = np.maximum.accumulate(greatest[::-1])[::-1]
    sizes[ahead < least] = 0
    return sizes[:-1], totals[:-1]


@compiled
def _tally(
    owner: Places,
    scores: NDArray[np.float32],
    sizes: NDArray[np.int64],
    totals: NDArray[np.float64],
    greatest: NDArray[np.float32],
) -> None:
    """Adds up the votes of each cluster, those of none last."""
    last = sizes.size - 1
    for place in range(owner.size):
        cluster = owner[place] if owner[place] >= 0 else last
        sizes[cluster] += 1
        totals[cluster] += scores[place]
        greatest[cluster] = max(greatest[cluster], scores[place])


@compiled
def _fill(owner: Places, slots: Places, at: NDArray[np.int64], members: Places) -> None:
    """Writes votes where the next of their cluster belongs."""
    for place in range(owner.size):
        if owner[place] >= 0:
            slot = slots[owner[place]]
            if slot >= 0:
                members[at[slot]] = place
                at[slot] += 1


@compiled
def _choose(
    starts: NDArray[np.int64],
    members: Places,
    iou: float,
    holders: Places,
    chosen: NDArray[np.bool_],
) -> None:
    """Marks what is chosen. `holders` (votes, levels) are the chosen regions that hold a vote."""
    shared, met = np.zeros(chosen.size, np.int64), np.empty(chosen.size, np.int64)
    for region in range(chosen.size):
        begin, end, count = starts[region], starts[region + 1], 0
        for i in range(begin, end):
            for level in range(holders.shape[1]):
                rival = holders[members[i], level]
                if rival < 0:
                    break
                if shared[rival] == 0:
                    met[count] = rival
                    count += 1
                shared[rival] += 1
        for rival in met[:count]:
            union = starts[rival + 1] - starts[rival] + end - begin - shared[rival]
            if shared[rival] > iou * union:
                chosen[region] = False
            shared[rival] = 0
        if chosen[region]:
            _hold(members[begin:end], region, holders)


@compiled
def _hold(members: Places, region: int, holders: Places) -> None:
    """Writes a region where its votes have the first free place."""
    for member in members:
        for level in range(holders.shape[1]):
            if holders[member, level] < 0:
                holders[member, level] = region
                break
