from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.augment import Augment, augment, generator
from atrous.data.shapes import Shapes
from atrous.data.source import Opened, opened
from atrous.data.transforms import InputRule
from atrous.formats import read_photo
from atrous.types import BadInput, Image, Labelled, Region, Sample

RULE = InputRule(longest_side=65)
FREE = InputRule(longest_side=0)
PLAIN = Augment(crop=65, scales=(1, 1, 0.25), flip=0)


def sample(size_hw: tuple[int, int]) -> Opened:
    """A picture whose red and green levels are twice its row and column."""
    rows, columns = np.indices(size_hw)
    image = np.stack([rows * 2, columns * 2, rows * 0], axis=2).astype(np.uint8)
    ids = (rows // 8 * 100 + columns // 8 + 1).astype(np.int32)
    regions = tuple(Region(int(i), 0) for i in np.unique(ids))
    return Opened("x", lambda _: image, Labelled(ids, regions))


def cut(found: Opened, settings: Augment, *, step: int = 0, rule: InputRule = RULE) -> Sample:
    return augment(found, rule, settings, generator(0, step=step, slot=0))


def test_no_chance_and_no_scale_leaves_a_sample_as_it_is() -> None:
    before = sample((65, 65))
    after = augment(before, RULE, PLAIN, generator(0, step=0, slot=0))
    assert np.array_equal(before.sample().image, after.image)
    assert np.array_equal(before.truth.ids, after.truth.ids)


def test_a_mirrored_sample_is_the_mirror_image() -> None:
    before = sample((65, 65))
    mirrored = Augment(crop=65, scales=(1, 1, 0.25), flip=1)
    after = augment(before, RULE, mirrored, generator(0, step=0, slot=0))
    assert np.array_equal(before.sample().image[:, ::-1], after.image)
    assert np.array_equal(before.truth.ids[:, ::-1], after.truth.ids)


def test_a_crop_beyond_the_image_is_mean_and_void() -> None:
    after = augment(sample((33, 65)), RULE, PLAIN, generator(0, step=0, slot=0))
    assert (after.image[40:] == 128).all()
    assert (after.truth.ids[33:] == 0).all()
    assert (after.truth.ids[:33] > 0).all()


@given(st.integers(0, 1000), st.integers(0, 7))
def test_labels_are_never_blended(step: int, slot: int) -> None:
    before = sample((50, 80))
    settings = Augment(crop=33, scales=(0.5, 2.0, 0))
    after = augment(before, RULE, settings, generator(1, step=step, slot=slot))
    assert set(np.unique(after.truth.ids)) <= {0, *np.unique(before.truth.ids)}


@given(st.integers(0, 1000))
def test_image_and_label_move_together(step: int) -> None:
    before = sample((65, 65))
    settings = Augment(crop=65, scales=(2, 2, 0.25))
    after = augment(before, RULE, settings, generator(2, step=step, slot=0))
    rows, columns = (after.image[..., c] / 2 for c in (0, 1))
    expected = np.round(rows) // 8 * 100 + np.round(columns) // 8 + 1
    inside = (np.abs(rows % 8 - 3.5) < 3) & (np.abs(columns % 8 - 3.5) < 3)
    assert np.array_equal(after.truth.ids[inside], expected[inside])


def test_chance_is_a_function_of_seed_step_and_slot_alone() -> None:
    draws = {
        (seed, step, slot): generator(seed, step=step, slot=slot).random()
        for seed in (0, 1)
        for step in (0, 1)
        for slot in (0, 1)
    }
    assert len(set(draws.values())) == 8
    assert generator(1, step=0, slot=1).random() == draws[1, 0, 1]


def test_all_scale_steps_are_drawn() -> None:
    data, seen = Shapes("train", size_hw=(65, 65)), set()
    settings = Augment(crop=129, scales=(0.5, 1.5, 0.5), flip=0)
    for step in range(20):
        after = augment(opened(data, 0), RULE, settings, generator(0, step=step, slot=0))
        seen.add(int((after.truth.ids > 0).any(axis=1).sum()))
    assert seen in ({32, 65, 98}, {33, 65, 98}, {32, 65, 97}, {33, 65, 97})


@pytest.mark.parametrize("crop", [0, 32, 320])
def test_a_crop_that_is_not_16_n_plus_1_is_refused(crop: int) -> None:
    with pytest.raises(BadInput, match=r"train\.crop"):
        Augment(crop)


def test_a_quarter_turn_turns_image_and_label_alike() -> None:
    before = sample((65, 65))
    quarter = Augment(crop=65, scales=(1, 1, 0), flip=0, rotation=(90, 1))
    angles = {i: quarter.drawn(generator(0, step=i, slot=0)).degrees for i in range(12)}
    for step, angle in ((i, angle) for i, angle in angles.items() if angle > 45):
        turned = Augment(crop=65, scales=(1, 1, 0), flip=0, rotation=(90 * 90 / angle, 1))
        after = cut(before, turned, step=step)
        # x runs right and y down, so that 90 degrees take the top to the left
        assert np.array_equal(after.truth.ids, np.rot90(before.truth.ids, 1))
        assert np.array_equal(after.image, np.rot90(before.sample().image, 1))


@given(st.integers(0, 500))
def test_rotation_moves_image_and_label_together_at_any_scale(step: int) -> None:
    settings = Augment(crop=65, scales=(0.8, 2, 0), flip=0.5, rotation=(10, 1))
    after = cut(sample((65, 100)), settings, step=step, rule=FREE)
    rows, columns = (after.image[..., c] / 2 for c in (0, 1))
    expected = np.round(rows) // 8 * 100 + np.round(columns) // 8 + 1
    shown = (after.truth.ids > 0) & (after.image[..., 2] == 0)
    inside = (np.abs(rows % 8 - 3.5) < 2.5) & (np.abs(columns % 8 - 3.5) < 2.5) & shown
    assert inside.sum() > 100
    assert np.array_equal(after.truth.ids[inside], expected[inside])


def test_corners_of_a_turned_image_are_mean_and_void() -> None:
    white = Opened("w", lambda _: np.full((65, 65, 3), 255, np.uint8), sample((65, 65)).truth)
    settings = Augment(crop=65, scales=(1, 1, 0), rotation=(10, 1))
    far = (i for i in range(99) if settings.drawn(generator(0, step=i, slot=0)).degrees > 8)
    after = cut(white, settings, step=next(far))
    corner = after.image[0, 0], after.truth.ids[0, 0]
    assert corner[0].tolist() == [128, 128, 128]
    assert corner[1] == 0
    assert (after.image[16:-16, 16:-16] == 255).all()


def test_an_angle_is_drawn_with_its_probability_and_within_its_bound() -> None:
    settings = Augment(crop=65, rotation=(10, 0.5))
    drawn = [settings.drawn(generator(0, step=i, slot=0)).degrees for i in range(400)]
    turned = [angle for angle in drawn if angle]
    assert 150 < len(turned) < 250
    assert -10 <= min(turned) < -8
    assert 8 < max(turned) <= 10


def test_blur_is_the_gaussian_of_five_and_leaves_labels_and_padding_alone() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (33, 65, 3), dtype=np.uint8)
    noise = Opened("n", lambda _: image, sample((33, 65)).truth)
    after = cut(noise, Augment(crop=65, scales=(1, 1, 0), flip=0, blur=1))
    line = np.array([cv2.getGaussianKernel(5, 0)[:, 0]])
    kernel = line.T @ line
    expected = cv2.filter2D(image.astype(np.float64), -1, kernel, borderType=cv2.BORDER_DEFAULT)
    assert np.abs(after.image[:33] - expected).max() <= 1
    assert (after.image[33:] == 128).all()
    assert np.array_equal(after.truth.ids[:33], noise.truth.ids)


def test_scales_are_of_the_input_rule_or_of_the_image_itself() -> None:
    rule = InputRule(longest_side=33)
    heights = {
        base: int(
            (cut(sample((65, 65)), Augment(65, (1, 1, 0), 0, scale_base=base), rule=rule).truth.ids)
            .any(axis=1)
            .sum()
        )
        for base in ("input", "image")
    }
    assert heights == {"input": 33, "image": 65}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scales": (2.0, 0.5, 0.25)}, "least, largest"),
        ({"scales": (0.0, 0.5, 0.25)}, "least, largest"),
        ({"scale_base": "photo"}, "input or image"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Augment(65, **settings)  # type: ignore[arg-type]


def photo(tmp_path: Path, size_hw: tuple[int, int], suffix: str) -> Path:
    rng = np.random.default_rng(1)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8), (0, 0), 6)
    path = tmp_path / f"x.{suffix}"
    PIL.Image.fromarray(np.clip((smooth - 128.0) * 8 + 128, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(("ratio", "shrink"), [(1, 1), (0.6, 1), (0.5, 2), (0.3, 2), (0.1, 8)])
def test_a_jpeg_is_decoded_as_small_as_will_do(tmp_path: Path, ratio: float, shrink: int) -> None:
    odd = read_photo(photo(tmp_path, (101, 67), "jpg"))
    assert odd.size_hw == (101, 67)
    assert odd.pixels(ratio).shape == (-(-101 // shrink), -(-67 // shrink), 3)
    found = read_photo(photo(tmp_path, (104, 72), "jpg"))
    small = found.pixels(ratio)
    whole = cv2.resize(found.pixels(), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - whole).mean() < 3


def test_other_files_are_decoded_whole(tmp_path: Path) -> None:
    assert read_photo(photo(tmp_path, (101, 67), "png")).pixels(0.1).shape == (101, 67, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_smaller_jpeg_is_upright_too(tmp_path: Path, orientation: int) -> None:
    image = PIL.Image.open(photo(tmp_path, (64, 96), "png"))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = BytesIO()
    image.save(data, "jpeg", exif=exif, quality=95)
    data.seek(0)
    found = read_photo(data)
    small, whole = found.pixels(0.5), found.pixels()
    assert whole.shape[:2] == found.size_hw
    halved = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - halved).mean() < 3


def reduced(image: Image, shrink: int) -> Image:
    """Means of blocks, the last ones of what is left, as a JPEG decoder makes a small copy."""
    below, right = (-n % shrink for n in image.shape[:2])
    whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = whole.shape[1] // shrink, whole.shape[0] // shrink
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@given(
    st.integers(0, 300),
    st.integers(150, 250),
    st.integers(150, 250),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
)
def test_photo_and_label_lie_on_each_other_however_small_the_photo_was_decoded(
    step: int, height: int, width: int, shrink: int, is_turned: bool
) -> None:
    rows, columns = np.indices((height, width))
    image = np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8)
    small = reduced(image, shrink)
    largest = 1 / shrink
    scales = (0.6 * largest, largest, 0.0)
    settings = Augment(crop=17, scales=scales, flip=0, rotation=(10, float(is_turned)))
    for truth, channel in ((rows, 0), (columns, 1)):
        found = Opened("x", lambda _: small, Labelled((truth + 1).astype(np.int32), ()))
        after = cut(found, settings, step=step, rule=FREE)
        shown = np.pad(after.truth.ids > 0, 1)  # the rim of the image blends with what is around
        shown = cv2.erode(shown.astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1] > 0
        apart = after.image[..., channel] - (after.truth.ids - 1.0)
        if shown.sum() > 60:  # half of a pixel of the crop; levels are whole numbers
            assert abs(apart[shown].mean()) <= 0.5 / scales[0] * 0.5 + 0.5


def test_every_place_of_an_enlarged_crop_is_as_likely_as_the_others() -> None:
    wide = Opened("x", lambda _: np.zeros((20, 20, 3), np.uint8), sample((20, 20)).truth)
    truth = Labelled(np.arange(1, 401, dtype=np.int32).reshape(20, 20), ())
    found = Opened("x", wide.pixels, truth)
    settings = Augment(crop=33, scales=(2, 2, 0), flip=0)
    first = [int(cut(found, settings, step=i, rule=FREE).truth.ids[0, 0]) for i in range(1000)]
    columns = np.bincount([(i - 1) % 20 for i in first])
    assert len(columns) == 5  # 20 - 16 + 1
    assert columns.min() > 150


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": 7},
        {"blur": -0.5},
        {"paste": 2},
        {"rotation": (10, 5)},
        {"rotation": (-10, 0.5)},
        {"rotation": (float("nan"), 1)},
        {"scales": (1, float("inf"), 0)},
        {"scales": (0.5, 2, float("nan"))},
    ],
)
def test_chances_and_angles_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"train\.(flip|blur|paste|rotation|scales)"):
        Augment(65, **settings)  # type: ignore[arg-type]


def test_steps_never_lead_beyond_the_largest_scale() -> None:
    settings = Augment(17, (0.5, 2, 0.4))
    drawn = {settings.drawn(generator(0, step=i, slot=0)).factor for i in range(99)}
    assert {round(factor, 9) for factor in drawn} == {0.5, 0.9, 1.3, 1.7}
