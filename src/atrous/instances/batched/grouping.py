"""Expected-OKS and greedy grouping of a batch of images in torch: what `keypoints.grouping` does.

Greedy choice is made by all threads at once: every candidate is completed to an instance first,
then rounds settle which of them stay. Positions are (y, x) in pixels unless a name says cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from atrous.instances.batched.votes import (
    Grids,
    around,
    blend,
    blocks,
    columns,
    finite,
    follow,
    pick,
    sample,
)
from atrous.instances.keypoints import KeypointNumbers
from atrous.instances.keypoints.graph import Graph
from atrous.instances.keypoints.scoring import LEAST_SIDE_PX

ROUNDS = 32
"""Of the parallel greedy choice. A round settles all whose rivals are settled, so this is the
longest chain of candidates of which each hangs on the one before."""


@dataclass(frozen=True, slots=True)
class Paths:
    """From each keypoint to all others by the fewest edges, one new keypoint a step.

    steps      steps[t][kind] is the (source, edge, goal) of step t from a kind
    step_edge  (steps, kinds, 1) the edges of the steps
    edge_goal  (edges,) the keypoint that each edge leads to
    """

    steps: tuple[tuple[tuple[int, int, int], ...], ...]
    step_edge: Tensor
    edge_goal: Tensor


@cache
def paths(graph: Graph, device: torch.device) -> Paths:
    """The paths, with tables that are brought to the device once: to bring them is to wait."""
    steps = tuple(zip(*(_walk(graph, kind) for kind in range(len(graph.keypoints))), strict=True))
    edges = torch.tensor([[[edge] for _, edge, _ in step] for step in steps], device=device)
    goals = torch.tensor([goal for _, goal in graph.edges], device=device)
    return Paths(steps, edges, goals)


def _walk(graph: Graph, kind: int) -> list[tuple[int, int, int]]:
    known, steps = [kind], list[tuple[int, int, int]]()
    while len(known) < len(graph.keypoints):
        near = tuple(known)
        for edge, (source, goal) in enumerate(graph.edges):
            if source in near and goal not in known:
                known.append(goal)
                steps.append((source, edge, goal))
    return steps


@dataclass(frozen=True, slots=True)
class Scorer:
    """Follows middle offsets and scores keypoints by how sure their place is.

    Middle offsets are refined where they are asked for alone, in the four cells of the maps around
    a point: the answer is that of maps refined everywhere.

    heatmap, short, middle  on the grid of the maps, offsets with a dimension of 2 for (y, x)
    votes                   those of the short range, on the grid of the decoding

    Source: PersonLab, section 3.1.3; DeeperLab, section 3.3. See `keypoints.grouping`.
    """

    heatmap: Float32[Tensor, "b k h w"]
    short: Float32[Tensor, "b k 2 h w"]
    middle: Float32[Tensor, "b e 2 h w"]
    votes: Float32[Tensor, "b k h2 w2"]
    grids: Grids
    numbers: KeypointNumbers

    def complete(self, starts: Float64[Tensor, "b k m 2"]) -> Float64[Tensor, "b k*m k 2"]:
        """All keypoints of the instances that candidates of each kind belong to."""
        kinds = starts.shape[1]
        along = paths(self.numbers.joined, starts.device)
        known = [{kind: starts[:, kind]} for kind in range(kinds)]
        for step, edges in zip(along.steps, along.step_edge, strict=True):
            sources = [known[kind][source] for kind, (source, _, _) in enumerate(step)]
            ends = self.lead(edges, torch.stack(sources, dim=1))
            for kind, (_, _, goal) in enumerate(step):
                known[kind][goal] = ends[:, kind]
        whole = [torch.stack([each[k] for k in range(kinds)], dim=2) for each in known]
        return torch.cat(whole, dim=1)

    def lead(
        self, edges: Int64[Tensor, "*n"], points: Float64[Tensor, "b *n 2"]
    ) -> Float64[Tensor, "b *n 2"]:
        """Where the refined middle offsets of edges lead from points."""
        graph, grids = self.numbers.joined, self.grids
        image = self._images(points.ndim - 1)
        goal = paths(graph, points.device).edge_goal[edges]
        plane = image * len(graph.edges) + edges, image * len(graph.keypoints) + goal
        own = grids.of_maps(self.middle)
        cells, shares = around(columns(points / grids.map_stride), own.size_hw, grids.last)
        first = cells[0].double(), cells[1].double()
        at = follow(first, self.middle.flatten(0, 1), plane[0], grids=own)
        for _ in range(self.numbers.refine_steps):
            at = follow(at, self.short.flatten(0, 1), plane[1], grids=own)
        offset = torch.stack([at[0] - first[0], at[1] - first[1]]) * grids.map_stride
        return points + finite(blend(offset, shares)).movedim(0, -1)

    def score(self, points: Float64[Tensor, "b n k 2"]) -> Float64[Tensor, "b n k"]:
        """Expected-OKS in [0, 1] of the keypoints of instances, each of a kind of its own."""
        plane = self._planes(points)
        at = columns(points / self.grids.map_stride)
        sure = finite(sample(self.heatmap.flatten(0, 1)[:, None], plane, at, grids=self.grids))
        area = self._area(points)
        shares = torch.empty_like(area)
        side = self._disk_side()
        for part in blocks(points.shape[1], points[:, 0, :, 0].numel() * side * side):
            shares[:, part] = self._near(points[:, part], area[:, part])
        return sure[0] * shares

    def _near(
        self, points: Float64[Tensor, "b n k 2"], area: Float64[Tensor, "b n k"]
    ) -> Float64[Tensor, "b n k"]:
        """Share of the votes in each disk that lie near its centre, by the falloff; 0 if none."""
        radius, stride = self.numbers.radius_px, self.grids.stride
        steps = torch.arange(self._disk_side(), device=points.device)
        inside, cells, gaps = [], [], []
        for at, size in zip(columns(points), self.grids.size_hw, strict=True):
            line = ((at - radius) / stride).floor()[..., None] + steps
            inside.append((line >= 0) & (line < size))
            cells.append(line.clamp(0, size - 1).long())
            gaps.append((line * stride - at[..., None]) ** 2)
        distance = gaps[0][..., None] + gaps[1][..., None, :]
        disk = inside[0][..., None] & inside[1][..., None, :] & (distance <= radius**2)
        plane = self._planes(points)[..., None, None]
        places = cells[0][..., None], cells[1][..., None, :]
        votes = pick(self.votes.flatten(0, 1)[:, None], plane, places)[0].double().where(disk, 0)
        falloff = torch.exp(-distance / (2 * area * self.numbers.oks_kappa**2)[..., None, None])
        total = votes.sum(dim=(-2, -1))
        near = (votes * falloff).where(disk, 0).sum(dim=(-2, -1))
        return (near / total).where(total > 0, 0)

    def _area(self, points: Float64[Tensor, "b n k 2"]) -> Float64[Tensor, "b n k"]:
        """Area of the box that the middle offsets predict, in square pixels, with a floor.

        Along one edge, a corner sees half of each side on its way to the centre; where there are
        more edges, their ends span the box.
        """
        edges = self.numbers.joined.edges
        every = torch.arange(len(edges), device=points.device)
        ends = self.lead(every, torch.stack([points[:, :, source] for source, _ in edges], dim=2))
        areas = []
        for kind in range(points.shape[2]):
            own = [ends[:, :, edge] for edge, (source, _) in enumerate(edges) if source == kind]
            if len(own) == 1:
                sides = 2 * (own[0] - points[:, :, kind]).abs()
            else:
                sides = torch.stack(own).amax(dim=0) - torch.stack(own).amin(dim=0)
            areas.append(sides.prod(dim=-1).clamp(min=LEAST_SIDE_PX**2))
        return torch.stack(areas, dim=2)

    def _disk_side(self) -> int:
        """Cells that a disk has at most along a side."""
        return int(2 * self.numbers.radius_px / self.grids.stride) + 3

    def _images(self, dims: int) -> Int64[Tensor, "#b *ones"]:
        """The number of each image, (b, 1, ...)."""
        images = torch.arange(len(self.votes), device=self.votes.device)
        return images.view(-1, *[1] * (dims - 1))

    def _planes(self, points: Float64[Tensor, "b n k 2"]) -> Int64[Tensor, "b 1 k"]:
        kinds = torch.arange(points.shape[2], device=points.device)
        return self._images(3) * points.shape[2] + kinds


def ranks(
    heights: Float64[Tensor, "b n"], ties: Int64[Tensor, "b n"] | None = None
) -> Int64[Tensor, "b n"]:
    """The place of each in the order from the highest down; equal ones in the order of `ties`."""
    places = torch.arange(heights.shape[1], device=heights.device).expand(heights.shape)
    order = places if ties is None else ties.argsort(dim=1)
    order = order.gather(1, (-heights.gather(1, order)).argsort(dim=1, stable=True))
    return torch.empty_like(order).scatter_(1, order, places)


def settle(
    rivals: Bool[Tensor, "b n n"], free: Bool[Tensor, "b n"]
) -> tuple[Bool[Tensor, "b n"], Bool[Tensor, " b"]]:
    """The greedy choice: each of the free stays unless an earlier one that stays is its rival.

    rivals  row i: who precedes i in the order and drives it out if it stays itself

    There is one such choice, and a round that changes nothing has found it. Returns it, and for
    each image whether it was found in `ROUNDS` rounds.
    """
    kept, before = free, free
    steps = [*blocks(rivals.shape[1], len(rivals) * rivals.shape[2] // 8)]
    for _ in range(ROUNDS):
        taken = [(rivals[:, part] & kept[:, None]).any(dim=2) for part in steps]
        kept, before = free & ~torch.cat(taken, dim=1), kept
    return kept, (kept == before).all(dim=1)


def near_rivals(
    points: Float64[Tensor, "b n k 2"], rank: Int64[Tensor, "b n"], *, proximity_px: float
) -> Bool[Tensor, "b n n"]:
    """Whether instance j, of a better candidate, has a keypoint near i's candidate.

    The candidates are those of the first kind, then those of the second, ..., equally many of each.

    Source: DeeperLab, section 3.3 (greedy, all types in one queue).
    """
    most = points.shape[1] // points.shape[2]
    rows = []
    for kind in range(points.shape[2]):
        every = points[:, :, kind]
        for part in blocks(most, 4 * every.numel()):
            own = slice(kind * most + part.start, kind * most + part.stop)
            y, x = columns(every[:, own, None] - every[:, None])
            near = (y * y + x * x).sqrt() <= proximity_px
            rows.append(near & (rank[:, None] < rank[:, own, None]))
    return torch.cat(rows, dim=1)


def boxes(points: Float64[Tensor, "b n k 2"]) -> Float64[Tensor, "b n 4"]:
    """Boxes (y0, x0, y1, x1) from the corner keypoints, two corners a side."""
    corners = points[:, :, :4]
    top_left, top_right, bottom_left, bottom_right = corners.unbind(dim=2)
    sides = (
        (top_left[..., 0] + top_right[..., 0]) / 2,
        (top_left[..., 1] + bottom_left[..., 1]) / 2,
        (bottom_left[..., 0] + bottom_right[..., 0]) / 2 + 1,
        (top_right[..., 1] + bottom_right[..., 1]) / 2 + 1,
    )
    return torch.stack(sides, dim=-1)


def box_rivals(
    sides: Float64[Tensor, "b n 4"], rank: Int64[Tensor, "b n"], *, iou: float
) -> Bool[Tensor, "b n n"]:
    """Whether box j is better than i and overlaps it by more than `iou`."""
    low, high = sides[..., :2], sides[..., 2:]
    area = (high - low).prod(dim=-1)
    rows = []
    for part in blocks(sides.shape[1], sides.numel()):
        top = torch.maximum(low[:, part, None], low[:, None])
        bottom = torch.minimum(high[:, part, None], high[:, None])
        shared = (bottom - top).clamp(min=0).prod(dim=-1)
        union = area[:, None] + area[:, part, None] - shared
        rows.append((shared / union > iou) & (rank[:, None] < rank[:, part, None]))
    return torch.cat(rows, dim=1)
