"""Takes the filters of PNG's rows back, in one pass from bytes to numbers.

The bytes of a pixel become lanes of one number, so that a pixel takes one step, not one for each
channel. Labels are flat: nearly all differences are 0, and eight pixels without any are passed
over at once. The row above is not looked up: each row is made out of it, in its place.

Source: PNG specification (W3C, third edition), section 9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, differ, twice

Lanes = tuple[int, ...]
"""How far each byte of a pixel stands to the left in its number: (0, 8, 16) is the first lowest.

Three at most. Its length is part of its type: each has a kernel of its own.
"""

Row = NDArray[np.int32]
"""(8 n,) numbers of one row: the row above, until a function here has made the next one of it."""

Line = NDArray[np.uint8]
"""(8 n * len(lanes),) filtered bytes of one row, zeros after its end."""

Words = NDArray[np.uint64]
"""(n * len(lanes),) the same bytes, eight at a time."""

_ONE, _FOUR, _EIGHT = np.uint64(1), np.uint64(4), np.uint64(8)


@compiled
def unfilter(filtered: NDArray[np.uint8], numbers: NDArray[np.int32], lanes: Lanes) -> bool:
    """Fills `numbers` (h, w) from `filtered` (h, 1 + w * len(lanes)), the inflated rows of a PNG.

    False if a row has a filter that does not exist; `numbers` is worth nothing then.
    """
    height, width = numbers.shape
    row = np.zeros((width + 7) // 8 * 8, np.int32)
    line = np.zeros(row.size * len(lanes), np.uint8)
    words = line.view(np.uint64)
    for y in range(height):
        if not _next(filtered, y, row, line, words, lanes):
            return False
        for x in range(width):
            numbers[y, x] = row[x]
    return True


@compiled
def unfilter_runs(
    filtered: NDArray[np.uint8],
    starts: NDArray[np.int32],
    numbers: NDArray[np.int32],
    lanes: Lanes,
) -> np.int64:
    """Fills in where runs of equal numbers start, and the numbers; returns how many there are.

    filtered  as `unfilter` has it
    starts    (h * w + 1,); what follows the last run's is h * w
    numbers   (h * w + 1,)

    -1 if a row has a filter that does not exist.
    """
    height, width = filtered.shape[0], (filtered.shape[1] - 1) // len(lanes)
    row = np.zeros((width + 7) // 8 * 8, np.int32)
    line = np.zeros(row.size * len(lanes), np.uint8)
    words, pairs, runs = line.view(np.uint64), row.view(np.uint64), np.uint64(0)
    for y in range(height):
        if not _next(filtered, y, row, line, words, lanes):
            return np.int64(-1)
        if y == 0:
            starts[0], numbers[0], runs = 0, row[0], np.uint64(1)
        runs = _add_runs(row, pairs, width, np.uint64(y * width), starts, numbers, runs)
    starts[runs] = height * width
    return np.int64(runs)


@compiled
def _add_runs(
    row: Row,
    pairs: Words,
    width: int,
    base: np.uint64,
    starts: NDArray[np.int32],
    numbers: NDArray[np.int32],
    runs: np.uint64,
) -> np.uint64:
    """Goes on with the runs of a map in a row whose first pixel is the `base`-th of all.

    pairs  the row, two numbers in a word: made once, for views take longer than rows
    """
    full = np.uint64(width // 8 * 8)
    before = numbers[runs - _ONE]
    flat, x, word = twice(before), np.uint64(0), np.uint64(0)
    while x < full:
        if differ(pairs, word, flat):
            for i in range(x, x + _EIGHT):
                here = row[i]
                # Written in any case, kept if it is one: a branch here would be guessed wrong.
                starts[runs], numbers[runs] = base + i, here
                runs += np.uint64(here != before)
                before = here
            flat = twice(before)
        x += _EIGHT
        word += _FOUR
    for i in range(full, np.uint64(width)):
        here = row[i]
        starts[runs], numbers[runs] = base + i, here
        runs += np.uint64(here != before)
        before = here
    return runs


@compiled
def _next(
    filtered: NDArray[np.uint8], y: int, row: Row, line: Line, words: Words, lanes: Lanes
) -> bool:
    """Makes the next row of the one above; False if its filter does not exist."""
    for i in range(filtered.shape[1] - 1):
        line[i] = filtered[y, 1 + i]
    kind = filtered[y, 0]
    if kind == 0:
        _none(row, line, lanes)
    elif kind == 1:
        _sub(row, line, words, lanes)
    elif kind == 2:
        _up(row, line, words, lanes)
    elif kind == 3:
        _average(row, line, lanes)
    elif kind == 4:
        _paeth(row, line, words, lanes)
    return bool(kind <= 4)


@compiled
def _none(row: Row, line: Line, lanes: Lanes) -> None:
    for x in range(row.size):
        row[x] = _pixel(line, x, lanes)


@compiled
def _sub(row: Row, line: Line, words: Words, lanes: Lanes) -> None:
    left = 0
    for block in range(row.size >> 3):
        if _is_flat(words, block, lanes):
            for x in range(8 * block, 8 * block + 8):
                row[x] = left
        else:
            for x in range(8 * block, 8 * block + 8):
                left = _plus(left, _pixel(line, x, lanes))
                row[x] = left


@compiled
def _up(row: Row, line: Line, words: Words, lanes: Lanes) -> None:
    for block in range(row.size >> 3):
        if not _is_flat(words, block, lanes):
            for x in range(8 * block, 8 * block + 8):
                row[x] = _plus(row[x], _pixel(line, x, lanes))


@compiled
def _average(row: Row, line: Line, lanes: Lanes) -> None:
    left = 0
    for x in range(row.size):
        left = _plus(_mean(left, row[x]), _pixel(line, x, lanes))
        row[x] = left


@compiled
def _paeth(row: Row, line: Line, words: Words, lanes: Lanes) -> None:
    left, corner = 0, 0
    for block in range(row.size >> 3):
        # Once left and corner are equal, each pixel is the one above it, and they stay equal.
        if left == corner and _is_flat(words, block, lanes):
            left = corner = row[8 * block + 7]
            continue
        for x in range(8 * block, 8 * block + 8):
            above = row[x]
            left = _plus(_nearest(left, above, corner), _pixel(line, x, lanes))
            row[x] = left
            corner = above


@compiled
def _is_flat(words: Words, block: int, lanes: Lanes) -> bool:
    """Whether eight pixels are equal to what is foretold for them."""
    size = len(lanes)
    word = words[block * size]
    for i in range(1, size):
        word |= words[block * size + i]
    return bool(word == 0)


@compiled
def _pixel(line: Line, x: int, lanes: Lanes) -> int:
    size, number = len(lanes), np.int32(0)
    for i in range(size):
        number |= np.int32(line[size * x + i]) << np.int32(lanes[i])
    return int(number)


@compiled
def _plus(a: int, b: int) -> int:
    """The sum in each lane, without a carry into the next: the top bits are added apart."""
    return ((a & 0x7F7F7F) + (b & 0x7F7F7F)) ^ ((a ^ b) & 0x808080)


@compiled
def _mean(a: int, b: int) -> int:
    """The mean in each lane, rounded down: what is common, and half of what is not."""
    return (a & b) + (((a ^ b) & 0xFEFEFE) >> 1)


@compiled
def _nearest(left: int, above: int, corner: int) -> int:
    """In each lane the neighbour that is nearest to left + above - corner."""
    if above == corner:
        return left
    if left == corner:
        return above
    number = 0
    for lane in (0, 8, 16):
        a, b, c = (left >> lane) & 255, (above >> lane) & 255, (corner >> lane) & 255
        number |= _nearest_byte(a, b, c) << lane
    return number


@compiled
def _nearest_byte(a: int, b: int, c: int) -> int:
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    if to_a <= to_b and to_a <= to_c:
        return a
    return b if to_b <= to_c else c
