"""Keypoint candidates, their Expected-OKS score, and greedy grouping along the graph.

Positions are (y, x) in pixels unless a name says cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.instances import voting
from atrous.types import FloatMap

LEAST_SIDE_PX = 32.0
Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Possible keypoints: `kinds` (n,) their type, `points` (n, 2) their place in pixels."""

    kinds: NDArray[np.int64]
    points: NDArray[np.float64]


def candidates(votes: FloatMap, *, threshold: float, most: int, stride: int) -> Candidates:
    """Local maxima of the Hough maps (kinds, h, w), at most `most` of a type.

    # Deviates: a maximum is moved to the mean of its neighbourhood's votes, so that a keypoint is
    # not tied to the grid.
    """
    cells = [voting.peaks(plane, threshold=threshold, most=most) for plane in votes]
    places = [voting.centroid(*pair) * stride for pair in zip(votes, cells, strict=True)]
    kinds = np.repeat(np.arange(len(votes)), [len(c) for c in cells])
    return Candidates(kinds, np.concatenate(places) if places else np.zeros((0, 2)))


@dataclass(frozen=True, slots=True)
class ExpectedOKS:
    """Scores keypoints by how sure their place is, in units of the instance's size.

    s = p(y) * sum of H(z) exp(-|z - y|^2 / (2 area kappa^2)) over the cells z of the disk, with H
    the short-range votes, normalised there, and the area that of the box which the middle offsets
    at y predict.

    Source: PersonLab, section 3.1.3; DeeperLab, section 3.3.
    """

    heatmap: FloatMap
    votes: FloatMap
    middle: FloatMap
    edges: tuple[tuple[int, int], ...]
    stride: int
    radius_px: float
    kappa: float

    def step(self, edge: int, point: Point) -> Point:
        """Where the middle offset of an edge leads from a point."""
        at = point[None] / self.stride
        goal: Point = point + voting.sample(self.middle[edge], at)[:, 0]
        return goal

    def score(self, kind: int, point: Point) -> float:
        """Expected-OKS of a keypoint, in [0, 1]."""
        places, votes = self._disk(kind, point)
        total = votes.sum()
        if total <= 0:
            return 0.0
        falloff = np.exp(-places / (2 * self._area(kind, point) * self.kappa**2))
        sure = voting.sample(self.heatmap[kind][None], point[None] / self.stride)[0, 0]
        return float(sure * (votes * falloff).sum() / total)

    def _disk(self, kind: int, point: Point) -> tuple[Point, FloatMap]:
        """Squared distances, in pixels, and votes of the cells in a keypoint's disk."""
        centre, reach = point / self.stride, self.radius_px / self.stride
        first = np.maximum(np.floor(centre - reach), 0).astype(np.int64)
        last = np.maximum(np.ceil(centre + reach), -1).astype(np.int64) + 1
        plane = self.votes[kind, first[0] : last[0], first[1] : last[1]]
        y = (first[0] + np.arange(plane.shape[0]) - centre[0]) * self.stride
        x = (first[1] + np.arange(plane.shape[1]) - centre[1]) * self.stride
        distance = y[:, None] ** 2 + x[None] ** 2
        inside = distance <= self.radius_px**2
        return distance[inside], plane[inside]

    def _area(self, kind: int, point: Point) -> float:
        """Area of the box that the middle offsets predict, in square pixels, with a floor.

        Along one edge, a corner sees half of each side on its way to the centre; where there are
        more edges, their ends span the box.
        """
        ends = np.array(
            [self.step(e, point) for e, (source, _) in enumerate(self.edges) if source == kind]
        )
        if len(ends) == 1:
            sides = 2 * np.abs(ends[0] - point)
        else:
            sides = ends.max(axis=0) - ends.min(axis=0)
        return max(float(np.prod(sides)), LEAST_SIDE_PX**2)


def group(
    found: Candidates, scorer: ExpectedOKS, *, proximity_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Instances (n, kinds, 2) and their mean keypoint scores (n,), in the order of their making.

    The best candidate of any type starts an instance, unless it is near a keypoint of its type that
    an instance has; the others follow along the graph.

    Source: DeeperLab, section 3.3 (greedy, all types in one queue).
    """
    kinds = len(scorer.heatmap)
    scores = np.array(
        [scorer.score(int(k), p) for k, p in zip(found.kinds, found.points, strict=True)]
    )
    taken, means = np.zeros((0, kinds, 2)), []
    for index in np.argsort(-scores, kind="stable"):
        kind, point = int(found.kinds[index]), found.points[index]
        gaps = np.linalg.norm(taken[:, kind] - point, axis=1)
        if (gaps <= proximity_px).any():
            continue
        points = _complete(kind, point, scorer)
        taken = np.concatenate([taken, points[None]])
        means.append(np.mean([scorer.score(k, p) for k, p in enumerate(points)]))
    return taken, np.array(means, dtype=np.float64)


def _complete(kind: int, point: Point, scorer: ExpectedOKS) -> NDArray[np.float64]:
    """All keypoints of the instance that one of them belongs to, by the fewest edges to each."""
    points = {kind: point}
    while len(points) < len(scorer.heatmap):
        near = dict(points)
        for edge, (source, goal) in enumerate(scorer.edges):
            if source in near and goal not in points:
                points[goal] = scorer.step(edge, near[source])
    return np.stack([points[k] for k in range(len(scorer.heatmap))])
