from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from atrous.data.shapes import Shapes
from atrous.instances import keypoints as kp
from atrous.instances.keypoints.graph import GRAPHS
from atrous.instances.merging import merged_boxes, merged_keypoints
from atrous.tensors import Frame, Grid, KeypointMaps, Maps, View
from atrous.types import Labelled

STRIDE = 4


def seen(truth: Labelled, frame: Frame, graph: str) -> View:
    """A view whose maps say the truth."""
    is_thing = Shapes("val", size_hw=(65, 65)).labels.is_thing
    numbers = kp.KeypointNumbers(graph=graph)
    maps, _, _ = kp.encode(truth, is_thing, stride=STRIDE, numbers=numbers)
    offsets = (
        torch.from_numpy(values).flatten(0, 1)[None]
        for values in (maps.short, maps.middle, maps.long)
    )
    heat = torch.logit(torch.from_numpy(maps.heatmap)[None] * 0.8 + 0.1)
    logits = torch.zeros(1, 7, *maps.heatmap.shape[1:])
    return View(Maps(logits, STRIDE, keypoints=KeypointMaps(heat, *offsets)), frame)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_mirror_image_says_the_same_as_the_image(graph: str) -> None:
    truth = Shapes("val", size_hw=(65, 97))[0].truth
    mirrored = Labelled(np.ascontiguousarray(truth.ids[:, ::-1]), truth.regions)
    size = (65, 97)
    frames = [Frame(size, size, size, flipped=flipped) for flipped in (False, True)]
    plain, twin = seen(truth, frames[0], graph), seen(mirrored, frames[1], graph)
    alone = merged_keypoints([plain], GRAPHS[graph])
    from_twin = merged_keypoints([twin, twin], GRAPHS[graph])
    for name in ("heatmap", "short", "middle", "long"):
        ours, theirs = getattr(from_twin, name), getattr(alone, name)
        assert ours.shape == theirs.shape
        same = (ours - theirs).abs() < 1e-3
        assert float(same.float().mean()) > 0.995  # of two disks that touch, either owns the middle


def pointing(
    goal_yx: tuple[float, float], size_hw: tuple[int, int], at_hw: tuple[int, int]
) -> Tensor:
    """(2, h, w) offsets to a point of an image, as its copy of size `at_hw` has them."""
    goal = [(g + 0.5) * m / n - 0.5 for g, n, m in zip(goal_yx, size_hw, at_hw, strict=True)]
    cells = np.indices([(n - 1) // STRIDE + 1 for n in at_hw]) * STRIDE
    return torch.from_numpy(np.array(goal)[:, None, None] - cells).float()


def test_offsets_of_another_scale_point_to_the_same_place() -> None:
    size, graph = (65, 97), GRAPHS["star"]
    views = []
    for scaled in ((65, 97), (129, 193), (33, 49)):
        to = pointing((20.0, 70.0), size, scaled)
        maps = KeypointMaps(
            torch.zeros(1, 5, *to.shape[1:]),
            to.repeat(5, 1, 1)[None],
            to.repeat(8, 1, 1)[None],
            to.repeat(5, 1, 1)[None],
        )
        logits = torch.zeros(1, 3, *to.shape[1:])
        views.append(View(Maps(logits, STRIDE, keypoints=maps), Frame(size, scaled, scaled)))
    merged, expected = merged_keypoints(views, graph), pointing((20.0, 70.0), size, size)
    inner = (slice(1, -1), slice(1, -1))
    for name in ("short", "middle", "long"):
        for pair in getattr(merged, name)[0].split(2):
            assert float((pair - expected)[(slice(None), *inner)].abs().max()) < 1e-3


def test_boxes_of_mirrored_and_scaled_views_are_those_of_the_image() -> None:
    size, mean_of, std = (65, 97), (0.0, 0.0, 30.0, 40.0), (10.0, 10.0, 5.0, 7.0)
    views = []
    for scaled, flipped in (((65, 97), False), ((65, 97), True), ((129, 193), False)):
        zoom = [m / n for m, n in zip(scaled, size, strict=True)]
        to = pointing((20.0, 26.0 if flipped else 70.0), size, scaled)
        sides = torch.tensor([24 * zoom[0], 50 * zoom[1]]).reshape(2, 1, 1).expand_as(to)
        pixels = torch.cat([to, sides])
        values = (pixels - torch.tensor(mean_of)[:, None, None]) / torch.tensor(std)[:, None, None]
        maps = Maps(torch.zeros(1, 3, *to.shape[1:]), STRIDE, boxes=values.repeat(2, 1, 1)[None])
        views.append(View(maps, Frame(size, scaled, scaled, flipped=flipped)))
    grid = Grid(np.arange(4.0, 60), np.arange(4.0, 90), size)
    for some in ([views[1]], views[:2], views):
        found = merged_boxes([views[0], *some], grid, mean_of=mean_of, std=std)
        one = merged_boxes([views[0]], grid, mean_of=mean_of, std=std)
        assert float((found - one).abs().max()) < 1e-3


def test_maps_without_keypoints_or_boxes_are_refused() -> None:
    view = View(Maps(torch.zeros(1, 3, 3, 3), STRIDE), Frame((9, 9), (9, 9), (9, 9)))
    with pytest.raises(ValueError, match="no keypoints"):
        merged_keypoints([view], GRAPHS["star"])
    with pytest.raises(ValueError, match="no boxes"):
        merged_boxes([view], Grid.of((9, 9)), mean_of=(0,) * 4, std=(1,) * 4)
