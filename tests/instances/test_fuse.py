from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.instances.fuse import fuse, to_pixels
from atrous.labels import Label, LabelSpace

LABELS = LabelSpace(
    (
        Label("cat", (1, 2, 3), True, 1),
        Label("dog", (4, 5, 6), True, 2),
        Label("sky", (7, 8, 9), False, 3),
    )
)


def sure(size_hw: tuple[int, int]) -> np.ndarray:
    return np.full(size_hw, 0.5, dtype=np.float32)


@given(
    arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 255])),
    arrays(np.int32, (4, 6), elements=st.integers(0, 2)),
)
def test_merge_gives_every_pixel_exactly_one_segment(
    semantic: np.ndarray, instance: np.ndarray
) -> None:
    instance = np.where(semantic < 2, instance, -1).astype(np.int32)
    parse = fuse(semantic, sure(semantic.shape), instance, labels=LABELS)
    assert np.array_equal(parse.panoptic == 0, semantic == 255)
    ids, areas = np.unique(parse.panoptic[parse.panoptic > 0], return_counts=True)
    assert ids.tolist() == [s.id for s in parse.segments]
    assert areas.tolist() == [s.area for s in parse.segments]
    for segment in parse.segments:
        rows, columns = np.nonzero(parse.panoptic == segment.id)
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        assert segment.box == box


def test_an_instance_has_the_class_of_most_of_its_pixels_and_the_lowest_on_a_tie() -> None:
    semantic = np.array([[1, 1, 0, 0, 1, 2]], dtype=np.uint8)
    instance = np.array([[0, 0, 0, 1, 1, -1]], dtype=np.int32)
    parse = fuse(semantic, sure((1, 6)), instance, labels=LABELS)
    assert [(s.name, s.area) for s in parse.segments] == [("dog", 3), ("cat", 2), ("sky", 1)]


def test_without_instances_each_thing_class_is_one_segment() -> None:
    semantic = np.array([[0, 1, 0, 2]], dtype=np.uint8)
    none = np.full((1, 4), -1, dtype=np.int32)
    parse = fuse(semantic, sure((1, 4)), none, labels=LABELS)
    assert [(s.name, s.area) for s in parse.segments] == [("cat", 2), ("dog", 1), ("sky", 1)]


def test_the_semantic_map_is_not_changed_by_fusion() -> None:
    semantic = np.array([[1, 1, 0]], dtype=np.uint8)
    parse = fuse(
        semantic,
        sure((1, 3)),
        np.zeros((1, 3), dtype=np.int32),
        labels=LABELS,
    )
    assert parse.semantic.tolist() == [[1, 1, 0]]
    assert len(parse.segments) == 1


def test_a_pixel_takes_the_nearest_cell_of_its_own_class() -> None:
    pixels = to_pixels(
        np.array([[0, 1]], dtype=np.int32),
        np.array([[0, 1]], dtype=np.uint8),
        np.array([[0, 1, 1, 1, 1]], dtype=np.uint8),
        is_thing=LABELS.is_thing,
        rows=np.zeros(1),
        columns=np.arange(5) / 4,
    )
    assert pixels.tolist() == [[0, 1, 1, 1, 1]]


def test_stuff_pixels_have_no_instance() -> None:
    pixels = to_pixels(
        np.zeros((1, 1), dtype=np.int32),
        np.zeros((1, 1), dtype=np.uint8),
        np.array([[2, 255, 0]], dtype=np.uint8),
        is_thing=LABELS.is_thing,
        rows=np.zeros(1),
        columns=np.zeros(3),
    )
    assert pixels.tolist() == [[-1, -1, 0]]
