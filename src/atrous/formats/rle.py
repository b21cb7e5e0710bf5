"""Masks as runs down their columns, and COCO's text of runs: both directions.

A text holds one number after the other, each in groups of 5 bits, the lowest group first; a
character is 48 + group, + 32 where more groups follow. The highest bit of a number's last group is
its sign. From the fourth number on, what stands there is the difference to the number two before.

Source: the format of cocodataset/cocoapi (its "compressed RLE").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.types import BadInput, Runs

Mask = NDArray[np.bool_]
"""(h, w), true inside."""

_FAULTS = (
    "",
    "holds a character that is none of its format",
    "is cut off within a number",
    "holds a run that is negative or beyond 32 bits",
)
_LARGEST_RUN = 2**32 - 1
_MOST_GROUPS = 7  # a difference of two 32 bit numbers and its sign


def encode_mask(mask: Mask) -> Runs:
    """The runs of an (h, w) mask; none but the first is 0.

    Raises: ValueError if the mask has not two dimensions.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask has shape {mask.shape}: give (h, w)")
    flat = np.asarray(mask, dtype=np.bool_).ravel(order="F")
    first = np.zeros(1 if flat.size and flat[0] else 0, np.int64)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate((first, changes, np.array([flat.size])))
    return np.diff(ends, prepend=0).astype(np.uint32)


def decode_mask(runs: Runs, size_hw: tuple[int, int]) -> Mask:
    """The (h, w) mask of runs, laid out in memory by columns as they are.

    Raises: BadInput if the runs do not cover the size.
    """
    check_runs(runs, size_hw)
    height, width = size_hw
    inside = np.arange(runs.size) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def check_runs(runs: Runs, size_hw: tuple[int, int]) -> None:
    """Raises BadInput if the runs do not sum up to the pixels of the size."""
    covered, pixels = int(runs.sum(dtype=np.uint64)), size_hw[0] * size_hw[1]
    if covered != pixels:
        size = f"{size_hw[0]}x{size_hw[1]} has {pixels}"
        raise BadInput(f"the mask's runs sum up to {covered} pixels but {size}: encode it again")


def runs_to_text(runs: Runs) -> str:
    """COCO's compressed text of runs."""
    return _spell(runs.astype(np.int64)).tobytes().decode("ascii")


def text_to_runs(text: str | bytes) -> Runs:
    """The runs in COCO's compressed text.

    Raises: BadInput if it is damaged.
    """
    stored = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    numbers, fault = _read(np.frombuffer(stored, np.uint8))
    if fault:
        raise BadInput(f"the mask's text {_FAULTS[fault]}: copy or encode it again")
    return np.asarray(numbers.astype(np.uint32))


def area(runs: Runs) -> int:
    """Pixels inside a mask."""
    return int(runs[1::2].sum(dtype=np.int64))


def box(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """The smallest box (y0, x0, y1, x1) around a mask, half open; all 0 where it is empty."""
    y0, x0, y1, x1 = _box(runs, np.int64(height))
    return int(y0), int(x0), int(y1), int(x1)


@compiled
def _spell(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    text = np.empty(_MOST_GROUPS * numbers.size, np.uint8)
    length = 0
    for i in range(numbers.size):
        rest = numbers[i] - numbers[i - 2] if i > 2 else numbers[i]
        more = True
        while more:
            group = rest & 31
            rest >>= 5
            more = rest != (-1 if group & 16 else 0)
            text[length] = 48 + group + (32 if more else 0)
            length += 1
    return text[:length]


@compiled
def _read(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """The numbers of a text, and the place of what is wrong with it in `_FAULTS`."""
    numbers = np.empty(text.size, np.int64)
    count, number, groups = 0, np.int64(0), 0
    for i in range(text.size):
        letter = np.int64(text[i]) - 48
        if not 0 <= letter < 64:
            return numbers[:0], 1
        number |= (letter & 31) << (5 * groups)
        groups += 1
        if letter & 32 and groups < _MOST_GROUPS:
            continue
        if letter & 16:
            number -= np.int64(1) << (5 * groups)
        if count > 2:
            number += numbers[count - 2]
        if letter & 32 or not 0 <= number <= _LARGEST_RUN:
            return numbers[:0], 3
        numbers[count] = number
        count, number, groups = count + 1, np.int64(0), 0
    return numbers[:count], 2 if groups else 0


@compiled
def _box(runs: Runs, height: np.int64) -> tuple[np.int64, np.int64, np.int64, np.int64]:
    none = np.int64(0)
    y0, x0, y1, x1, end = height, np.int64(-1), none, none, none
    for i in range(runs.size):
        start, end = end, end + np.int64(runs[i])
        if i % 2 == 0 or start == end:
            continue
        left, right = start // height, (end - 1) // height
        is_in_one_column = left == right
        y0 = min(y0, start % height if is_in_one_column else none)
        y1 = max(y1, (end - 1) % height + 1 if is_in_one_column else height)
        x0, x1 = (left if x0 < 0 else x0), right + 1
    return (y0, x0, y1, x1) if x0 >= 0 else (none, none, none, none)
