"""DeeperLab's keypoint representation of instances, both ways: encode and decode.

Keypoints stand for an instance: the corners of its tight box, and its centre of mass if they are
joined by the star. Arrays of offsets are (keypoint, 2, h, w), (y, x), in pixels of the network's
input; cell (i, j) of a map lies on pixel (stride * i, stride * j).

Source: DeeperLab, section 3.3; what it leaves open follows PersonLab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from atrous.instances import grouping, voting
from atrous.instances.graph import GRAPHS, Graph, boxes
from atrous.types import FloatMap, IdMap, Labelled, require_positive


@dataclass(frozen=True, slots=True)
class KeypointNumbers:
    """The numbers of encoding and decoding; they travel in the checkpoint.

    radius_px         of a keypoint's disk, in pixels of the network's input
    decode_stride     grid of the votes: 4, or 1 for full resolution
    refine_steps      rounds of offset refinement
    refine_long_self  whose long offsets refine themselves: "none", "center" or "all"; corners lie
                      outside of the mask, where long offsets are not trained
    vote_weights      of the short-range and the long-range Hough map
    peak_threshold, peaks   least height and largest number of keypoint candidates of a type
    oks_kappa         falloff of Expected-OKS
    proximity_px      a candidate this close to a grouped keypoint of its type starts no instance
    nms_iou           a box that overlaps a better one by more is dropped
    instances         largest number of instances
    graph             how keypoints are joined: "star", or "rectangle", which has no centre

    A network has learnt what `learnt` names: with other values its offsets mean nothing.
    """

    learnt: ClassVar[tuple[str, ...]] = ("radius_px", "graph")

    radius_px: float = 25.0
    decode_stride: int = 4
    refine_steps: int = 2
    refine_long_self: str = "center"
    vote_weights: tuple[float, float] = (0.5, 0.5)
    peak_threshold: float = 0.1
    peaks: int = 200
    oks_kappa: float = 0.1
    proximity_px: float = 10.0
    nms_iou: float = 0.5
    instances: int = 100
    graph: str = "star"

    def __post_init__(self) -> None:
        if self.refine_long_self not in ("none", "center", "all"):
            raise ValueError(
                f"refine_long_self is {self.refine_long_self!r}: it can be none, center or all"
            )
        if self.decode_stride not in (1, 4):
            raise ValueError(f"decode_stride is {self.decode_stride}: it can be 1 or 4")
        require_positive(peaks=self.peaks)
        if self.radius_px <= 0 or self.oks_kappa <= 0:
            raise ValueError("radius_px and oks_kappa must be above 0")
        for name in ("refine_steps", "peak_threshold", "proximity_px", "nms_iou", "instances"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if self.graph not in GRAPHS:
            raise ValueError(f"graph is {self.graph!r}: it can be {' or '.join(GRAPHS)}")

    @property
    def joined(self) -> Graph:
        """The graph itself."""
        return GRAPHS[self.graph]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Keypoint maps, as targets (heatmap 0 or 1) or as a network's answer (probabilities).

    heatmap (k, h, w), short (k, 2, h, w), middle (edges, 2, h, w), long (k, 2, h, w), float32
    """

    heatmap: FloatMap
    short: FloatMap
    middle: FloatMap
    long: FloatMap


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances found: `points` (n, k, 2) (y, x) in pixels, `scores` (n,), best first."""

    points: NDArray[np.float64]
    scores: NDArray[np.float64]


def locate(ids: IdMap, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Keypoints (n, 5, 2) of the ids `wanted`: box corners and mean pixel of what is visible.

    Source: DeeperLab, section 3.3. Raises: ValueError if a wanted id has no pixel.
    """
    points = np.empty((len(wanted), 5, 2), dtype=np.float32)
    order = np.argsort(ids, axis=None, kind="stable")
    ordered = ids.ravel()[order]
    starts = np.searchsorted(ordered, wanted, side="left")
    stops = np.searchsorted(ordered, wanted, side="right")
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if start == stop:
            raise ValueError(f"id {wanted[row]} has no pixel: leave it out")
        yx = np.stack(np.divmod(order[start:stop], ids.shape[1]), axis=1)
        (y0, x0), (y1, x1) = yx.min(axis=0), yx.max(axis=0)
        points[row] = ((y0, x0), (y0, x1), (y1, x0), (y1, x1), yx.mean(axis=0))
    return points


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
    points = locate(truth.ids, wanted)[:, : len(graph.keypoints)]
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
    maps: Encoded, is_thing: NDArray[np.bool_], *, stride: int, numbers: KeypointNumbers
) -> tuple[Instances, NDArray[np.int32]]:
    """Instances, and the index of the instance of each cell (-1 without any instance).

    is_thing  (h, w) cells that are predicted as things: only they cast long-range votes

    Source: DeeperLab, section 3.3 and figure 4.
    """
    middle, long = _refine(maps, stride=stride, numbers=numbers)
    short_votes, votes = _hough(maps, long, is_thing, stride=stride, numbers=numbers)
    candidates = grouping.candidates(
        votes,
        most=numbers.peaks,
        threshold=numbers.peak_threshold,
        stride=stride,
    )
    scorer = grouping.ExpectedOKS(
        heatmap=maps.heatmap,
        votes=short_votes,
        middle=middle,
        edges=numbers.joined.edges,
        stride=stride,
        radius_px=numbers.radius_px,
        kappa=numbers.oks_kappa,
    )
    points, scores = grouping.group(candidates, scorer, proximity_px=numbers.proximity_px)
    kept = _suppress(points, scores, numbers)
    found = Instances(points[kept], scores[kept])
    return found, assign(long, found.points, stride=stride)


def _refine(maps: Encoded, *, stride: int, numbers: KeypointNumbers) -> tuple[FloatMap, FloatMap]:
    """Middle and long offsets, led on by the more exact offsets at the place they point to."""
    middle, long = maps.middle.copy(), maps.long.copy()
    graph = numbers.joined
    selves = {"none": (), "center": graph.centres, "all": range(len(graph.keypoints))}
    for _ in range(numbers.refine_steps):
        for edge, (_, goal) in enumerate(graph.edges):
            middle[edge] = voting.follow(middle[edge], maps.short[goal], stride=stride)
    for _ in range(numbers.refine_steps):
        for kind in selves[numbers.refine_long_self]:
            long[kind] = voting.follow(long[kind], maps.long[kind], stride=stride)
    for _ in range(numbers.refine_steps):
        for kind in range(len(long)):
            long[kind] = voting.follow(long[kind], maps.short[kind], stride=stride)
    return middle, long


def _hough(
    maps: Encoded,
    long: FloatMap,
    is_thing: NDArray[np.bool_],
    *,
    stride: int,
    numbers: KeypointNumbers,
) -> tuple[FloatMap, FloatMap]:
    """The short-range Hough maps, and the fused ones, both (k, h, w) and divided by a disk's area.

    # Deviates: the weights of the fusion are not in the paper; long votes are clipped at 1.
    """
    disk = np.pi * (numbers.radius_px / stride) ** 2
    short_votes = np.stack(
        [
            voting.hough(maps.short[kind], maps.heatmap[kind], stride=stride) / disk
            for kind in range(len(long))
        ]
    ).astype(np.float32)
    thing = is_thing.astype(np.float32)
    long_votes = np.stack(
        [voting.hough(long[kind], thing, stride=stride) / disk for kind in range(len(long))]
    )
    by_short, by_long = numbers.vote_weights
    fused = by_short * short_votes + by_long * np.minimum(long_votes, 1)
    return short_votes, fused.astype(np.float32)


def _suppress(
    points: NDArray[np.float64], scores: NDArray[np.float64], numbers: KeypointNumbers
) -> NDArray[np.int64]:
    """Indices of the instances that stay, best first. Source: DeeperLab, section 3.3."""
    box = boxes(points)
    solid = np.flatnonzero((box[:, 2:] - box[:, :2] >= 1).all(axis=1))
    kept = voting.suppress_boxes(box[solid], scores[solid], iou=numbers.nms_iou)
    return solid[kept][: numbers.instances]


def assign(long: FloatMap, points: NDArray[np.float64], *, stride: int) -> NDArray[np.int32]:
    """(h, w) index of the instance whose keypoints are nearest to where a cell points, or -1.

    Source: DeeperLab, section 3.3: least Euclidean distance over all keypoints at once.
    """
    height, width = long.shape[2:]
    here = voting.cells((height, width)) * np.float32(stride)
    goals = (long + here).reshape(-1, height, width)
    best = np.full((height, width), -1, dtype=np.int32)
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    for index, point in enumerate(points.astype(np.float32)):
        distance = ((goals - point.reshape(-1, 1, 1)) ** 2).sum(axis=0)
        closer = distance < nearest
        best[closer], nearest[closer] = index, distance[closer]
    return best
