"""The two loops over pixels that all scores stand on, each beside its plain twin.

Label maps are flat in most places: the kernels look at eight pixels at once, and count a run of
equal ones as one. Both sides of a comparison are one-dimensional and of one length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(n,) pairs in ascending order as first * 2^32 + second, and (n,) how often each was seen."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: neighbours land far apart
_TWICE = np.uint64(0x0000000100000001)
_EIGHT = np.uint64(0x0101010101010101)
_ONE, _FOUR, _HIGH = np.uint64(1), np.uint64(4), np.uint64(32)


def count_pairs(first: NDArray[np.int32], second: NDArray[np.int32]) -> Pairs:
    """How often each pair of numbers stands in the same place of two contiguous (n,) arrays."""
    places, (keys, counts) = 1024, _pairs(first, second, 1024)
    while counts.size == places:
        places *= 8
        keys, counts = _pairs(first, second, places)
    order = np.argsort(keys)
    return keys[order], counts[order]


def plain_count_pairs(first: NDArray[np.int32], second: NDArray[np.int32]) -> Pairs:
    """`count_pairs` in numpy: what the kernel is held to."""
    keys, counts = np.unique(
        (first.astype(np.int64) << 32) | second.view(np.uint32), return_counts=True
    )
    return keys, counts.astype(np.int64)


def count_bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256, 256) how often each pair of values stands in the same place of two (n,) arrays."""
    return _bytes(first, second).reshape(256, 256)


def plain_count_bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """`count_bytes` in numpy: what the kernel is held to."""
    return np.bincount(first * np.int64(256) + second, minlength=65536).reshape(256, 256)


@compiled
def _pairs(first: NDArray[np.int32], second: NDArray[np.int32], places: int) -> Pairs:
    """Pairs in no order, counted in a hash table of open addresses: the whole table if it is full.

    It does not grow by itself: arrays that may be replaced make this loop four times slower.
    """
    keys, counts = np.zeros(places, np.int64), np.zeros(places, np.int64)
    whole = first.size // 8 * 8
    a, b = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    used, start, key = 0, 0, np.int64(0)
    flat_a, flat_b = np.uint64(0), np.uint64(0)  # the pixel before, twice, as the words hold it
    word, words = np.uint64(0), np.uint64(a.size)
    while word < words:
        if _is_flat(a, flat_a, word) and _is_flat(b, flat_b, word):
            word += _FOUR
            continue
        for i in range(np.int64(word) * 2, np.int64(word) * 2 + 8):
            here = _key(first[np.uint64(i)], second[np.uint64(i)])
            if here != key:
                used += _add(keys, counts, key, i - start)
                start, key = i, here
        flat_a, flat_b = (
            np.uint64(np.uint32(key >> 32)) * _TWICE,
            np.uint64(np.uint32(key)) * _TWICE,
        )
        if 2 * (used + 16) > places:
            return keys, counts
        word += _FOUR
    for i in range(a.size * 2, first.size):
        used += _add(keys, counts, key, i - start)
        start, key = i, _key(first[i], second[i])
    _add(keys, counts, key, first.size - start)
    full = np.flatnonzero(counts)
    return keys[full], counts[full]


@compiled
def _is_flat(words: NDArray[np.uint64], value: np.uint64, at: np.uint64) -> bool:
    return bool(
        (words[at] ^ value)
        | (words[at + _ONE] ^ value)
        | (words[at + _ONE + _ONE] ^ value)
        | (words[at + _ONE + _ONE + _ONE] ^ value)
        == np.uint64(0)
    )


@compiled
def _key(first: np.int32, second: np.int32) -> np.int64:
    return np.int64((np.int64(first) << 32) | np.int64(np.uint32(second)))


@compiled
def _add(keys: NDArray[np.int64], counts: NDArray[np.int64], key: np.int64, count: int) -> int:
    """Adds to the count of a key, which may be new: 1 if it is, else 0."""
    if count == 0:
        return 0
    last = np.uint64(keys.size - 1)
    place = ((np.uint64(key) * _SPREAD) >> _HIGH) & last
    while counts[place] and keys[place] != key:
        place = (place + _ONE) & last
    is_new = 1 if counts[place] == 0 else 0
    keys[place] = key
    counts[place] += count
    return is_new


@compiled
def _bytes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    table = np.zeros(65536, np.int64)
    whole = first.size // 8 * 8
    a, b = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    low, octet, word, words = np.uint64(255), np.uint64(8), np.uint64(0), np.uint64(a.size)
    while word < words:
        x, y, start = a[word], b[word], word
        word += _ONE
        if x == (x & low) * _EIGHT and y == (y & low) * _EIGHT:
            while word < words and a[word] == x and b[word] == y:
                word += _ONE
            table[(x & low) << octet | (y & low)] += np.int64(word - start) * 8
            continue
        for _ in range(8):
            table[(x & low) << octet | (y & low)] += 1
            x >>= octet
            y >>= octet
    for i in range(whole, first.size):
        table[np.int64(first[i]) * 256 + second[i]] += 1
    return table
