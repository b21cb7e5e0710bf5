from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atrous.instances import keypoints as kp
from atrous.types import IdMap, Labelled, Region

NUMBERS = kp.KeypointNumbers(radius_px=8)
IS_THING = np.array([True, False])
CENTRE = 4


def one_thing(*, stuff: bool = True) -> Labelled:
    ids: IdMap = np.full((33, 33), 2 if stuff else 0, dtype=np.int32)
    ids[8:17, 12:25] = 1
    return Labelled(ids, (Region(1, 0), Region(2, 1)))


def test_keypoints_are_box_corners_and_mean_pixel() -> None:
    points = kp.locate(one_thing().ids, np.array([1]))
    assert points[0].tolist() == [[8, 12], [8, 24], [16, 12], [16, 24], [12, 18]]


def test_locating_an_absent_id_fails() -> None:
    with pytest.raises(ValueError, match="id 7 has no pixel"):
        kp.locate(one_thing().ids, np.array([7]))


def test_offsets_lead_from_each_cell_to_its_keypoint() -> None:
    maps, things, _ = kp.encode(one_thing(), IS_THING, stride=1, numbers=NUMBERS)
    here = np.indices((33, 33))
    for kind, point in enumerate(kp.locate(one_thing().ids, np.array([1]))[0]):
        goal = np.broadcast_to(point[:, None, None], (2, 33, 33))
        disk = maps.heatmap[kind] > 0
        assert np.allclose((here + maps.short[kind])[:, disk], goal[:, disk])
        assert np.allclose((here + maps.long[kind])[:, things], goal[:, things])


def test_disks_have_the_radius_in_pixels_at_any_stride() -> None:
    for stride in (1, 4):
        maps, _, _ = kp.encode(one_thing(), IS_THING, stride=stride, numbers=NUMBERS)
        y, x = np.indices(maps.heatmap.shape[1:]) * stride
        inside = (y - 12) ** 2 + (x - 18) ** 2 <= 8**2
        assert np.array_equal(maps.heatmap[CENTRE] > 0, inside)


def test_where_disks_overlap_the_nearest_keypoint_owns_the_cell() -> None:
    ids: IdMap = np.zeros((33, 33), dtype=np.int32)
    ids[4:9, 4:9], ids[4:9, 12:17] = 1, 2
    maps, _, _ = kp.encode(
        Labelled(ids, (Region(1, 0), Region(2, 0))), IS_THING, stride=1, numbers=NUMBERS
    )
    assert maps.short[CENTRE, :, 6, 9].tolist() == [0, -3]
    assert maps.short[CENTRE, :, 6, 11].tolist() == [0, 3]


def test_middle_offsets_hold_in_the_disk_of_their_source() -> None:
    maps, _, _ = kp.encode(one_thing(), IS_THING, stride=1, numbers=NUMBERS)
    edge = NUMBERS.joined.edges.index((CENTRE, 0))
    assert maps.middle[edge, :, 12, 18].tolist() == [-4, -6]
    assert maps.middle[edge, :, 0, 0].tolist() == [0, 0]


def test_the_rectangle_joins_each_corner_with_the_next_both_ways() -> None:
    numbers = replace(NUMBERS, graph="rectangle")
    maps, _, _ = kp.encode(one_thing(), IS_THING, stride=1, numbers=numbers)
    assert (maps.heatmap.shape[0], maps.long.shape[0], maps.middle.shape[0]) == (4, 4, 8)
    corners = kp.locate(one_thing().ids, np.array([1]))[0, :4].astype(int)
    for (source, goal), offsets in zip(numbers.joined.edges, maps.middle, strict=True):
        y, x = corners[source]
        assert offsets[:, y, x].tolist() == (corners[goal] - corners[source]).tolist()
        assert (goal, source) in numbers.joined.edges
        assert np.count_nonzero(corners[goal] - corners[source]) == 1


def test_a_thing_is_complete_from_any_of_its_keypoints() -> None:
    for graph in ("star", "rectangle"):
        numbers = replace(NUMBERS, graph=graph)
        maps, things, _ = kp.encode(one_thing(), IS_THING, stride=1, numbers=numbers)
        for kind in range(len(maps.heatmap)):
            sure = maps.heatmap * 0.2
            sure[kind] = maps.heatmap[kind]  # the best candidate is of this type
            found, _ = kp.decode(replace(maps, heatmap=sure), things, stride=1, numbers=numbers)
            truth = kp.locate(one_thing().ids, np.array([1]))[:, : len(sure)]
            np.testing.assert_allclose(found.points, truth, atol=0.5)


def test_an_unknown_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="graph is 'ring': it can be star or rectangle"):
        kp.KeypointNumbers(graph="ring")


def test_crowds_and_void_are_not_valid_and_have_no_keypoints() -> None:
    truth = one_thing(stuff=False)
    crowd = Labelled(truth.ids, (Region(1, 0, is_crowd=True),))
    maps, things, valid = kp.encode(crowd, IS_THING, stride=1, numbers=NUMBERS)
    assert not things.any()
    assert not valid.any()
    assert not maps.heatmap.any()


def test_an_image_without_things_decodes_to_no_instance() -> None:
    truth = Labelled(np.full((33, 33), 2, dtype=np.int32), (Region(2, 1),))
    maps, things, _ = kp.encode(truth, IS_THING, stride=4, numbers=NUMBERS)
    found, cells = kp.decode(maps, things, stride=4, numbers=NUMBERS)
    assert len(found.scores) == 0
    assert (cells == -1).all()


def test_decoding_does_not_depend_on_the_order_of_instances() -> None:
    ids: IdMap = np.zeros((65, 65), dtype=np.int32)
    ids[4:24, 4:30], ids[36:60, 30:60] = 1, 2
    swapped = np.choose(ids, [0, 2, 1]).astype(np.int32)
    answers = []
    for each in (ids, swapped):
        truth = Labelled(each, (Region(1, 0), Region(2, 0)))
        maps, things, _ = kp.encode(truth, IS_THING, stride=4, numbers=NUMBERS)
        found, _ = kp.decode(maps, things, stride=4, numbers=NUMBERS)
        answers.append(sorted(found.points.round(3).tolist()))
    assert answers[0] == answers[1]


def test_instances_are_limited_and_the_best_stay() -> None:
    ids: IdMap = np.zeros((65, 65), dtype=np.int32)
    ids[4:24, 4:30], ids[36:60, 30:60] = 1, 2
    truth = Labelled(ids, (Region(1, 0), Region(2, 0)))
    maps, things, _ = kp.encode(truth, IS_THING, stride=4, numbers=NUMBERS)
    both, _ = kp.decode(maps, things, stride=4, numbers=NUMBERS)
    only, _ = kp.decode(
        maps, things, stride=4, numbers=kp.KeypointNumbers(radius_px=8, instances=1)
    )
    assert np.array_equal(only.points, both.points[:1])


@pytest.mark.parametrize(
    "setting", [{"decode_stride": 2}, {"refine_long_self": "centre"}, {"least_heat": 1.0}]
)
def test_numbers_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"it (can|must) be"):
        kp.KeypointNumbers(**setting)  # type: ignore[arg-type]
