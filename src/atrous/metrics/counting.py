"""The two loops over pixels that all scores stand on, each beside its plain twin.

Label maps are flat in most places: the kernels look at eight pixels at once, and count a run of
equal ones as one. Both sides of a comparison are one-dimensional and of one length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, differ, twice
from atrous.types import IdRuns

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(n,) pairs in ascending order as first * 2^32 + second, and (n,) how often each was seen."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: neighbours land far apart
_EIGHTFOLD = np.uint64(0x0101010101010101)
_ONE, _TWO, _FOUR, _EIGHT, _HIGH = (np.uint64(n) for n in (1, 2, 4, 8, 32))


def count_pairs(first: NDArray[np.int32], second: NDArray[np.int32]) -> Pairs:
    """How often each pair of numbers stands in the same place of two contiguous (n,) arrays."""
    if first.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    room = first.size // 16 + 64
    starts, found = np.empty(room, np.int32), np.empty(room, np.int64)
    runs = _runs(first, second, starts, found)
    if runs < 0:
        starts, found = np.empty(first.size + 16, np.int32), np.empty(first.size + 16, np.int64)
        runs = _runs(first, second, starts, found)
    return _tallied(found[:runs], np.diff(starts[: runs + 1]))


def count_run_pairs(first: IdRuns, second: IdRuns) -> Pairs:
    """`count_pairs` of two maps of one size that are given as runs."""
    most = first.ids.size + second.ids.size
    found, lengths = np.empty(most, np.int64), np.empty(most, np.int32)
    runs = _merged(first.starts, first.ids, second.starts, second.ids, found, lengths)
    return _tallied(found[:runs], lengths[:runs])


def _tallied(found: NDArray[np.int64], lengths: NDArray[np.int32]) -> Pairs:
    """Pairs of runs in ascending order, each once, with their lengths summed."""
    places, (keys, counts) = 1024, _counted(found, lengths, 1024)
    while counts.size == places:
        places *= 8
        keys, counts = _counted(found, lengths, places)
    order = np.argsort(keys)
    return keys[order], counts[order]


def plain_count_pairs(first: NDArray[np.int32], second: NDArray[np.int32]) -> Pairs:
    """`count_pairs` in numpy: what the kernel is held to."""
    keys, counts = np.unique(
        (first.astype(np.int64) << 32) | second.view(np.uint32), return_counts=True
    )
    return keys, counts.astype(np.int64)


def totals(ids: NDArray[np.int32], counts: NDArray[np.int64]) -> dict[int, int]:
    """Id -> the sum of its counts; both are (n,), and equal ids stand together."""
    found, sums = _totals(ids, counts)
    return dict(zip(found.tolist(), sums.tolist(), strict=True))


def count_bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256, 256) how often each pair of values stands in the same place of two (n,) arrays."""
    return _bytes(first, second).reshape(256, 256)


def plain_count_bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """`count_bytes` in numpy: what the kernel is held to."""
    return np.bincount(first * np.int64(256) + second, minlength=65536).reshape(256, 256)


@compiled
def _runs(
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    starts: NDArray[np.int32],
    keys: NDArray[np.int64],
) -> np.int64:
    """Fills in where runs of one pair start, and which pair it is; how many runs there are.

    -1 if there might be more than there is room for: label maps have few, noise has as many as
    pixels, and room for these costs as much as the counting.
    """
    whole = first.size // 8 * 8
    a, b = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    flat_a, flat_b = twice(first[0]), twice(second[0])
    starts[0], keys[0], runs = 0, _key(first[0], second[0]), np.uint64(1)
    word, words, room = np.uint64(0), np.uint64(a.size), np.uint64(starts.size - 16)
    while word < words:
        if differ(a, word, flat_a) | differ(b, word, flat_b):
            if runs > room:
                return np.int64(-1)
            begin, end = max(word * _TWO, _ONE), word * _TWO + _EIGHT
            runs = _mark(first, second, starts, keys, runs, begin, end)
            flat_a, flat_b = twice(first[end - _ONE]), twice(second[end - _ONE])
        word += _FOUR
    begin, end = max(np.uint64(whole), _ONE), np.uint64(first.size)
    runs = _mark(first, second, starts, keys, runs, begin, end)
    starts[runs] = first.size
    return np.int64(runs)


@compiled
def _mark(
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    starts: NDArray[np.int32],
    keys: NDArray[np.int64],
    runs: np.uint64,
    begin: np.uint64,
    end: np.uint64,
) -> np.uint64:
    """Adds the starts of runs from `begin` on; how many there are then."""
    before_a, before_b = first[begin - _ONE], second[begin - _ONE]
    for i in range(begin, end):
        here_a, here_b = first[i], second[i]
        # Written in any case, kept if it is one: a branch here would be guessed wrong.
        starts[runs], keys[runs] = i, _key(here_a, here_b)
        runs += np.uint64((here_a != before_a) | (here_b != before_b))
        before_a, before_b = here_a, here_b
    return runs


@compiled
def _merged(
    starts: NDArray[np.int32],
    ids: NDArray[np.int32],
    other_starts: NDArray[np.int32],
    other_ids: NDArray[np.int32],
    keys: NDArray[np.int64],
    lengths: NDArray[np.int32],
) -> np.int64:
    """Fills in the runs of pairs that two lists of runs make; how many there are."""
    i, j, runs, at = np.uint64(0), np.uint64(0), np.uint64(0), np.int32(0)
    while at < starts[starts.size - 1]:
        end, other_end = starts[i + _ONE], other_starts[j + _ONE]
        upto = min(end, other_end)
        keys[runs], lengths[runs] = _key(ids[i], other_ids[j]), upto - at
        runs += _ONE
        i += np.uint64(end == upto)
        j += np.uint64(other_end == upto)
        at = upto
    return np.int64(runs)


@compiled
def _key(first: np.int32, second: np.int32) -> np.int64:
    return np.int64((np.int64(first) << 32) | np.int64(np.uint32(second)))


@compiled
def _counted(found: NDArray[np.int64], lengths: NDArray[np.int32], places: int) -> Pairs:
    """Pairs in no order, counted in a hash table of open addresses: the whole table if it is full.

    It does not grow by itself: arrays that may be replaced make this loop four times slower.
    """
    keys, counts = np.zeros(places, np.int64), np.zeros(places, np.int64)
    last, used = np.uint64(places - 1), 0
    for run in range(found.size):
        place = ((np.uint64(found[run]) * _SPREAD) >> _HIGH) & last
        while counts[place] and keys[place] != found[run]:
            place = (place + _ONE) & last
        used += counts[place] == 0
        keys[place] = found[run]
        counts[place] += lengths[run]
        if 2 * used > places:
            return keys, counts
    full = np.flatnonzero(counts)
    return keys[full], counts[full]


@compiled
def _totals(
    ids: NDArray[np.int32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct ids where equal ones stand together, and the sums of their counts."""
    found, sums, used = np.empty_like(ids), np.zeros_like(counts), 0
    for i in range(ids.size):
        if i == 0 or ids[i] != ids[i - 1]:
            found[used] = ids[i]
            used += 1
        sums[used - 1] += counts[i]
    return found[:used], sums[:used]


@compiled
def _bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    table = np.zeros(65536, np.int64)
    whole = first.size // 8 * 8
    a, b = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    low, word, words = np.uint64(255), np.uint64(0), np.uint64(a.size)
    while word < words:
        x, y, start = a[word], b[word], word
        word += _ONE
        if x == (x & low) * _EIGHTFOLD and y == (y & low) * _EIGHTFOLD:
            while word < words and a[word] == x and b[word] == y:
                word += _ONE
            table[(x & low) << _EIGHT | (y & low)] += np.int64(word - start) * 8
            continue
        for _ in range(8):
            table[(x & low) << _EIGHT | (y & low)] += 1
            x >>= _EIGHT
            y >>= _EIGHT
    for i in range(whole, first.size):
        table[np.int64(first[i]) * 256 + second[i]] += 1
    return table
