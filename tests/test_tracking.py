from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atrous.tracking import Tracker
from atrous.types import Parse, Segment

CLASSES = 3
"""0 is stuff, the others things."""


def parse_of(ids: NDArray[np.int32], classes: dict[int, int]) -> Parse:
    segments = []
    for number in sorted(set(np.unique(ids).tolist()) - {0}):
        y, x = np.nonzero(ids == number)
        box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
        class_id = classes[number]
        segments.append(Segment(number, class_id, "x", class_id > 0, 0.5, len(y), box))
    semantic, confidence = np.zeros(ids.shape, np.uint8), np.ones(ids.shape, np.float32)
    return Parse(ids, semantic, confidence, tuple(segments))


def boxes(*corners: tuple[int, int], first: int = 1, class_id: int = 1, size: int = 4) -> Parse:
    """Squares of things over stuff whose id is 9."""
    ids = np.full((16, 24), 9, np.int32)
    for number, (y, x) in enumerate(corners, start=first):
        ids[y : y + size, x : x + size] = number
    return parse_of(ids, {9: 0} | {first + n: class_id for n in range(len(corners))})


def things(parse: Parse) -> list[int]:
    return [s.id for s in parse.segments if s.is_thing]


MAPS = st.lists(st.integers(0, 6), min_size=12, max_size=12).map(
    lambda values: np.array(values, np.int32).reshape(3, 4)
)
KINDS = st.fixed_dictionaries({number: st.integers(0, CLASSES - 1) for number in range(1, 7)})


@given(st.lists(st.tuples(MAPS, KINDS), max_size=6))
def test_every_frame_has_the_same_segments_under_ids_of_their_own(
    frames: list[tuple[NDArray[np.int32], dict[int, int]]],
) -> None:
    tracker, kinds = Tracker(CLASSES), dict[int, tuple[int, bool]]()
    for ids, classes in frames:
        before = parse_of(ids, classes)
        after = tracker.update(before)
        pairs = zip(before.segments, after.segments, strict=True)
        assert all(replace(new, id=old.id) == old for old, new in pairs)
        for old, new in zip(before.segments, after.segments, strict=True):
            assert np.array_equal(after.panoptic == new.id, ids == old.id)
        assert np.array_equal(after.panoptic == 0, ids == 0)
        for segment in after.segments:  # an id never changes what it stands for
            kind = (segment.class_id, segment.is_thing)
            assert kinds.setdefault(segment.id, kind) == kind


@given(MAPS, KINDS, st.permutations(range(1, 7)))
def test_a_still_scene_keeps_its_ids_whatever_it_is_numbered_like(
    ids: NDArray[np.int32], classes: dict[int, int], order: list[int]
) -> None:
    tracker = Tracker(CLASSES)
    first = tracker.update(parse_of(ids, classes))
    table = np.array([0, *order], np.int32)
    other = {int(table[number]): kind for number, kind in classes.items()}
    second = tracker.update(parse_of(table[ids], other))
    is_thing = np.isin(first.panoptic, things(first))
    assert np.array_equal(first.panoptic[is_thing], second.panoptic[is_thing])


def test_things_that_move_keep_their_ids_and_stuff_that_of_its_class() -> None:
    tracker = Tracker(CLASSES)
    for step in range(8):
        corners = [(2, 2 + step), (10, 18 - step)]
        parse = tracker.update(boxes(*corners[:: 1 if step % 2 else -1]))
        here = [int(parse.panoptic[y, x]) for y, x in corners]
        assert here == [CLASSES + 2, CLASSES + 1]
        assert parse.panoptic[0, 0] == 1


def test_a_thing_that_is_covered_for_a_while_comes_back_with_its_id() -> None:
    tracker = Tracker(CLASSES, patience=3)
    (before,) = things(tracker.update(boxes((4, 4))))
    for _ in range(3):
        assert things(tracker.update(boxes())) == []
    assert things(tracker.update(boxes((4, 5)))) == [before]


def test_a_thing_that_was_away_for_long_is_another() -> None:
    tracker = Tracker(CLASSES, patience=3)
    (before,) = things(tracker.update(boxes((4, 4))))
    for _ in range(4):
        tracker.update(boxes())
    assert things(tracker.update(boxes((4, 4)))) == [before + 1]


def test_a_thing_of_another_class_or_elsewhere_is_another() -> None:
    tracker = Tracker(CLASSES)
    (first,) = things(tracker.update(boxes((4, 4))))
    (second,) = things(tracker.update(boxes((4, 4), class_id=2)))
    (third,) = things(tracker.update(boxes((4, 14))))
    assert len({first, second, third}) == 3


def test_the_larger_overlap_decides() -> None:
    tracker = Tracker(CLASSES)
    first, second = things(tracker.update(boxes((4, 4), (4, 8))))
    assert things(tracker.update(boxes((4, 6), (4, 9), size=3))) == [first, second]
    near = tracker.update(boxes((4, 9), size=3))
    assert things(near) == [second]


def test_frames_of_another_size_begin_anew() -> None:
    tracker = Tracker(CLASSES)
    (before,) = things(tracker.update(boxes((4, 4))))
    small = parse_of(boxes((4, 4)).panoptic[:12], {9: 0, 1: 1})
    assert things(tracker.update(small)) == [before + 1]
