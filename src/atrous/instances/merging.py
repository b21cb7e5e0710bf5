"""Keypoint maps and boxes of several views, as if one view of the whole image had them.

Offsets are in pixels of a view's input: they are brought to the scale of the first view, and
mirrored back where a view was mirrored. A mirrored image has its left keypoints on the right.

Source: ours; the papers take the mean of classes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from atrous.instances.keypoints import Encoded
from atrous.instances.keypoints.graph import Graph
from atrous.tensors import Frame, Grid, KeypointMaps, View
from atrous.views.mean import Twins, mean, sampled


def merged_keypoints(views: Sequence[View], graph: Graph) -> KeypointMaps:
    """Keypoint maps of the whole image at the scale of the first view; the heatmap in [0, 1].

    Cell (i, j) lies on pixel (stride * i, stride * j) of that scaled image.

    Raises: ValueError if the maps have no keypoints.
    """
    if any(view.maps.keypoints is None for view in views):
        raise ValueError("these maps have no keypoints: they are not DeeperLab's")
    if len(views) == 1:
        maps = views[0].maps.keypoints
        assert maps is not None
        heat = maps.heatmap.float().sigmoid()
        return KeypointMaps(heat, maps.short.float(), maps.middle.float(), maps.long.float())
    whole_hw = views[0].frame.resized_hw
    grid = Grid.covering(whole_hw, stride=views[0].maps.stride)

    def of_twins(twins: Twins, part: Grid) -> Tensor:
        return torch.stack([_upright(view, part, graph, whole_hw) for view in twins]).mean(dim=0)

    k, e = len(graph.keypoints), len(graph.edges)
    parts = mean(views, grid, of_twins).split([k, 2 * k, 2 * e, 2 * k])
    return KeypointMaps(*(part[None] for part in parts))


def _upright(
    view: View, grid: Grid, graph: Graph, whole_hw: tuple[int, int]
) -> Float[Tensor, "c m n"]:
    """All keypoint maps of a view, one after the other, as the whole image would have them."""
    maps, at = view.maps.keypoints, view.cells(grid)
    assert maps is not None
    kinds, links = _twins_of(graph) if view.frame.flipped else (slice(None), slice(None))
    y, x = _zoom(view.frame, whole_hw)

    def offsets(values: Tensor, order: NDArray[np.int64] | slice) -> Tensor:
        found = sampled(values, *at)
        pairs = found.reshape(-1, 2, *found.shape[1:])[order]
        return (pairs * pairs.new_tensor([y, x]).reshape(1, 2, 1, 1)).flatten(0, 1)

    heat = sampled(maps.heatmap, *at).sigmoid()[kinds]
    rest = ((maps.short, kinds), (maps.middle, links), (maps.long, kinds))
    return torch.cat([heat, *(offsets(values, order) for values, order in rest)])


def _zoom(frame: Frame, whole_hw: tuple[int, int]) -> tuple[float, float]:
    """What makes offsets of a view those of the whole image, down and to the right."""
    y, x = (whole / seen for whole, seen in zip(whole_hw, frame.resized_hw, strict=True))
    return y, -x if frame.flipped else x


def _twins_of(graph: Graph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which keypoint, and which edge, of a mirrored image stands for each one of the image."""
    swap = {"left": "right", "right": "left"}
    mirrored = [" ".join(swap.get(w, w) for w in name.split()) for name in graph.keypoints]
    kinds = [graph.keypoints.index(name) for name in mirrored]
    edges = [graph.edges.index((kinds[a], kinds[b])) for a, b in graph.edges]
    return np.array(kinds), np.array(edges)


def merged_boxes(
    views: Sequence[View], grid: Grid, *, mean_of: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "things*4 m n"]:
    """FCRN's standardised boxes on a grid of the scaled image of the first view.

    mean_of, std  what the values (y, x, height, width) were standardised with

    Raises: ValueError if the maps have no boxes.
    """
    whole_hw = views[0].frame.resized_hw

    def of_twins(twins: Twins, part: Grid) -> Tensor:
        return torch.stack([upright(view, part) for view in twins]).mean(dim=0)

    def upright(view: View, part: Grid) -> Tensor:
        if view.maps.boxes is None:
            raise ValueError("these maps have no boxes: they are not FCRN's")
        found = sampled(view.maps.boxes, *view.cells(part))
        y, x = _zoom(view.frame, whole_hw)
        shape = (1, 4, 1, 1)
        centre, spread = (found.new_tensor(n).reshape(shape) for n in (mean_of, std))
        zoom = found.new_tensor([y, x, y, abs(x)]).reshape(shape)
        pixels = found.reshape(-1, 4, *found.shape[1:]) * spread + centre
        return ((pixels * zoom - centre) / spread).flatten(0, 1)

    return mean(views, grid, of_twins)


def encoded(maps: KeypointMaps) -> Encoded:
    """The maps of one image as the decoder reads them; the same memory, if it is the CPU's."""

    def plane(x: Tensor, *inner: int) -> NDArray[np.float32]:
        array: NDArray[np.float32] = x[0].cpu().numpy()
        return array.reshape(-1, *inner, *array.shape[-2:])

    return Encoded(
        plane(maps.heatmap), plane(maps.short, 2), plane(maps.middle, 2), plane(maps.long, 2)
    )
