"""DeeperLab's decoding in stages: `prepare`, `vote`, `peaks`, `group`, `assign`.

Source: DeeperLab, section 3.3 and figure 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.clock import stage
from atrous.instances import grouping, longrange, nearest, shortrange, tiles, voting
from atrous.instances.graph import boxes
from atrous.instances.lattice import Lattice, flat, lattice
from atrous.instances.nouns import Encoded, Instances, KeypointNumbers
from atrous.instances.scoring import Evidence
from atrous.instances.spans import MOST, Spans, spans
from atrous.instances.tiles import Tiles


@dataclass(frozen=True, slots=True)
class Scene:
    """One image's maps, ready for the stages of `decode`: `vote`, `peaks`, `group`, `assign`.

    things   the cells of things; seen: all maps but `long`, flat
    """

    size_hw: tuple[int, int]
    grid: Lattice
    numbers: KeypointNumbers
    things: Spans
    long: NDArray[np.float32]
    seen: Evidence

    @property
    def rounds(self) -> longrange.Rounds:
        """How long offsets are refined."""
        steps, name = self.numbers.refine_steps, self.numbers.refine_long_self
        corners, centres = {"none": (0, 0), "center": (0, steps), "all": (steps, steps)}[name]
        return longrange.Rounds(corners, centres, steps, self.seen.inverse)


def prepare(
    maps: Encoded,
    is_thing: NDArray[np.bool_],
    *,
    stride: int,
    numbers: KeypointNumbers,
    map_stride: int | None = None,
) -> Scene:
    """The stage before all others; arguments as for `keypoints.decode`."""
    map_stride = stride if map_stride is None else map_stride
    size_hw, maps_hw = is_thing.shape, maps.heatmap.shape[1:]
    grid = lattice((size_hw[0], size_hw[1]), maps_hw, stride=stride, map_stride=map_stride)
    seen = Evidence(
        heat=flat(maps.heatmap),
        short=flat(maps.short),
        middle=flat(maps.middle),
        edges=np.array(numbers.joined.edges, dtype=np.int64),
        kinds=len(maps.heatmap),
        steps=int(numbers.refine_steps),
        inverse=1 / map_stride,
        radius_px=float(numbers.radius_px),
        kappa=float(numbers.oks_kappa),
    )
    return Scene((grid.height, grid.width), grid, numbers, spans(is_thing), flat(maps.long), seen)


def decode(scene: Scene) -> tuple[Instances, NDArray[np.int32]]:
    """All stages: instances, and the index of the instance of each cell of things, else -1."""
    with stage("votes"):
        votes, goals = vote(scene)
    with stage("peaks"):
        candidates = peaks(scene, votes)
    with stage("grouping"):
        found = group(scene, votes, candidates)
    with stage("assignment"):
        return found, assign(scene, goals, found)


def vote(scene: Scene) -> tuple[Tiles, NDArray[np.float32]]:
    """The Hough maps, and where the cells of things point to.

    # Deviates: the weights of the fusion are not in the paper; long votes are clipped at 1; cells
    # of less heat than `least_heat` do not vote, which takes at most that much from any height.
    """
    grid, seen, numbers = scene.grid, scene.seen, scene.numbers
    votes = tiles.tiles(scene.size_hw, seen.kinds)
    least = float(numbers.least_heat)
    shortrange.cast(seen.heat, seen.short, grid, votes, seen.kinds, least, seen.inverse)
    goals = _aim(scene, scene.things, votes, casts=True)
    disk = float(np.pi * (numbers.radius_px / grid.stride) ** 2)
    by_short, by_long = numbers.vote_weights
    tiles.settle(votes, disk, float(by_short), float(by_long))
    return votes, goals


def _aim(scene: Scene, cells: Spans, votes: Tiles, *, casts: bool) -> NDArray[np.float32]:
    """(2 * kinds, spans * MOST) where cells point to, in cells of the maps."""
    kinds, seen = scene.seen.kinds, scene.seen
    goals = np.empty((2 * kinds, len(cells.starts) * MOST), np.float32)
    room = tiles.ballots(longrange.CHUNK * MOST if casts else 0)
    longrange.point(scene.long, seen.short, scene.grid, scene.rounds, cells, goals, votes, room)
    return goals


def peaks(scene: Scene, votes: Tiles) -> grouping.Candidates:
    """Keypoint candidates."""
    numbers, stride = scene.numbers, scene.grid.stride
    return grouping.candidates(
        votes, most=numbers.peaks, threshold=float(numbers.peak_threshold), stride=stride
    )


def group(scene: Scene, votes: Tiles, candidates: grouping.Candidates) -> Instances:
    """Instances, best first, no more than there may be. Source: DeeperLab, section 3.3."""
    numbers = scene.numbers
    points, scores = grouping.group(
        candidates, scene.seen, scene.grid, votes, proximity_px=float(numbers.proximity_px)
    )
    box = boxes(points)
    solid = np.flatnonzero((box[:, 2:] - box[:, :2] >= 1).all(axis=1))
    kept = voting.suppress_boxes(
        box[solid], scores[solid], iou=numbers.nms_iou, most=numbers.instances
    )
    return Instances(points[solid[kept]], scores[solid[kept]])


def assign(scene: Scene, goals: NDArray[np.float32], found: Instances) -> NDArray[np.int32]:
    """(h, w) index of the instance whose keypoints are nearest to where a cell of things points."""
    index = np.full(scene.size_hw, -1, dtype=np.int32)
    among = nearest.rivals(found.points, unit=1 / scene.seen.inverse)
    nearest.assign(goals, scene.things, among, index.reshape(-1))
    return index


def assign_cells(scene: Scene, cells: NDArray[np.int64], found: Instances) -> NDArray[np.int32]:
    """(n,) as `assign`, of any cells, counted row by row: also of those that are no things."""
    ones = np.ones(len(cells), np.int64)
    alone = Spans(cells, ones, np.arange(len(cells) + 1))
    goals = _aim(scene, alone, tiles.tiles((1, 1), 1), casts=False)
    index = np.full(math.prod(scene.size_hw), -1, dtype=np.int32)
    among = nearest.rivals(found.points, unit=1 / scene.seen.inverse)
    nearest.assign(goals, alone, among, index)
    return index[cells]
