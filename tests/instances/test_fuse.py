from __future__ import annotations

import numpy as np
import plain
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.instances.fuse import fuse, merge, to_pixels
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


def test_a_thing_pixel_among_stuff_cells_asks_for_the_instance_of_the_nearest() -> None:
    asked: list[int] = []

    def elsewhere(cells: np.ndarray) -> np.ndarray:
        asked.extend(cells.tolist())
        return np.full(len(cells), 7, dtype=np.int32)

    pixels = to_pixels(
        np.full((1, 2), -1, dtype=np.int32),
        np.full((1, 2), 2, dtype=np.uint8),
        np.array([[2, 2, 2, 0, 2]], dtype=np.uint8),
        is_thing=LABELS.is_thing,
        rows=np.zeros(1),
        columns=np.arange(5) / 4,
        elsewhere=elsewhere,
    )
    assert pixels.tolist() == [[-1, -1, -1, 7, -1]]
    assert asked == [1]


@st.composite
def pictures(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Index and class of cells, class of pixels, and where rows and columns lie."""
    kind, void = draw(st.sampled_from([(np.uint8, 255), (np.uint16, 65535)]))
    cells_hw = draw(st.tuples(st.integers(1, 5), st.integers(1, 9)))
    pixels_hw = draw(st.sampled_from([cells_hw, (7, 33), (1, 1)]))
    values = st.sampled_from([0, 0, 0, 1, 2, void])
    cell_class = draw(arrays(kind, cells_hw, elements=values, fill=st.just(0)))
    pixel_class = draw(arrays(kind, pixels_hw, elements=values, fill=st.just(0)))
    index = draw(arrays(np.int32, cells_hw, elements=st.integers(0, 2), fill=st.just(1)))
    at = [np.linspace(0, n - 1, m) for n, m in zip(cells_hw, pixels_hw, strict=True)]
    return index, cell_class, pixel_class, *at


@given(pictures(), st.booleans())
@settings(deadline=None)
def test_pixels_and_segments_are_those_of_the_plain_reference(
    picture: tuple[np.ndarray, ...], something_found: bool
) -> None:
    everywhere, cell_class, pixel_class, rows, columns = picture
    if not something_found:
        everywhere = np.full_like(everywhere, -1)
    at = {"rows": rows, "columns": columns}
    things = np.append(LABELS.is_thing, False)[np.minimum(cell_class, len(LABELS))]
    index = np.where(things, everywhere, -1).astype(np.int32)
    later = everywhere.reshape(-1).__getitem__
    sure = np.random.default_rng(0).random(pixel_class.shape, dtype=np.float32)
    is_thing = LABELS.is_thing
    truth = plain.to_pixels(everywhere, cell_class, pixel_class, is_thing=is_thing, **at)
    pixels = to_pixels(index, cell_class, pixel_class, is_thing=is_thing, elsewhere=later, **at)
    assert np.array_equal(pixels, truth)
    whole = plain.fuse(pixel_class, sure, truth, labels=LABELS)
    merged = merge(index, cell_class, pixel_class, sure, labels=LABELS, elsewhere=later, **at)
    for parse in (merged, fuse(pixel_class, sure, truth, labels=LABELS)):
        assert np.array_equal(parse.panoptic, whole.panoptic)
        assert parse.segments == whole.segments
