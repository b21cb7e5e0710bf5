"""decode(encode(ground truth)) is the ground truth, up to what the representation loses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.data.coco import open_coco
from atrous.data.shapes import Shapes
from atrous.data.source import Source
from atrous.instances import keypoints as kp
from atrous.instances.fuse import merge
from atrous.instances.keypoints import stages
from atrous.labels import LabelSpace
from atrous.metrics.panoptic import PanopticQuality, PanopticScore
from atrous.types import Parse, Sample


def round_trip(sample: Sample, labels: LabelSpace, stride: int, graph: str = "star") -> Parse:
    """Keypoint maps of the truth, decoded; semantics are the truth at full resolution."""
    numbers, is_thing = kp.KeypointNumbers(decode_stride=stride, graph=graph), labels.is_thing
    maps, _, _ = kp.encode(sample.truth, is_thing, stride=stride, numbers=numbers)
    semantic = labels.semantic(sample.truth)
    grid = semantic[::stride, ::stride]
    things = np.append(is_thing, False)[np.minimum(grid, len(labels))]
    scene = stages.prepare(maps, things, stride=stride, numbers=numbers)
    found, cells = stages.decode(scene)
    height, width = semantic.shape
    return merge(
        cells,
        grid,
        semantic,
        np.ones((height, width), np.float32),
        labels=labels,
        rows=np.arange(height) / stride,
        columns=np.arange(width) / stride,
        elsewhere=lambda at: stages.assign_cells(scene, at, found),
    )


def score(source: Source, *, images: int, stride: int, graph: str = "star") -> PanopticScore:
    quality = PanopticQuality(source.labels)
    for index in range(images):
        sample = source[index]
        quality.update(sample.truth, round_trip(sample, source.labels, stride, graph).labelled)
    return quality.compute()


@pytest.mark.parametrize(
    ("stride", "most", "least_pq"), [(1, 10, 0.98), (1, 40, 0.95), (4, 5, 0.95), (4, 20, 0.90)]
)
def test_round_trip_of_shapes_keeps_panoptic_quality(
    stride: int, most: int, least_pq: float
) -> None:
    images = 2 if stride == 1 else 6
    source = Shapes("val", size_hw=(513, 513), instances=(most, most), count=images)
    assert score(source, images=images, stride=stride).all.pq >= least_pq


def test_round_trip_along_the_rectangle_keeps_panoptic_quality() -> None:
    source = Shapes("val", size_hw=(513, 513), instances=(10, 10), count=4)
    assert score(source, images=4, stride=4, graph="rectangle").all.pq >= 0.95


def test_round_trip_of_car_parts_keeps_panoptic_quality(shared: Path) -> None:
    source = open_coco(shared / "data" / "car_parts_panoptic", "val")
    assert score(source, images=len(source), stride=4).all.pq >= 0.95


def test_round_trip_gives_every_pixel_exactly_one_segment() -> None:
    source = Shapes("val", size_hw=(129, 129))
    parse = round_trip(source[0], source.labels, 4)
    assert sorted(np.unique(parse.panoptic)) == [s.id for s in parse.segments]
    assert sum(s.area for s in parse.segments) == parse.panoptic.size
