"""FCRN's transform in plain numpy: what the kernels are held to, instance by instance.

Maps are upsampled whole, and every survivor is held against every vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.instances.boxes import BoxNumbers
from atrous.instances.boxes.sampling import Sampled
from atrous.types import ClassMap, FloatMap

Found = tuple[int, float, tuple[int, ...], tuple[float, ...]]
"""Class, score, cells in rising order, box."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Of one class: cells, rank and scores (n,), boxes (4, n), whether on the grid of seeds."""

    cells: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    rank: NDArray[np.int64]
    seeded: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`members` (n,) are places in the votes, the seed first."""

    level: int
    score: float
    members: NDArray[np.int64]


def upsampled(map_: Sampled) -> FloatMap:
    """(c, H, W) all pixels; cells without a share do not matter."""
    height, width = map_.values.shape[1:]
    (i, below, down), (j, right, along) = (
        _between(at, size) for at, size in zip(map_.positions, (height, width), strict=True)
    )
    values = map_.values
    with np.errstate(all="ignore"):
        rows = values[:, i] + (values[:, below] - values[:, i]) * down[:, None]
        return np.asarray(rows[:, :, j] + (rows[:, :, right] - rows[:, :, j]) * along)


def _between(
    at: NDArray[np.floating], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    at = np.clip(at.astype(np.float32), 0, size - 1)
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(np.float32)
    return low, low + (share > 0), share


def exponential(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel's steps, each rounded to float32."""
    x = np.maximum(power, np.float32(-87))
    shifted = x * np.float32(1.44269504) + np.float32(12582912)
    whole = shifted - np.float32(12582912)
    r = x - whole * np.float32(0.693147181)
    series = np.full_like(x, 1.98756915e-4)
    for term in (1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 0.5):
        series = series * r + np.float32(term)
    series = series * (r * r) + r + np.float32(1)
    return np.asarray(np.ldexp(series, whole.astype(np.int32)))


def softmax(logits: FloatMap) -> FloatMap:
    """Over the first axis; the sum begins with 1, which is taken off at last."""
    powers = exponential(logits - logits.max(axis=0))
    total = np.ones_like(powers[0])
    for more in powers:
        total += more
    return np.asarray(powers / (total - np.float32(1)))


def detect(
    scores: Sampled,
    prediction: Sampled,
    *,
    is_thing: NDArray[np.bool_],
    stride: float,
    numbers: BoxNumbers,
    soft: bool,
) -> tuple[list[Found], NDArray[np.int64]]:
    """The instances, best first, and the class of every pixel, -1 where a score is not finite."""
    values = upsampled(scores)
    finite = np.isfinite(values).all(axis=0).ravel()
    values = np.where(finite.reshape(values.shape[1:]), values, 0)
    probabilities = softmax(values) if soft else values
    # Logits rank: far below the greatest, all probabilities are the same.
    ranked = np.where(finite, ranking(values, min(numbers.top, len(values))), -1)
    found: list[tuple[float, int, NDArray[np.int64], NDArray[np.float32]]] = []
    for thing, class_id in enumerate(np.flatnonzero(is_thing).tolist()):
        cells, rank = mask(ranked, class_id)
        boxes = pixel_boxes(prediction, cells, thing=thing, stride=stride, numbers=numbers)
        good = np.isfinite(boxes).all(axis=0)
        cells, rank, boxes = cells[good], rank[good], boxes[:, good]
        y, x = np.divmod(cells, values.shape[2])
        seeded = (y % numbers.seed_stride == 0) & (x % numbers.seed_stride == 0)
        votes = Votes(cells, probabilities[class_id].ravel()[cells], boxes, rank, seeded)
        found += [
            (c.score, class_id, cells[c.members], votes.boxes[:, c.members[0]])
            for c in region_nms(votes, tuple(clusters(votes, numbers)), numbers)
        ]
    found.sort(key=lambda row: -row[0])
    rows = [
        (class_id, score, tuple(sorted(cells.tolist())), tuple(box.tolist()))
        for score, class_id, cells, box in found[: numbers.instances]
    ]
    return rows, ranked[0].reshape(values.shape[1:])


def ranking(values: FloatMap, top: int) -> NDArray[np.int64]:
    """(top, h * w) the greatest classes, best first, of equal ones the lowest first."""
    flat = values.reshape(len(values), -1)
    return np.argsort(-flat, axis=0, kind="stable")[:top]


def mask(ranked: NDArray[np.int64], class_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cells (n,) that have the class among their most probable, and its rank (n,) there."""
    ranks, cells = np.nonzero(ranked == class_id)
    order = np.argsort(cells)
    return cells[order], ranks[order]


def pixel_boxes(
    prediction: Sampled,
    cells: NDArray[np.int64],
    *,
    thing: int,
    stride: float,
    numbers: BoxNumbers,
) -> NDArray[np.float32]:
    """Boxes (4, n) that pixels predict, not finite where a value is not."""
    values = Sampled(prediction.values[4 * thing : 4 * thing + 4], *prediction.positions)
    chosen = upsampled(values).reshape(4, -1)[:, cells]
    std, mean = (np.array(n, np.float32)[:, None] for n in (numbers.std, numbers.mean))
    rows, columns = (at.astype(np.float32) * np.float32(stride) for at in prediction.positions)
    y, x = np.divmod(cells, len(columns))
    with np.errstate(all="ignore"):
        numbered = chosen * std + mean
        centre = numbered[:2] + np.stack([rows[y], columns[x]]) + np.float32(0.5)
        half = np.maximum(numbered[2:], 1) / 2
        boxes = np.concatenate([centre - half, centre + half])
    return np.where(np.isfinite(numbered).all(axis=0), boxes, np.float32(np.nan))


def clusters(votes: Votes, numbers: BoxNumbers) -> Iterator[Cluster]:
    """The clusters of the masks of m = 1 ... top, without those too small or too unsure."""
    counts = np.bincount(votes.rank, minlength=numbers.top).cumsum()
    for level in np.flatnonzero(np.diff(counts, prepend=0)).tolist():
        for members in suppress(votes, np.flatnonzero(votes.rank <= level), numbers):
            row_by_row = votes.scores[np.sort(members)].astype(np.float64)
            score = float(np.cumsum(row_by_row)[-1] / len(members))
            if len(members) >= numbers.least_px and score >= numbers.least_score:
                yield Cluster(level, score, members)


def suppress(
    votes: Votes, mask: NDArray[np.int64], numbers: BoxNumbers
) -> Iterator[NDArray[np.int64]]:
    """Each survivor together with those that it suppressed, until none can reach `least_score`."""
    left = mask[np.lexsort((-votes.scores[mask], ~votes.seeded[mask]))]
    boxes = votes.boxes[:, left]
    for _ in range(numbers.seeds):
        if not len(left) or votes.scores[left].max() < numbers.least_score:
            return
        joins = overlap(boxes, boxes[:, 0]) >= numbers.box_nms_iou
        joins[0] = True
        yield left[joins]
        rest = np.flatnonzero(~joins)
        left, boxes = left[rest], boxes.take(rest, axis=1)


def overlap(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) intersection over union of boxes (4, n) with a box (4,)."""
    y0, x0, y1, x1 = boxes
    top, left, bottom, right = box
    with np.errstate(all="ignore"):
        high = np.minimum(y1, bottom) - np.maximum(y0, top)
        wide = np.minimum(x1, right) - np.maximum(x0, left)
        shared = np.maximum(high, 0) * np.maximum(wide, 0)
        both = (y1 - y0) * (x1 - x0) + (bottom - top) * (right - left)
        return np.asarray(shared / (both - shared), dtype=np.float32)


def region_nms(votes: Votes, clusters: Sequence[Cluster], numbers: BoxNumbers) -> Iterator[Cluster]:
    """The clusters that no better kept one overlaps by too much, best first."""
    ordered = sorted(clusters, key=lambda cluster: -cluster.score)
    kept: list[set[int]] = []
    for cluster in ordered:
        mine = set(cluster.members.tolist())
        if all(len(mine & other) <= numbers.region_nms_iou * len(mine | other) for other in kept):
            kept.append(mine)
            yield cluster


def spread(index: NDArray[np.int32], semantic: ClassMap) -> NDArray[np.int32]:
    """Every uncovered pixel asks all covered ones of its class which is nearest."""
    filled = index.copy()
    for y, x in np.argwhere(index < 0).tolist():
        rows, columns = np.nonzero((semantic == semantic[y, x]) & (index >= 0))
        if len(rows):
            far = (rows - y) ** 2 + (columns - x) ** 2
            nearest = np.lexsort((rows, columns, far))[0]
            filled[y, x] = index[rows[nearest], columns[nearest]]
    return filled
