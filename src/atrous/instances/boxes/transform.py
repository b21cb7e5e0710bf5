"""FCRN's Hough-like transform: pixels that predict about the same box are one instance.

Pixels vote for boxes with the probability of their class; greedy suppression of the votes finds the
instances; tracing each vote back to the pixels that it suppressed gives their masks.

Maps stay as coarse as the network answers them: logits of a row of pixels exist at a time, and
boxes of the votes of one class.

Source: Wu, Shen, van den Hengel 2016 (FCRN), instance inference; thresholds are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.boxes.coding import BoxNumbers, pixel_boxes
from atrous.instances.boxes.painting import BoxInstance, flatten, spread
from atrous.instances.boxes.ranking import Ranked, rank
from atrous.instances.boxes.regions import Regions, choose, gather
from atrous.instances.boxes.sampling import Sampled, as_it_is
from atrous.instances.boxes.suppression import Rule, Votes, suppress
from atrous.types import ClassMap, FloatMap

__all__ = ["BoxInstance", "Detected", "detect", "flatten", "locate", "spread"]


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """What was found on a grid of pixels.

    instances  best first; equally good ones by class
    classes    (h, w) the most probable class, void where a score of the pixel is not finite
    """

    instances: tuple[BoxInstance, ...]
    classes: ClassMap


@dataclass(frozen=True, slots=True)
class _Ballots:
    """The votes of all classes of things, class by class; see `Votes`.

    starts  (things + 1,) where those of each class begin
    """

    starts: NDArray[np.int64]
    cells: NDArray[np.int32]
    scores: NDArray[np.float32]
    rank: NDArray[np.int32]


def detect(
    probabilities: FloatMap,
    prediction: FloatMap,
    *,
    is_thing: NDArray[np.bool_],
    stride: float,
    numbers: BoxNumbers,
) -> tuple[BoxInstance, ...]:
    """The instances of two maps of one size, on their cells; best first.

    probabilities  (classes, h, w) of all classes, stuff too
    prediction     (4 * things, h, w) the localisation network's answer on the same cells
    is_thing       (classes,)
    stride         pixels of the network's input from cell to cell: 1 if both maps were resized to
                   its size, a fraction if they were resized to a larger image

    Source: FCRN, instance inference.
    Raises: ValueError if the shapes do not fit together.
    """
    maps = as_it_is(probabilities), as_it_is(prediction)
    found = locate(*maps, is_thing=is_thing, stride=stride, numbers=numbers, softmax=False)
    return found.instances


def locate(
    scores: Sampled,
    prediction: Sampled,
    *,
    is_thing: NDArray[np.bool_],
    stride: float,
    numbers: BoxNumbers,
    softmax: bool,
) -> Detected:
    """The instances and classes of an image, on the grid of pixels that two maps share.

    scores      (classes, h, w) of all classes, stuff too
    prediction  (4 * things, h2, w2) the localisation network's answer
    is_thing    (classes,)
    stride      pixels of the network's input from cell to cell of the prediction
    softmax     whether the scores are logits, whose softmax is taken after sampling; they are
                probabilities else

    Pixels of which a score is not finite take no part; nor do those of which a box is not, in the
    instances of its class.

    Source: FCRN, instance inference.
    Raises: ValueError if the shapes do not fit together.
    """
    _check(scores, prediction, is_thing)
    top = min(numbers.top, len(is_thing))
    ranked = rank(scores, is_thing=is_thing, top=top, softmax=softmax)
    classes = ranked.classes[0].astype(np.uint8 if len(is_thing) <= 255 else np.uint16)
    ballots = _by_class(ranked, is_thing)
    del ranked
    found: list[BoxInstance] = []
    for thing, class_id in enumerate(np.flatnonzero(is_thing).tolist()):
        votes = _votes(ballots, prediction, thing=thing, stride=stride, numbers=numbers)
        regions = _regions(votes, _frame(prediction, stride), numbers)
        found += _instances(class_id, votes, regions, scores.size_hw)
    found.sort(key=lambda instance: -instance.score)
    return Detected(tuple(found[: numbers.instances]), classes)


def _check(scores: Sampled, prediction: Sampled, is_thing: NDArray[np.bool_]) -> None:
    if len(is_thing) != len(scores.values):
        raise ValueError(
            f"scores are {scores.values.shape}: give ({len(is_thing)}, h, w), a map a class"
        )
    wanted = 4 * int(is_thing.sum())
    if len(prediction.values) != wanted or prediction.size_hw != scores.size_hw:
        raise ValueError(
            f"the prediction is {prediction.values.shape} on {prediction.size_hw} pixels: give "
            f"({wanted}, h, w), four maps for each class of things, on {scores.size_hw} pixels"
        )


def _frame(prediction: Sampled, stride: float) -> tuple[float, float, float, float]:
    """(y0, x0, y1, x1) of the grid in pixels of the network's input."""
    ends = [
        (float(at.min()) * stride, float(at.max()) * stride + 1) if len(at) else (0.0, 1.0)
        for at in prediction.positions
    ]
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _by_class(ranked: Ranked, is_thing: NDArray[np.bool_]) -> _Ballots:
    things = int(is_thing.sum())
    thing_of = np.where(is_thing, np.cumsum(is_thing) - 1, things).astype(np.int64)
    classes = ranked.classes.reshape(len(ranked.classes), -1)
    counts = np.zeros(things + 1, np.int64)
    _count(classes, thing_of, counts)
    starts = np.append(0, np.cumsum(counts))[: things + 1]
    cells, rank = np.empty((2, int(starts[-1])), np.int32)
    ballots = _Ballots(starts, cells, np.empty(len(cells), np.float32), rank)
    scores = ranked.probabilities.reshape(classes.shape)
    _file(classes, scores, thing_of, starts.copy(), cells, ballots.scores, rank)
    return ballots


@compiled
def _count(
    classes: NDArray[np.int32], thing_of: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Adds up the votes (top, n) for each class of things; those for stuff come last."""
    for k in range(classes.shape[0]):
        for cell in range(classes.shape[1]):
            if classes[k, cell] >= 0:
                counts[thing_of[classes[k, cell]]] += 1


@compiled
def _file(
    classes: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    thing_of: NDArray[np.int64],
    at: NDArray[np.int64],
    cells: NDArray[np.int32],
    scores: NDArray[np.float32],
    rank: NDArray[np.int32],
) -> None:
    """Writes each vote (top, n) where the next of its class belongs."""
    stuff = at.size - 1
    for cell in range(classes.shape[1]):
        for k in range(classes.shape[0]):
            if classes[k, cell] >= 0:
                thing = thing_of[classes[k, cell]]
                if thing != stuff:
                    place = at[thing]
                    cells[place], scores[place], rank[place] = cell, probabilities[k, cell], k
                    at[thing] += 1


def _votes(
    ballots: _Ballots, prediction: Sampled, *, thing: int, stride: float, numbers: BoxNumbers
) -> Votes:
    """The votes of a class of things whose boxes are finite."""
    own = slice(ballots.starts[thing], ballots.starts[thing + 1])
    cells, scores, rank = ballots.cells[own], ballots.scores[own], ballots.rank[own]
    boxes = pixel_boxes(prediction, cells, thing=thing, stride=stride, numbers=numbers)
    if not np.isfinite(boxes.sum(dtype=np.float64)):
        finite = np.isfinite(boxes).all(axis=1)
        cells, scores, rank, boxes = cells[finite], scores[finite], rank[finite], boxes[finite]
    return Votes(cells, scores, rank, boxes, _on_grid(cells, prediction, numbers.seed_stride))


def _on_grid(cells: NDArray[np.int32], prediction: Sampled, step: int) -> NDArray[np.bool_]:
    grid = np.zeros(prediction.size_hw, np.bool_)
    grid[::step, ::step] = True
    return grid.ravel()[cells]


def _regions(
    votes: Votes, frame: tuple[float, float, float, float], numbers: BoxNumbers
) -> Regions:
    """The regions of a class from its masks of m = 1 ... top, best first.

    Source: FCRN, instance inference: suppression, tracing back, suppression of regions.
    """
    rule = Rule(numbers.box_nms_iou, numbers.seeds, numbers.least_score, frame)
    levels = np.flatnonzero(np.bincount(votes.rank)).tolist()
    taken = [suppress(votes, below=level + 1, rule=rule) for level in levels]
    regions = gather(taken, votes.scores, numbers)
    iou = numbers.region_nms_iou
    return choose(regions, votes=len(votes.cells), levels=len(levels), iou=iou)


def _instances(
    class_id: int, votes: Votes, regions: Regions, size_hw: tuple[int, int]
) -> list[BoxInstance]:
    cells, starts = votes.cells[regions.members], regions.starts.tolist()
    boxes = votes.boxes[regions.seeds].tolist()
    return [
        BoxInstance(class_id, score, cells[begin:end], size_hw, (box[0], box[1], box[2], box[3]))
        for score, box, begin, end in zip(
            regions.scores.tolist(), boxes, starts[:-1], starts[1:], strict=True
        )
    ]
