"""DeeperLab's keypoint representation of instances, both ways: encode and decode.

Keypoints stand for an instance: the corners of its tight box, and its centre of mass if they are
joined by the star. Arrays of offsets are (keypoint, 2, h, w), (y, x), in pixels of the network's
input; cell (i, j) of a map lies on pixel (stride * i, stride * j).

Source: DeeperLab, section 3.3; what it leaves open follows PersonLab.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.instances import voting
from atrous.instances.keypoints import stages
from atrous.instances.keypoints.nouns import Encoded, Instances, KeypointNumbers
from atrous.types import FloatMap, IdMap, Labelled


def encode(
    truth: Labelled, is_thing: NDArray[np.bool_], *, stride: int, numbers: KeypointNumbers
) -> tuple[Encoded, NDArray[np.bool_], NDArray[np.bool_]]:
    """Keypoint targets of a labelled image on the grid of a stride.

    Returns the maps, the cells (h, w) of things (long offsets hold there) and the valid cells
    (neither void nor crowd). Where disks overlap, the nearest keypoint owns the cell.

    Source: DeeperLab, section 3.3.
    """
    grid = truth.ids[::stride, ::stride]
    present = set(np.unique(truth.ids).tolist())
    things = [
        r.id for r in truth.regions if is_thing[r.class_id] and not r.is_crowd and r.id in present
    ]
    wanted = np.array(things, dtype=np.int64)
    graph = numbers.joined
    points = voting.locate(truth.ids, wanted)[:, : len(graph.keypoints)]
    crowds = [r.id for r in truth.regions if r.is_crowd]
    valid = (grid != 0) & ~np.isin(grid, crowds)
    index = _index_map(grid, wanted)
    owner = _owners(points, grid.shape, stride=stride, radius_px=numbers.radius_px)
    maps = Encoded(
        heatmap=(owner >= 0).astype(np.float32),
        short=_offsets(points, owner, targets=range(points.shape[1]), stride=stride),
        middle=_offsets(
            points, owner[[a for a, _ in graph.edges]], [b for _, b in graph.edges], stride
        ),
        long=_offsets(points, np.broadcast_to(index, owner.shape), range(len(owner)), stride),
    )
    return maps, index >= 0, valid


def _index_map(grid: IdMap, wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    table = np.full(int(grid.max(initial=0)) + 1, -1, dtype=np.int32)
    for index, identity in enumerate(wanted):
        if identity < len(table):
            table[identity] = index
    return table[grid]


def _owners(
    points: NDArray[np.float32], size_hw: tuple[int, int], *, stride: int, radius_px: float
) -> NDArray[np.int32]:
    """(k, h, w) index of the instance whose keypoint is nearest, -1 outside of all disks."""
    owner = np.full((points.shape[1], *size_hw), -1, dtype=np.int32)
    nearest = np.full(owner.shape, radius_px**2, dtype=np.float32)
    reach = int(np.ceil(radius_px / stride)) + 1
    for index, kind in np.ndindex(points.shape[:2]):
        y, x = points[index, kind]
        i, j = round(float(y) / stride), round(float(x) / stride)
        rows = slice(max(0, i - reach), i + reach + 1)
        columns = slice(max(0, j - reach), j + reach + 1)
        near, own = nearest[kind, rows, columns], owner[kind, rows, columns]
        cells_y = np.arange(rows.start, rows.start + near.shape[0]) * stride - y
        cells_x = np.arange(columns.start, columns.start + near.shape[1]) * stride - x
        distance = cells_y[:, None] ** 2 + cells_x[None] ** 2
        closer = (distance < near) | ((own < 0) & (distance <= near))
        near[closer], own[closer] = distance[closer], index
    return owner


def _offsets(
    points: NDArray[np.float32],
    owner: NDArray[np.int32],
    targets: range | list[int],
    stride: int,
) -> FloatMap:
    """(n, 2, h, w) offsets from each cell to keypoint `targets[n]` of its owner, 0 without one."""
    here = voting.cells((owner.shape[1], owner.shape[2])) * np.float32(stride)
    offsets = np.zeros((len(owner), *here.shape), dtype=np.float32)
    if len(points):
        for n, target in enumerate(targets):
            goal = points[owner[n], target].transpose(2, 0, 1)
            offsets[n] = np.where(owner[n] >= 0, goal - here, 0)
    return offsets


def decode(
    maps: Encoded,
    is_thing: NDArray[np.bool_],
    *,
    stride: int,
    numbers: KeypointNumbers,
    map_stride: int | None = None,
) -> tuple[Instances, NDArray[np.int32]]:
    """Instances, and the index of the instance of each cell of things (elsewhere -1).

    Without any instance all indices are -1. An offset that is no number moves nothing; a cell whose
    own offset or heat is no number casts no vote, and without a long offset it has no instance.

    maps        on the grid of `map_stride`, by default that of `stride`; never upsampled
    is_thing    (h, w) cells, on the grid of `stride`, that are predicted as things: only they cast
                long-range votes

    Source: DeeperLab, section 3.3 and figure 4.
    Raises: ValueError if the grids are not nested or the maps do not reach over all cells.
    """
    return stages.decode(
        stages.prepare(maps, is_thing, stride=stride, map_stride=map_stride, numbers=numbers)
    )
