"""DeeperLab's decoding and fusion in plain numpy: what the kernels are held to.

Offsets are refined on the grid of the maps; then all maps are brought to that of the decoding, and
everything is done on all of its cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.instances.keypoints import Encoded, Instances, KeypointNumbers
from atrous.instances.keypoints.graph import boxes
from atrous.labels import LabelSpace
from atrous.types import ClassMap, FloatMap, Parse, Segment

LEAST_SIDE_PX = 32.0
OTHER_CLASS, NO_THING = 16.0, 64.0
Floats = NDArray[np.float64]
Index = NDArray[np.int32]


def decode(
    maps: Encoded,
    is_thing: NDArray[np.bool_],
    *,
    stride: int,
    map_stride: int,
    numbers: KeypointNumbers,
) -> tuple[Instances, Index]:
    """Instances, and the index of the nearest one of every cell (-1 without any)."""
    middle, long = refine(maps, stride=map_stride, numbers=numbers)
    refined = Encoded(maps.heatmap, maps.short, middle, long)
    maps = upsample(refined, is_thing.shape, stride=stride, map_stride=map_stride)
    middle, long = maps.middle, maps.long
    short_votes, votes = hough(maps, long, is_thing, stride=stride, numbers=numbers)
    kinds, points = candidates(votes, stride=stride, numbers=numbers)
    scorer = Scorer(maps.heatmap, short_votes, middle, stride, numbers)
    found, scores = group(kinds, points, scorer)
    kept = suppress(found, scores, numbers)
    answer = Instances(found[kept], scores[kept])
    return answer, assign(long, answer.points, stride=stride)


def upsample(maps: Encoded, size_hw: tuple[int, int], *, stride: int, map_stride: int) -> Encoded:
    """Maps on the grid of the decoding: cell i lies on pixel stride * i, of a map as of this."""
    at = cells(size_hw).reshape(2, -1).T.astype(np.float64) * stride / map_stride

    def plane(values: FloatMap) -> FloatMap:
        flat = values.reshape(-1, *values.shape[-2:])
        return sample(flat, at).reshape(*values.shape[:-2], *size_hw)

    return Encoded(plane(maps.heatmap), plane(maps.short), plane(maps.middle), plane(maps.long))


def sample(values: FloatMap, at_yx: Floats) -> NDArray[np.float32]:
    """Bilinear samples (c, n) of a map (c, h, w) at cell positions (n, 2); outside, the border."""
    height, width = values.shape[1:]
    at_yx = np.nan_to_num(at_yx, posinf=1e30, neginf=-1e30)
    y, x = np.clip(at_yx[:, 0], 0, height - 1), np.clip(at_yx[:, 1], 0, width - 1)
    i = y.astype(np.int64)
    j = x.astype(np.int64)
    down, along = (y - i).astype(np.float32), (x - j).astype(np.float32)
    below, right = np.minimum(i + 1, height - 1), np.minimum(j + 1, width - 1)
    upper = between(values[:, i, j], values[:, i, right], along)
    lower = between(values[:, below, j], values[:, below, right], along)
    return between(upper, lower, down)


def between(first: FloatMap, second: FloatMap, part: FloatMap) -> FloatMap:
    """Values between two; at the first one it does not matter what the second one is."""
    with np.errstate(invalid="ignore", over="ignore"):
        mixed = first * (1 - part) + second * part
    return np.where(part == 0, first, mixed).astype(np.float32)


def finite(values: FloatMap) -> FloatMap:
    """The values, and 0 for what is no number: such an offset moves nothing."""
    return np.where(np.isfinite(values), values, np.float32(0))


def cells(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(2, h, w) row and column of every cell."""
    return np.indices(size_hw, dtype=np.float32)


def goals(offsets: FloatMap, *, stride: int) -> Floats:
    """(h * w, 2) positions, in cells, that the offsets of all cells point to."""
    here = cells((offsets.shape[1], offsets.shape[2]))
    return np.asarray((here + offsets / stride).reshape(2, -1).T, dtype=np.float64)


def follow(offsets: FloatMap, onward: FloatMap, *, stride: int) -> FloatMap:
    """Offsets plus the `onward` offsets found where they point to."""
    found = finite(sample(onward, goals(offsets, stride=stride)))
    return offsets + found.reshape(offsets.shape)


def refine(maps: Encoded, *, stride: int, numbers: KeypointNumbers) -> tuple[FloatMap, FloatMap]:
    """Middle and long offsets, led on by the more exact offsets at the place they point to."""
    middle, long = finite(maps.middle), maps.long.copy()
    graph = numbers.joined
    selves = {"none": (), "center": graph.centres, "all": range(len(graph.keypoints))}
    for _ in range(numbers.refine_steps):
        for edge, (_, goal) in enumerate(graph.edges):
            middle[edge] = follow(middle[edge], maps.short[goal], stride=stride)
    for _ in range(numbers.refine_steps):
        for kind in selves[numbers.refine_long_self]:
            long[kind] = follow(long[kind], maps.long[kind], stride=stride)
    for _ in range(numbers.refine_steps):
        for kind in range(len(long)):
            long[kind] = follow(long[kind], maps.short[kind], stride=stride)
    return middle, long


def hough(
    maps: Encoded,
    long: FloatMap,
    is_thing: NDArray[np.bool_],
    *,
    stride: int,
    numbers: KeypointNumbers,
) -> tuple[FloatMap, FloatMap]:
    """The short-range and the fused Hough maps, (k, h, w), divided by a disk's area."""
    disk = np.pi * (numbers.radius_px / stride) ** 2
    heat = np.where(maps.heatmap >= numbers.least_heat, finite(maps.heatmap), np.float32(0))
    thing = is_thing.astype(np.float32)
    pairs = zip(maps.short, heat, strict=True)
    short = np.stack([cast(o, h, stride=stride) for o, h in pairs]) / disk
    wide = np.stack([cast(o, thing, stride=stride) for o in long]) / disk
    by_short, by_long = numbers.vote_weights
    short_votes = short.astype(np.float32)
    fused = by_short * short_votes + by_long * np.minimum(wide, 1)
    return short_votes, fused.astype(np.float32)


def cast(offsets: FloatMap, weight: FloatMap, *, stride: int) -> Floats:
    """(h, w) sums of the weights that each cell's offset casts, shared among four cells."""
    height, width = weight.shape
    at = goals(offsets, stride=stride)
    inner = (at > -1) & (at < np.array([height, width]))  # not for what is no number
    voters = np.flatnonzero((weight.ravel() != 0) & inner.all(axis=1))
    low = np.floor(at[voters]).astype(np.int64)
    part = at[voters] - low
    votes = np.zeros((height + 2, width + 2))
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
        where = low[:, 0] + down + 1, low[:, 1] + right + 1
        np.add.at(votes, where, share * weight.ravel()[voters])
    return votes[1:-1, 1:-1]


def candidates(
    votes: FloatMap, *, stride: int, numbers: KeypointNumbers
) -> tuple[NDArray[np.int64], Floats]:
    """Kinds (n,) and places (n, 2) in pixels of the maxima of the Hough maps, best first a kind."""
    tops = [peaks(v, threshold=numbers.peak_threshold, most=numbers.peaks) for v in votes]
    places = [centroid(*pair) * stride for pair in zip(votes, tops, strict=True)]
    return np.repeat(np.arange(len(votes)), [len(t) for t in tops]), np.concatenate(places)


def peaks(votes: FloatMap, *, threshold: float, most: int) -> NDArray[np.int64]:
    """(n, 2) cells above the threshold that no neighbour exceeds, highest first."""
    height, width = votes.shape
    padded = np.pad(votes, 1, constant_values=-np.inf)
    windows = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    is_peak = (votes > threshold) & (votes >= np.maximum.reduce(windows))
    order = np.argsort(-votes[is_peak], kind="stable")[:most]
    return np.argwhere(is_peak)[order]


def centroid(votes: FloatMap, peaks_yx: NDArray[np.int64]) -> Floats:
    """(n, 2) mean positions, in cells, of the votes in the 3x3 neighbourhood of each cell."""
    padded = np.pad(votes, 1).astype(np.float64)
    total, moment = np.zeros(len(peaks_yx)), np.zeros((len(peaks_yx), 2))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            height = padded[peaks_yx[:, 0] + 1 + down, peaks_yx[:, 1] + 1 + right]
            total += height
            moment += height[:, None] * np.array([down, right])
    return peaks_yx + moment / np.maximum(total, 1e-12)[:, None]


class Scorer:
    """Expected-OKS of keypoints, and the steps along the graph."""

    def __init__(
        self,
        heatmap: FloatMap,
        votes: FloatMap,
        middle: FloatMap,
        stride: int,
        numbers: KeypointNumbers,
    ) -> None:
        self.heatmap, self.votes, self.middle = heatmap, votes, middle
        self.stride, self.numbers, self.edges = stride, numbers, numbers.joined.edges

    def step(self, edge: int, point: Floats) -> Floats:
        """Where the middle offset of an edge leads from a point."""
        offset = sample(self.middle[edge], point[None] / self.stride)[:, 0]
        return np.asarray(point + finite(offset), dtype=np.float64)

    def score(self, kind: int, point: Floats) -> float:
        """Expected-OKS of a keypoint, in [0, 1]."""
        squares, votes = self.disk(kind, point)
        total = votes.sum()
        if total <= 0:
            return 0.0
        falloff = np.exp(-squares / (2 * self.area(kind, point) * self.numbers.oks_kappa**2))
        sure = finite(sample(self.heatmap[kind][None], point[None] / self.stride))[0, 0]
        return float(sure * (votes * falloff).sum() / total)

    def disk(self, kind: int, point: Floats) -> tuple[Floats, FloatMap]:
        """Squared distances, in pixels, and votes of the cells in a keypoint's disk."""
        here = cells(self.votes.shape[1:]).astype(np.float64) * self.stride
        squares = ((here - point[:, None, None]) ** 2).sum(axis=0)
        inside = squares <= self.numbers.radius_px**2
        return squares[inside], self.votes[kind][inside]

    def area(self, kind: int, point: Floats) -> float:
        """Area of the box that the middle offsets predict, in square pixels, with a floor."""
        ends = np.array([self.step(e, point) for e, (a, _) in enumerate(self.edges) if a == kind])
        sides = 2 * np.abs(ends[0] - point) if len(ends) == 1 else np.ptp(ends, axis=0)
        return max(float(np.prod(sides)), LEAST_SIDE_PX**2)


def group(kinds: NDArray[np.int64], points: Floats, scorer: Scorer) -> tuple[Floats, Floats]:
    """Instances (n, kinds, 2) and their mean keypoint scores (n,), in the order of their making."""
    most = len(scorer.heatmap)
    scores = np.array([scorer.score(int(k), p) for k, p in zip(kinds, points, strict=True)])
    taken, means = np.zeros((0, most, 2)), []
    for index in np.argsort(-scores, kind="stable"):
        kind, point = int(kinds[index]), points[index]
        gaps = np.linalg.norm(taken[:, kind] - point, axis=1)
        if scores[index] <= 0 or (gaps <= scorer.numbers.proximity_px).any():
            continue
        joined = complete(kind, point, scorer)
        taken = np.concatenate([taken, joined[None]])
        means.append(np.mean([scorer.score(k, p) for k, p in enumerate(joined)]))
    return taken, np.array(means, dtype=np.float64)


def complete(kind: int, point: Floats, scorer: Scorer) -> Floats:
    """All keypoints of the instance that one of them belongs to, by the fewest edges to each."""
    points = {kind: point}
    while len(points) < len(scorer.heatmap):
        near = dict(points)
        for edge, (source, goal) in enumerate(scorer.edges):
            if source in near and goal not in points:
                points[goal] = scorer.step(edge, near[source])
    return np.stack([points[k] for k in range(len(scorer.heatmap))])


def suppress(points: Floats, scores: Floats, numbers: KeypointNumbers) -> NDArray[np.int64]:
    """Indices of the instances that stay, best first."""
    box = boxes(points)
    solid = np.flatnonzero((box[:, 2:] - box[:, :2] >= 1).all(axis=1))
    kept: list[int] = []
    for index in solid[np.argsort(-scores[solid], kind="stable")]:
        if all(overlap(box[index], box[rival]) <= numbers.nms_iou for rival in kept):
            kept.append(int(index))
    return np.array(kept[: numbers.instances], dtype=np.int64)


def overlap(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def distances(long: FloatMap, points: Floats, *, stride: int) -> NDArray[np.float64]:
    """(n, h, w) squared distance from where a cell points, over all keypoints, to an instance."""
    here = cells((long.shape[2], long.shape[3])) * np.float32(stride)
    places = (long + here).reshape(-1, *long.shape[2:]).astype(np.float64)
    gaps = places[None] - points.reshape(len(points), -1, 1, 1)
    return np.asarray((gaps**2).sum(axis=1), dtype=np.float64)


def assign(long: FloatMap, points: Floats, *, stride: int) -> Index:
    """(h, w) index of the instance whose keypoints are nearest to where a cell points, or -1."""
    if not len(points):
        return np.full(long.shape[2:], -1, dtype=np.int32)
    squares = distances(long, points, stride=stride)
    nobody = ~np.isfinite(squares).all(axis=0)
    best: Index = np.where(np.isnan(squares), np.inf, squares).argmin(axis=0).astype(np.int32)
    best[nobody] = -1
    return best


def to_pixels(
    cells_index: Index,
    cell_class: ClassMap,
    pixel_class: ClassMap,
    *,
    is_thing: NDArray[np.bool_],
    rows: Floats,
    columns: Floats,
) -> Index:
    """Instance index of every thing pixel, taken from the best of the four cells around it."""
    pixels = np.zeros(pixel_class.shape, dtype=np.int32) - 1
    known = np.append(is_thing, False)
    last = len(is_thing)
    where = np.nonzero(known[np.minimum(pixel_class, last)])
    y, x, own = rows[where[0]], columns[where[1]], pixel_class[where]
    least = np.full(len(y), np.inf)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i = np.minimum(np.floor(y).astype(np.int64) + down, cells_index.shape[0] - 1)
        j = np.minimum(np.floor(x).astype(np.int64) + right, cells_index.shape[1] - 1)
        there = cell_class[i, j]
        cost = (y - i) ** 2 + (x - j) ** 2 + OTHER_CLASS * (there != own)
        cost += NO_THING * ~known[np.minimum(there, last)]
        better = cost < least
        least[better] = cost[better]
        pixels[where[0][better], where[1][better]] = cells_index[i, j][better]
    return pixels


def fuse(semantic: ClassMap, confidence: FloatMap, instance: Index, *, labels: LabelSpace) -> Parse:
    """The parse of an image from its classes and instance indices (-1 = none), all (h, w)."""
    panoptic = np.zeros(semantic.shape, dtype=np.int32)
    segments: list[Segment] = []
    taken = (instance >= 0) & (semantic < len(labels))

    def add(mask: NDArray[np.bool_]) -> None:
        panoptic[mask] = len(segments) + 1
        class_id = int(np.bincount(semantic[mask]).argmax())
        rows, columns = np.nonzero(mask)
        segments.append(
            Segment(
                id=len(segments) + 1,
                class_id=class_id,
                name=labels[class_id].name,
                is_thing=labels[class_id].is_thing,
                score=round(float(confidence[mask].astype(np.float64).mean()), 4),
                area=len(rows),
                box=(
                    int(rows.min()),
                    int(columns.min()),
                    int(rows.max()) + 1,
                    int(columns.max()) + 1,
                ),
            )
        )

    for index in np.unique(instance[taken]):
        add(taken & (instance == index))
    for class_id in np.unique(semantic[~taken & (semantic < len(labels))]):
        add(~taken & (semantic == class_id))
    return Parse(panoptic, semantic, confidence, tuple(segments))
