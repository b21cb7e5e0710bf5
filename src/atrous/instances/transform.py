"""FCRN's Hough-like transform: pixels that predict about the same box are one instance.

Pixels vote for boxes with the probability of their class; greedy suppression of the votes finds the
instances; tracing each vote back to the pixels that it suppressed gives their masks.

Source: Wu, Shen, van den Hengel 2016 (FCRN), instance inference; thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.instances.boxes import BoxNumbers, pixel_boxes
from atrous.types import ClassMap, FloatMap


@dataclass(frozen=True, slots=True)
class BoxInstance:
    """One instance.

    score  mean probability of the class over the mask
    mask   (h, w) on the grid of the prediction; masks of other instances may overlap it
    box    (y0, x0, y1, x1) in pixels of the network's input, as its best pixel predicts it
    """

    class_id: int
    score: float
    mask: NDArray[np.bool_]
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Votes:
    """What the pixels say that have one class among their most probable ones.

    cells   (n,) row-major, rising; scores (n,) the probability of the class; boxes (4, n)
    rank    (n,) 0 where the class is the most probable, 1 where it is the second, ...
    seeded  (n,) whether the cell lies on the grid of seeds
    """

    cells: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    rank: NDArray[np.int64]
    seeded: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Cluster:
    """An instance in the making: `members` (n,) are places in the votes, the seed first.

    level  m - 1; clusters of one level share no pixel
    """

    level: int
    score: float
    members: NDArray[np.int64]


def detect(
    probabilities: FloatMap,
    prediction: FloatMap,
    *,
    is_thing: NDArray[np.bool_],
    stride: float,
    numbers: BoxNumbers,
) -> tuple[BoxInstance, ...]:
    """The instances of an image, best first; equally good ones by class.

    probabilities  (classes, h, w) of all classes, stuff too
    prediction     (4 * things, h, w) the localisation network's answer on the same cells
    is_thing       (classes,)
    stride         pixels of the network's input from cell to cell: 1 if both maps were resized to
                   its size, a fraction if they were resized to a larger image

    Source: FCRN, instance inference.
    Raises: ValueError if the shapes do not fit together.
    """
    _check(probabilities, prediction, is_thing)
    ranked = _ranked(probabilities, min(numbers.top, len(probabilities)))
    found: list[tuple[float, int, NDArray[np.int64], NDArray[np.float32]]] = []
    for thing, class_id in enumerate(np.flatnonzero(is_thing).tolist()):
        cells, rank = _mask(ranked, class_id)
        votes = _Votes(
            cells=cells,
            scores=probabilities[class_id].ravel()[cells],
            boxes=pixel_boxes(prediction, cells, thing=thing, stride=stride, numbers=numbers),
            rank=rank,
            seeded=_on_grid(cells, probabilities.shape[2], numbers.seed_stride),
        )
        found += [
            (x.score, class_id, cells[x.members], votes.boxes[:, x.members[0]])
            for x in _region_nms(votes, tuple(_clusters(votes, numbers)), numbers)
        ]
    found.sort(key=lambda row: -row[0])
    return tuple(_instance(*row, probabilities.shape[1:]) for row in found[: numbers.instances])


def _check(probabilities: FloatMap, prediction: FloatMap, is_thing: NDArray[np.bool_]) -> None:
    wanted = (4 * int(is_thing.sum()), *probabilities.shape[1:])
    if len(is_thing) != len(probabilities):
        raise ValueError(
            f"probabilities are {probabilities.shape}: give ({len(is_thing)}, h, w), a map a class"
        )
    if prediction.shape != wanted:
        raise ValueError(
            f"the prediction is {prediction.shape}: give {wanted}, four maps for each class of "
            "things, of the size of the probabilities"
        )


def _ranked(probabilities: FloatMap, top: int) -> NDArray[np.int64]:
    """(top, h * w) the most probable classes, best first, of equal ones the lowest first."""
    left = probabilities.reshape(len(probabilities), -1).copy()
    ranked = np.empty((top, left.shape[1]), dtype=np.int64)
    for row in ranked:
        row[:] = left.argmax(axis=0)
        np.put_along_axis(left, row[None], -np.inf, axis=0)
    return ranked


def _mask(ranked: NDArray[np.int64], class_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cells (n,) that have the class among their most probable, and its rank (n,) there."""
    ranks, cells = np.nonzero(ranked == class_id)
    order = np.argsort(cells)
    return cells[order], ranks[order]


def _on_grid(cells: NDArray[np.int64], width: int, step: int) -> NDArray[np.bool_]:
    y, x = np.divmod(cells, width)
    return np.asarray((y % step == 0) & (x % step == 0))


def _clusters(votes: _Votes, numbers: BoxNumbers) -> Iterator[_Cluster]:
    """The clusters of the masks of m = 1 ... top, without those too small or too unsure.

    Source: FCRN, instance inference: suppression, then tracing back.
    """
    counts = np.bincount(votes.rank, minlength=numbers.top).cumsum()
    for level in np.flatnonzero(np.diff(counts, prepend=0)).tolist():
        mask = np.flatnonzero(votes.rank <= level)
        for members in _suppress(votes, mask, numbers):
            score = float(votes.scores[members].mean(dtype=np.float64))
            if len(members) >= numbers.least_px and score >= numbers.least_score:
                yield _Cluster(level, score, members)


def _suppress(
    votes: _Votes, mask: NDArray[np.int64], numbers: BoxNumbers
) -> Iterator[NDArray[np.int64]]:
    """Greedy suppression of boxes; gives each survivor together with those that it suppressed.

    Votes on the grid of seeds come first, then the others; both by falling score, equal ones row by
    row. So every pixel joins the first seed of the grid that fits it, and what is left goes on by
    itself, until no cluster can reach `least_score`. On a grid of 1 this is the exact greedy
    suppression.

    # Deviates: the coarse grid makes seeds of fewer pixels; the best pixel of an instance may not
    # be one of them. What is left when there are `seeds` survivors belongs to no instance.
    """
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
    """(n,) intersection over union of boxes (4, n) with a box (4,), none of them empty."""
    y0, x0, y1, x1 = boxes
    top, left, bottom, right = box
    high = np.minimum(y1, bottom) - np.maximum(y0, top)
    wide = np.minimum(x1, right) - np.maximum(x0, left)
    shared = np.maximum(high, 0) * np.maximum(wide, 0)
    both = (y1 - y0) * (x1 - x0) + (bottom - top) * (right - left)
    return np.asarray(shared / (both - shared), dtype=np.float32)


def _region_nms(
    votes: _Votes, clusters: Sequence[_Cluster], numbers: BoxNumbers
) -> Iterator[_Cluster]:
    """The clusters that no better kept one overlaps by too much, best first; equal ones in order.

    Source: FCRN, instance inference: non-maximum suppression of regions.
    """
    ordered = sorted(clusters, key=lambda cluster: -cluster.score)
    area = np.array([len(cluster.members) for cluster in ordered])
    owner = np.full((numbers.top, len(votes.cells)), len(ordered))
    for place, cluster in enumerate(ordered):
        owner[cluster.level, cluster.members] = place
    kept = np.zeros(len(ordered), dtype=np.bool_)
    for place, cluster in enumerate(ordered):
        rivals = owner[:, cluster.members].ravel()
        shared = np.bincount(rivals, minlength=len(ordered) + 1)[:-1]
        union = area + area[place] - shared
        kept[place] = not (kept & (shared > numbers.region_nms_iou * union)).any()
        if kept[place]:
            yield cluster


def _instance(
    score: float,
    class_id: int,
    cells: NDArray[np.int64],
    box: NDArray[np.float32],
    size_hw: tuple[int, int],
) -> BoxInstance:
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask.ravel()[cells] = True
    y0, x0, y1, x1 = box.tolist()
    return BoxInstance(class_id, score, mask, (y0, x0, y1, x1))


def flatten(instances: Sequence[BoxInstance], semantic: ClassMap) -> NDArray[np.int32]:
    """(h, w) index of the instance of every pixel, -1 where there is none.

    An instance claims the pixels of its mask whose class in `semantic` is its own; where several
    do, the one with the best score wins, of equal ones the first. Stuff stays -1, and so do pixels
    of things that no instance covers.

    Source: ours; the paper gives masks that may overlap.
    """
    index = np.full(semantic.shape, -1, dtype=np.int32)
    best_first = sorted(range(len(instances)), key=lambda place: -instances[place].score)
    for place in reversed(best_first):
        instance = instances[place]
        index[instance.mask & (semantic == instance.class_id)] = place
    return index


def spread(index: NDArray[np.int32], semantic: ClassMap) -> NDArray[np.int32]:
    """The index map with every uncovered pixel given to the nearest instance of its class.

    Near the edge of a thing the boxes of neighbouring cells are mixed and fit no instance. A class
    without any instance stays uncovered.

    # Deviates: the paper scores masks and makes no panoptic map.
    """
    filled = index.copy()
    for class_id in np.unique(semantic[index >= 0]):
        own = semantic == class_id
        covered = own & (index >= 0)
        _, nearest = cv2.distanceTransformWithLabels(
            (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        owner = np.zeros(int(nearest.max()) + 1, dtype=np.int32)
        owner[nearest[covered]] = index[covered]
        filled[own] = owner[nearest[own]]
    return filled
