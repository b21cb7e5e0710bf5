"""The most probable classes of every pixel, from a map that is sampled on the way.

Source: FCRN, instance inference: a mask for a class and m holds the pixels where the class is among
the m most probable ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.boxes import lines
from atrous.instances.boxes.blocks import rank_blocks
from atrous.instances.boxes.sampling import Axis, Sampled
from atrous.types import FloatMap

_COARSE = 8
"""Pixels to a cell, on the mean, from which it pays to look at what is in its corners first."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The most probable classes of every pixel, best first; of equal ones the lowest first.

    classes        (top, h, w) int32; -1 where a value of the pixel is not finite, and past the
                   first where no thing can be among them
    probabilities  (top, h, w) float32 of those that are things
    """

    classes: NDArray[np.int32]
    probabilities: FloatMap


def rank(scores: Sampled, *, is_thing: NDArray[np.bool_], top: int, softmax: bool) -> Ranked:
    """The `top` most probable classes of every pixel.

    scores    (classes, h, w): logits, whose softmax is taken after sampling, or probabilities
    is_thing  (classes,): whose probabilities are wanted
    """
    shape = (top, *scores.size_hw)
    if not np.prod(shape):
        return Ranked(np.empty(shape, np.int32), np.empty(shape, np.float32))
    found = Ranked(np.full(shape, -1, np.int32), np.zeros(shape, np.float32))
    answer = (found.classes, found.probabilities)
    rows, columns = scores.axes()
    cuts, wanted = (_cuts(rows), _cuts(columns)), np.ones(shape[1], np.bool_)
    if (len(cuts[0]) - 1) * (len(cuts[1]) - 1) * _COARSE <= found.classes[0].size:
        wanted[:] = False
        cells = np.ascontiguousarray(scores.values.transpose(1, 2, 0), dtype=np.float32)
        most = int(np.diff(cuts[0]).max() * np.diff(cuts[1]).max())
        rank_blocks(cells, rows, columns, *cuts, most, is_thing, softmax, *answer, wanted)
    if wanted.any():
        values = np.ascontiguousarray(scores.values, dtype=np.float32)
        _rank_rows(values, rows, columns, np.flatnonzero(wanted), softmax, *answer)
    return found


def _cuts(axis: Axis) -> NDArray[np.int64]:
    """Where the first cell changes, from 0 to the number of positions."""
    changes = np.flatnonzero(np.diff(axis.low.astype(np.int64), prepend=-1))
    return np.append(changes, len(axis.low))


@compiled
def _rank_rows(
    values: FloatMap,
    rows: Axis,
    columns: Axis,
    wanted: NDArray[np.int64],
    softmax: bool,
    classes: NDArray[np.int32],
    probabilities: FloatMap,
) -> None:
    """Fills in the wanted rows of both of `Ranked`, one at a time."""
    count, wide, top = values.shape[0], classes.shape[2], classes.shape[0]
    line, across = np.empty(count * wide, np.float32), np.empty(values.shape[2], np.float32)
    desk, ids = lines.desk(top, wide), np.arange(count).astype(np.int32)
    for y in wanted:
        for k in range(count):
            lines.mix(values[k, rows.low[y]], values[k, rows.high[y]], rows.share[y], across)
            lines.stretch(
                across, columns.low, columns.high, columns.share, line[k * wide : (k + 1) * wide]
            )
        lines.sort(line, ids, wide, top, desk)
        lines.leave_out(line, count, wide, desk)
        if softmax:
            lines.normalise(line, count, wide, desk)
        for k in range(top):
            for x in range(wide):
                classes[k, y, x], probabilities[k, y, x] = desk.which[k, x], desk.best[k, x]
