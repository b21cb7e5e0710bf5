from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from atrous.data.shapes import Shapes
from atrous.instances import boxes
from atrous.instances.boxes import transform
from atrous.instances.boxes.sampling import as_it_is
from atrous.types import FloatMap, IdMap, Labelled, Region

NUMBERS = boxes.BoxNumbers()
PLAIN = boxes.BoxNumbers(mean=(0, 0, 0, 0), std=(1, 1, 1, 1), least_px=1)
IS_THING = np.array([False, True, True])
"""Background, and two classes of things."""


def two_things(*, crowd: bool = False) -> Labelled:
    """A thing of class 2 and 4x6 pixels, one of class 1 and 8x8 pixels, on class 0."""
    ids: IdMap = np.full((20, 24), 9, dtype=np.int32)
    ids[2:6, 3:9], ids[10:18, 12:20] = 5, 3
    return Labelled(ids, (Region(9, 0), Region(5, 2), Region(3, 1, is_crowd=crowd)))


def perfect(
    truth: Labelled, is_thing: NDArray[np.bool_], *, numbers: boxes.BoxNumbers, sure: float = 0.9
) -> tuple[FloatMap, FloatMap]:
    """Probabilities and predictions that a network without a fault would give."""
    table = np.zeros(truth.ids.max() + 1, dtype=np.int64)
    for region in truth.regions:
        table[region.id] = region.class_id
    probabilities = np.full((len(is_thing), *truth.ids.shape), (1 - sure) / (len(is_thing) - 1))
    np.put_along_axis(probabilities, table[truth.ids][None], sure, axis=0)
    target = boxes.encode(truth, is_thing, stride=1, numbers=numbers)
    own = np.arange(is_thing.sum())[:, None, None, None] == target.thing
    prediction = np.where(own, target.targets, 0).reshape(-1, *truth.ids.shape)
    return probabilities.astype(np.float32), prediction.astype(np.float32)


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return y.min(), x.min(), y.max() + 1, x.max() + 1


def plain_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    high, wide = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(high, 0) * max(wide, 0)
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def clusters_plain(
    probabilities: FloatMap, box: NDArray[np.float64], class_id: int, numbers: boxes.BoxNumbers
) -> list[tuple[float, set[int]]]:
    """The paper's steps for one class, pixel by pixel; box (4, h * w)."""
    flat = probabilities.reshape(len(probabilities), -1)
    rank = [
        sum((p[class_id], -class_id) < (p[k], -k) for k in range(len(p))) for p in flat.T.tolist()
    ]
    found: list[tuple[float, set[int]]] = []
    for m in range(1, numbers.top + 1):
        left = sorted((i for i, r in enumerate(rank) if r < m), key=lambda i: -flat[class_id, i])
        for _ in range(numbers.seeds):
            if not left:
                break
            seed = left[0]
            members = {i for i in left if plain_iou(box[:, seed], box[:, i]) >= numbers.box_nms_iou}
            left = [i for i in left if i not in members]
            score = float(np.mean([flat[class_id, i] for i in members], dtype=np.float64))
            if len(members) >= numbers.least_px:
                found.append((score, members))
    return found


def detect_plain(
    probabilities: FloatMap,
    prediction: FloatMap,
    is_thing: NDArray[np.bool_],
    numbers: boxes.BoxNumbers,
) -> list[tuple[int, float, set[int]]]:
    """The exact greedy inference in Python, for a mean of 0 and a std of 1."""
    height, width = probabilities.shape[1:]
    here = np.indices((height, width)).reshape(2, -1)
    found = []
    for thing, class_id in enumerate(np.flatnonzero(is_thing).tolist()):
        dy, dx, h, w = prediction[4 * thing : 4 * thing + 4].reshape(4, -1).astype(np.float64)
        cy, cx = here[0] + dy + 0.5, here[1] + dx + 0.5
        box = np.stack([cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2])
        kept: list[tuple[float, set[int]]] = []
        clusters = clusters_plain(probabilities, box, class_id, numbers)
        for score, members in sorted(clusters, key=lambda c: -c[0]):
            ious = [len(members & other) / len(members | other) for _, other in kept]
            if all(iou <= numbers.region_nms_iou for iou in ious):
                kept.append((score, members))
        found += [(class_id, score, members) for score, members in kept]
    return sorted(found, key=lambda row: -row[1])[: numbers.instances]


id_maps = hnp.arrays(
    np.int32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements={
        "min_value": 0,
        "max_value": 4,
    },
)


@given(id_maps, st.sampled_from([1, 2, 3]))
def test_decoding_undoes_encoding(ids: IdMap, stride: int) -> None:
    truth = Labelled(ids, (Region(1, 0), Region(2, 1), Region(3, 1), Region(4, 2)))
    target = boxes.encode(truth, IS_THING, stride=stride, numbers=NUMBERS)
    grid = ids[::stride, ::stride]
    assert np.array_equal(target.thing, np.array([-1, -1, 0, 0, 1])[grid])
    prediction = np.concatenate([target.targets, target.targets])
    for thing in range(2):
        cells = np.flatnonzero(target.thing == thing)
        found = boxes.pixel_boxes(
            as_it_is(prediction),
            cells.astype(np.int32),
            thing=thing,
            stride=stride,
            numbers=NUMBERS,
        )
        wanted = [tight_box(ids == each) for each in grid.ravel()[cells]]
        assert np.allclose(found, np.array(wanted).reshape(-1, 4), atol=1e-4)


def test_targets_lead_to_the_centre_of_the_tight_box() -> None:
    target = boxes.encode(two_things(), IS_THING, stride=1, numbers=PLAIN)
    assert target.targets[:, 2, 3].tolist() == [1.5, 2.5, 4, 6]
    assert target.targets[:, 5, 8].tolist() == [-1.5, -2.5, 4, 6]
    assert target.targets[:, 0, 0].tolist() == [0, 0, 0, 0]


def test_targets_are_standardised() -> None:
    numbers = replace(PLAIN, mean=(1, 2, 3, 4), std=(2, 4, 5, 10))
    target = boxes.encode(two_things(), IS_THING, stride=1, numbers=numbers)
    assert np.allclose(target.targets[:, 2, 3], [0.5 / 2, 0.5 / 4, 1 / 5, 2 / 10])


def test_weights_have_mean_one_and_fall_with_the_area_of_the_box() -> None:
    for stride in (1, 2):
        target = boxes.encode(two_things(), IS_THING, stride=stride, numbers=NUMBERS)
        small, large = (np.unique(target.weight[target.thing == k]) for k in (1, 0))
        assert len(small) == len(large) == 1
        assert small[0] / large[0] == pytest.approx(64 / 24)
        assert target.weight[target.thing >= 0].mean() == pytest.approx(1)
        assert (target.weight[target.thing < 0] == 0).all()


def test_weights_are_clipped() -> None:
    ids: IdMap = np.full((65, 65), 1, dtype=np.int32)
    ids[:2, :2] = 2
    target = boxes.encode(
        Labelled(ids, (Region(1, 1), Region(2, 1))), IS_THING, stride=1, numbers=NUMBERS
    )
    assert target.weight[0, 0] == 10
    assert target.weight.min() >= np.float32(0.1)


def test_crowds_void_and_stuff_are_not_supervised() -> None:
    truth = two_things(crowd=True)
    truth.ids[2, 3:9] = 0
    target = boxes.encode(truth, IS_THING, stride=1, numbers=PLAIN)
    assert np.array_equal(target.thing >= 0, truth.ids == 5)
    assert target.targets[2].max() == 3


def test_a_crop_without_things_supervises_nothing() -> None:
    truth = Labelled(np.full((5, 5), 1, dtype=np.int32), (Region(1, 0), Region(2, 1)))
    target = boxes.encode(truth, IS_THING, stride=2, numbers=NUMBERS)
    assert target.targets.shape == (4, 3, 3)
    assert (target.thing == -1).all()
    assert not target.targets.any()
    assert not target.weight.any()


def test_predicted_boxes_are_never_empty() -> None:
    prediction = np.full((4, 1, 2), -9, dtype=np.float32)
    cells = np.array([0, 1], dtype=np.int32)
    found = boxes.pixel_boxes(as_it_is(prediction), cells, thing=0, stride=1, numbers=NUMBERS)
    assert (found[:, 2:] - found[:, :2] == 1).all()


@given(st.data())
def test_with_a_seed_at_every_pixel_the_result_is_that_of_the_plain_inference(
    data: st.DataObject,
) -> None:
    size = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    whole = hnp.arrays(np.int8, (4, *size), elements=st.integers(0, 4))
    probabilities = data.draw(whole).astype(np.float32) / np.float32(4)
    offsets = data.draw(hnp.arrays(np.int8, (2, 2, *size), elements=st.integers(-2, 2)))
    sides = data.draw(hnp.arrays(np.int8, (2, 2, *size), elements=st.integers(1, 4)))
    prediction = np.concatenate([offsets, sides], axis=1).reshape(8, *size).astype(np.float32)
    numbers = replace(
        PLAIN,
        seed_stride=1,
        top=data.draw(st.integers(1, 5)),
        box_nms_iou=data.draw(st.sampled_from([0.25, 0.5, 1.0])),
        region_nms_iou=data.draw(st.sampled_from([0.25, 0.5])),
        seeds=data.draw(st.sampled_from([1, 3, 100])),
        least_px=data.draw(st.integers(1, 3)),
        instances=data.draw(st.sampled_from([2, 100])),
    )
    is_thing = np.array([True, False, True, False])
    found = transform.detect(
        probabilities, prediction, is_thing=is_thing, stride=1, numbers=numbers
    )
    plain = detect_plain(probabilities, prediction, is_thing, numbers)
    seen = [(x.class_id, x.score, set(np.flatnonzero(x.mask).tolist())) for x in found]
    assert [(c, m) for c, _, m in seen] == [(c, m) for c, _, m in plain]
    assert np.allclose([s for _, s, _ in seen], [s for _, s, _ in plain])


@pytest.mark.parametrize("seed_stride", [1, 8])
def test_perfect_maps_give_back_every_instance(seed_stride: int) -> None:
    """If no boxes of a class overlap by 0.5 or more: that is what the paper cannot tell apart."""
    scenes, checked = Shapes("val", size_hw=(129, 129), instances=(3, 9), area_px=(64, 3000)), 0
    is_thing = scenes.labels.is_thing
    numbers = replace(NUMBERS, seed_stride=seed_stride)
    for index in range(12):
        truth = scenes[index].truth
        things = [r for r in truth.regions if is_thing[r.class_id]]
        box = {r.id: np.array(tight_box(truth.ids == r.id), dtype=np.float64) for r in things}
        if any(
            plain_iou(box[a.id], box[b.id]) >= 0.5
            for a in things
            for b in things
            if a.id < b.id and a.class_id == b.class_id
        ):
            continue
        probabilities, prediction = perfect(truth, is_thing, numbers=numbers)
        found = transform.detect(
            probabilities, prediction, is_thing=is_thing, stride=1, numbers=numbers
        )
        masks = sorted((x.class_id, x.mask.tobytes()) for x in found)
        assert masks == sorted((r.class_id, (truth.ids == r.id).tobytes()) for r in things)
        wanted = sorted(box[r.id].tolist() for r in things)
        assert np.allclose(sorted(x.box for x in found), wanted, atol=0.01)
        checked += len(things)
    assert checked > 30


def test_a_coarse_grid_of_seeds_gives_nearly_the_exact_instances() -> None:
    scenes, compared = Shapes("val", size_hw=(129, 129), instances=(3, 9), area_px=(200, 3000)), 0
    is_thing, rng = scenes.labels.is_thing, np.random.default_rng(0)
    for index in range(12):
        probabilities, prediction = perfect(scenes[index].truth, is_thing, numbers=NUMBERS)
        probabilities = probabilities * rng.uniform(0.7, 1, probabilities.shape).astype(np.float32)
        prediction += rng.normal(0, 0.01, prediction.shape).astype(np.float32)
        exact, fast = (
            transform.detect(
                probabilities,
                prediction,
                is_thing=is_thing,
                stride=1,
                numbers=replace(NUMBERS, seed_stride=step, least_score=0.5),
            )
            for step in (1, 8)
        )
        for one, others in ((exact, fast), (fast, exact)):
            for instance in one:
                ious = [
                    (instance.mask & x.mask).sum() / (instance.mask | x.mask).sum()
                    for x in others
                    if x.class_id == instance.class_id
                ]
                assert max(ious) > 0.9
                compared += 1
    assert compared > 60


def test_seeds_on_the_grid_come_first_and_what_they_miss_seeds_itself() -> None:
    """The thing of class 1 holds the cell (16, 16) of a grid of 8, that of class 2 none."""
    probabilities, prediction = perfect(two_things(), IS_THING, numbers=PLAIN)
    probabilities[1, 12, 13] = 0.95
    prediction[2, 12, 13] = 7
    found = {
        step: transform.detect(
            probabilities,
            prediction,
            is_thing=IS_THING,
            stride=1,
            numbers=replace(PLAIN, seed_stride=step, least_score=0.5),
        )
        for step in (1, 8)
    }
    assert [x.class_id for x in found[8]] == [x.class_id for x in found[1]] == [1, 2]
    assert list(found[8][0].box) == [10, 12, 18, 20]
    assert list(found[1][0].box) == [10.5, 12, 17.5, 20]


def test_touching_things_of_a_class_are_told_apart() -> None:
    ids: IdMap = np.full((16, 24), 3, dtype=np.int32)
    ids[4:12, 4:12], ids[4:12, 12:20] = 1, 2
    truth = Labelled(ids, (Region(1, 1), Region(2, 1), Region(3, 0)))
    probabilities, prediction = perfect(truth, IS_THING, numbers=NUMBERS)
    found = transform.detect(
        probabilities,
        prediction,
        is_thing=IS_THING,
        stride=1,
        numbers=replace(NUMBERS, least_score=0.5),
    )
    assert [x.class_id for x in found] == [1, 1]
    semantic = probabilities.argmax(axis=0).astype(np.uint8)
    index = transform.flatten(found, semantic)
    assert {tuple(np.unique(index[ids == k])) for k in (1, 2)} == {(0,), (1,)}
    assert (index[ids == 3] == -1).all()


def rimmed() -> tuple[FloatMap, FloatMap]:
    """A thing of class 1 whose outermost pixels look a little more like background."""
    ids: IdMap = np.full((16, 16), 2, dtype=np.int32)
    ids[3:13, 3:13] = 1
    probabilities, prediction = perfect(
        Labelled(ids, (Region(1, 1), Region(2, 0))), IS_THING, numbers=NUMBERS
    )
    core = np.zeros(ids.shape, dtype=np.bool_)
    core[4:12, 4:12] = True
    probabilities[:, (ids == 1) & ~core] = np.array([[0.5], [0.4], [0.1]])
    return probabilities, prediction


def test_the_masks_of_m_1_and_m_2_are_one_instance_and_the_surer_wins() -> None:
    probabilities, prediction = rimmed()
    found = transform.detect(
        probabilities, prediction, is_thing=IS_THING, stride=1, numbers=replace(NUMBERS, top=1)
    )
    both = transform.detect(
        probabilities, prediction, is_thing=IS_THING, stride=1, numbers=replace(NUMBERS, top=2)
    )
    mine = [x for x in both if x.mask[8, 8]]
    assert len(found) == len(mine) == 1
    assert mine[0].score == pytest.approx(0.9)
    assert np.array_equal(mine[0].mask, found[0].mask)
    assert mine[0].mask.sum() == 64


def test_without_region_suppression_both_masks_stay() -> None:
    probabilities, prediction = rimmed()
    found = transform.detect(
        probabilities,
        prediction,
        is_thing=IS_THING,
        stride=1,
        numbers=replace(NUMBERS, region_nms_iou=1),
    )
    sizes = [int(x.mask.sum()) for x in found if x.mask[8, 8]]
    assert sizes == [64, 100]


def test_the_confidence_is_the_mean_probability_of_the_cluster() -> None:
    probabilities, prediction = rimmed()
    probabilities[1, 4:8, 4:12] = 0.7
    found = transform.detect(
        probabilities, prediction, is_thing=IS_THING, stride=1, numbers=replace(NUMBERS, top=1)
    )
    assert found[0].score == pytest.approx(0.8)


def test_the_ids_of_instances_do_not_matter() -> None:
    scenes = Shapes("val", size_hw=(129, 129), instances=(4, 9))
    truth, is_thing = scenes[3].truth, scenes.labels.is_thing
    count = len(truth.regions)
    other = np.random.default_rng(1).permutation(count).astype(np.int32) + 1
    regions = tuple(replace(r, id=int(other[r.id - 1])) for r in truth.regions)
    again = Labelled(np.append(np.int32(0), other)[truth.ids], regions[::-1])
    one, two = (boxes.encode(x, is_thing, stride=2, numbers=NUMBERS) for x in (truth, again))
    assert np.array_equal(one.targets, two.targets)
    assert np.array_equal(one.thing, two.thing)
    assert np.array_equal(one.weight, two.weight)


def test_small_and_unsure_instances_are_dropped() -> None:
    truth = two_things()
    probabilities, prediction = perfect(truth, IS_THING, numbers=NUMBERS)
    probabilities[:, truth.ids == 3] = np.array([[0.2], [0.6], [0.2]])
    found = [
        transform.detect(
            probabilities,
            prediction,
            is_thing=IS_THING,
            stride=1,
            numbers=replace(NUMBERS, top=1, least_px=least_px, least_score=least_score),
        )
        for least_px, least_score in ((24, 0), (25, 0), (24, 0.7), (65, 0))
    ]
    assert [[x.class_id for x in each] for each in found] == [[2, 1], [1], [2], []]


def test_without_a_thing_pixel_there_is_no_instance() -> None:
    probabilities = np.zeros((3, 9, 9), dtype=np.float32)
    probabilities[0] = 1
    numbers = replace(NUMBERS, top=1)
    found = transform.detect(
        probabilities,
        np.zeros((8, 9, 9), dtype=np.float32),
        is_thing=IS_THING,
        stride=1,
        numbers=numbers,
    )
    assert found == ()
    semantic = np.zeros((9, 9), dtype=np.uint8)
    assert (transform.flatten(found, semantic) == -1).all()


def test_a_coarse_grid_gives_boxes_in_pixels_of_the_input() -> None:
    target = boxes.encode(two_things(), IS_THING, stride=2, numbers=NUMBERS)
    own = np.arange(2)[:, None, None, None] == target.thing
    probabilities = np.stack([target.thing < 0, target.thing == 0, target.thing == 1])
    found = transform.detect(
        probabilities.astype(np.float32),
        np.where(own, target.targets, 0).reshape(8, 10, 12),
        is_thing=IS_THING,
        stride=2,
        numbers=replace(NUMBERS, top=1, least_px=1),
    )
    assert [x.class_id for x in found] == [1, 2]
    assert np.allclose([x.box for x in found], [[10, 12, 18, 20], [2, 3, 6, 9]], atol=1e-3)
    assert found[0].mask.shape == (10, 12)


def test_maps_that_do_not_fit_together_are_refused() -> None:
    probabilities = np.zeros((3, 9, 9), dtype=np.float32)
    for prediction, is_thing in (((4, 9, 9), IS_THING), ((8, 9, 9), np.array([True, True]))):
        with pytest.raises(ValueError, match="give"):
            transform.detect(
                probabilities,
                np.zeros(prediction, dtype=np.float32),
                is_thing=is_thing,
                stride=1,
                numbers=NUMBERS,
            )


def test_where_instances_overlap_the_best_one_is_painted() -> None:
    masks = np.zeros((3, 1, 6), dtype=np.bool_)
    masks[0, 0, :3] = masks[1, 0, 1:5] = masks[2, 0, :] = True
    instances = tuple(
        transform.BoxInstance(
            class_id, score, np.flatnonzero(mask).astype(np.int32), (1, 6), (0, 0, 1, 1)
        )
        for class_id, score, mask in zip((1, 1, 2), (0.5, 0.7, 0.9), masks, strict=True)
    )
    semantic = np.array([[1, 1, 1, 0, 1, 1]], dtype=np.uint8)
    assert transform.flatten(instances, semantic).tolist() == [[0, 1, 1, -1, 1, -1]]


@pytest.mark.parametrize(
    "setting",
    [
        {"std": (1, 1, 0, 1)},
        {"mean": (0, 0, 0)},
        {"mean": (0, 0, np.nan, 0)},
        {"top": 0},
        {"box_nms_iou": 0},
        {"region_nms_iou": 1.5},
        {"seed_stride": 0},
        {"seeds": 0},
        {"least_px": 0},
        {"least_score": -1},
        {"instances": 0},
    ],
)
def test_numbers_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|give four"):
        boxes.BoxNumbers(**setting)  # type: ignore[arg-type]


def test_uncovered_pixels_go_to_the_nearest_instance_of_their_class() -> None:
    semantic = np.array([[1, 1, 1, 1, 2, 2, 0]], dtype=np.uint8)
    index = np.array([[0, -1, -1, 1, -1, 2, -1]], dtype=np.int32)
    assert transform.spread(index, semantic).tolist() == [[0, 0, 1, 1, 2, 2, -1]]
    nobody = np.full_like(index, -1)
    assert np.array_equal(transform.spread(nobody, semantic), nobody)
