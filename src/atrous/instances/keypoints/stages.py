"""DeeperLab's decoding in stages: `prepare`, `vote`, `peaks`, `group`, `assign`.

Source: DeeperLab, section 3.3 and figure 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.clock import stage
from atrous.instances import voting
from atrous.instances.keypoints import grouping, hough, longrange, longvotes, nearest, shortrange
from atrous.instances.keypoints.graph import boxes
from atrous.instances.keypoints.hough import Tiles
from atrous.instances.keypoints.lattice import Lattice, flat, itself, lattice
from atrous.instances.keypoints.nouns import Encoded, Instances, KeypointNumbers
from atrous.instances.keypoints.owners import assign_blocks
from atrous.instances.keypoints.patches import Patches, patches
from atrous.instances.keypoints.scoring import Evidence


@dataclass(frozen=True, slots=True)
class Scene:
    """One image's maps, ready for the stages of `decode`: `vote`, `peaks`, `group`, `assign`.

    cells    the cells of the maps whose long offsets are wanted: all around the things
    patches  the blocks of the decoding's cells that hold things; None on the maps' own grid
    seen     all maps but `long`, flat
    """

    size_hw: tuple[int, int]
    grid: Lattice
    numbers: KeypointNumbers
    cells: NDArray[np.int64]
    patches: Patches | None
    long: NDArray[np.float32]
    seen: Evidence

    @property
    def rounds(self) -> longrange.Rounds:
        """How long offsets are refined."""
        steps, name = self.numbers.refine_steps, self.numbers.refine_long_self
        corners, centres = {"none": (0, 0), "center": (0, steps), "all": (steps, steps)}[name]
        return longrange.Rounds(corners, centres, steps, self.seen.inverse)


@dataclass(frozen=True, slots=True)
class Goals:
    """Where cells of the maps point to.

    listed  (2 * kinds, n or more) of the n cells that are wanted
    planes  (2 * kinds, cells) of all cells, set for those; None on the maps' own grid
    """

    listed: NDArray[np.float32]
    planes: NDArray[np.float32] | None


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
    blocks, needed = _around(is_thing, grid)
    cells, long = np.flatnonzero(needed), flat(maps.long)
    return Scene((grid.height, grid.width), grid, numbers, cells, blocks, long, seen)


def _around(is_thing: NDArray[np.bool_], grid: Lattice) -> tuple[Patches | None, NDArray[np.bool_]]:
    """Blocks with things, if cells are finer than those of the maps; the cells around them."""
    if grid.ratio > 1:
        return patches(is_thing, grid)
    needed = np.zeros((grid.rows, grid.columns), np.bool_)
    needed[: grid.height, : grid.width] = is_thing
    return None, needed


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


def vote(scene: Scene) -> tuple[Tiles, Goals]:
    """The Hough maps, and where the cells of things point to.

    # Deviates: the weights of the fusion are not in the paper; long votes are clipped at 1; cells
    # of less heat than `least_heat` do not vote, which takes at most that much from any height.
    """
    grid, seen, numbers = scene.grid, scene.seen, scene.numbers
    votes = hough.tiles(scene.size_hw, seen.kinds)
    least = float(numbers.least_heat)
    shortrange.cast(seen.heat, seen.short, grid, votes, seen.kinds, least, seen.inverse)
    goals = _aim(scene, scene.cells)
    if scene.patches is None or goals.planes is None:
        longvotes.cast_cells(goals.listed, scene.cells.size, votes)
    else:
        longvotes.cast_blocks(goals.planes, scene.patches, grid, votes)
    disk = float(np.pi * (numbers.radius_px / grid.stride) ** 2)
    by_short, by_long = numbers.vote_weights
    hough.settle(votes, disk, float(by_short), float(by_long))
    return votes, goals


def _aim(scene: Scene, cells: NDArray[np.int64]) -> Goals:
    """Where cells of the maps point to, in cells of the maps."""
    kinds, seen, grid = scene.seen.kinds, scene.seen, scene.grid
    goals = np.empty((2 * kinds, nearest.room_for(cells.size)), np.float32)
    longrange.point(scene.long, seen.short, itself(grid), scene.rounds, cells, goals)
    if grid.ratio == 1:
        return Goals(goals, None)
    planes = np.empty((2 * kinds, grid.rows * grid.columns), np.float32)
    longrange.spread_out(goals, cells, planes)
    return Goals(goals, planes)


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


def assign(scene: Scene, goals: Goals, found: Instances) -> NDArray[np.int32]:
    """(h, w) index of the instance whose keypoints are nearest to where a cell of things points."""
    return _assigned(scene, goals, found, scene.cells, scene.patches)


def assign_cells(scene: Scene, cells: NDArray[np.int64], found: Instances) -> NDArray[np.int32]:
    """(n,) as `assign`, of any cells, counted row by row: also of those that are no things."""
    wanted = np.zeros(scene.size_hw, np.bool_)
    wanted.reshape(-1)[cells] = True
    blocks, needed = _around(wanted, scene.grid)
    around = np.flatnonzero(needed)
    return _assigned(scene, _aim(scene, around), found, around, blocks).reshape(-1)[cells]


def _assigned(
    scene: Scene,
    goals: Goals,
    found: Instances,
    cells: NDArray[np.int64],
    blocks: Patches | None,
) -> NDArray[np.int32]:
    grid = scene.grid
    owner = np.full(grid.rows * grid.columns, -1, dtype=np.int32)
    is_sure = np.zeros(grid.rows * grid.columns, np.uint8)
    among = nearest.rivals(found.points, unit=1 / scene.seen.inverse)
    nearest.assign(goals.listed, cells, among, owner, is_sure)
    if blocks is None or goals.planes is None:
        return owner.reshape(grid.rows, grid.columns)[: grid.height, : grid.width]
    index = np.full(scene.size_hw, -1, dtype=np.int32)
    assign_blocks(goals.planes, blocks, grid, owner, is_sure, among, index)
    return index
