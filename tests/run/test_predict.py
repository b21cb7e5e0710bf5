from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from atrous.data.transforms import InputRule, resized
from atrous.labels import VOC
from atrous.nn.resample import resize, sample_grid
from atrous.run.predict import Eye, Views, frames_of
from atrous.tensors import Frame, Grid, Maps, View
from atrous.types import Image
from atrous.views.classes import classify, image_grid, probabilities

CPU = torch.device("cpu")
RULE = InputRule(longest_side=0, multiple=16)


def colours(batch: Tensor) -> Maps:
    """What a network would answer that sees single pixels: their colours, at every fourth."""
    return Maps(3 * batch[:, :, ::4, ::4], 4)


def photo(height: int, width: int, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return resized(coarse, (height, width))


def see(image: Image, views: Views, rule: InputRule = RULE) -> tuple[View, ...]:
    return Eye(colours, rule, CPU, views, batch=3).see([image])[0]


def logits_of(image: Image, frame: Frame) -> Tensor:
    """Logits at every pixel of a frame's input, upsampled as a whole."""
    (y, x), (height, width) = frame.origin_yx, frame.window_hw
    window = resized(image, frame.resized_hw)[y : y + height, x : x + width]
    padded = np.full((*frame.input_hw, 3), RULE.fill, np.uint8)
    padded[:height, :width] = window[:, ::-1] if frame.flipped else window
    maps = colours(torch.from_numpy(RULE.normalise(padded))[None])
    whole = resize(maps.semantic, frame.input_hw)[0, :, :height, :width]
    return whole.flip(-1) if frame.flipped else whole


def test_scales_and_mirror_images_are_averaged_as_probabilities() -> None:
    image = photo(49, 77)
    seen = see(image, Views(scales=(0.5, 1.0, 1.75), flip=True))
    expected = torch.zeros(3, 49, 77)
    for view in seen:
        assert not view.frame.origin_yx[0]
        chances = logits_of(image, view.frame)
        y, x = (
            torch.from_numpy(at).float() for at in image_grid(seen).moved(view.frame.resized_hw)
        )
        expected += sample_grid(chances, y, x).softmax(dim=0) / len(seen)
    found = probabilities(seen, Grid.of((49, 77)))
    assert len(seen) == 6
    assert float((found - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("twin_logits", [False, True])
def test_windows_are_averaged_where_they_overlap(twin_logits: bool) -> None:
    image = photo(80, 100)
    seen = see(image, Views(window=49, flip=True))
    total, times = torch.zeros(3, 80, 100), torch.zeros(80, 100)
    for view, twin in zip(seen[::2], seen[1::2], strict=True):
        assert view.frame.origin_yx == twin.frame.origin_yx
        (y, x), (height, width) = view.frame.origin_yx, view.frame.window_hw
        pair = [logits_of(image, v.frame) for v in (view, twin)]
        if twin_logits:
            chances = (pair[0] + pair[1]).softmax(dim=0)
        else:
            chances = (pair[0].softmax(dim=0) + pair[1].softmax(dim=0)) / 2
        total[:, y : y + height, x : x + width] += chances
        times[y : y + height, x : x + width] += 1
    found = probabilities(seen, Grid.of((80, 100)), twin_logits=twin_logits)
    assert float((found - total / times).abs().max()) < 1e-5


def test_windows_lie_as_the_authors_code_lays_them() -> None:
    rule = InputRule(longest_side=513, enlarge=True, multiple=8)
    frames = list(frames_of((600, 800), rule, Views(window=473)))
    assert {frame.resized_hw for frame in frames} == {(385, 513)}
    assert [frame.origin_yx for frame in frames] == [(0, 0), (0, 40)]
    assert {frame.input_hw for frame in frames} == {(473, 473)}
    assert frames[0].window_hw == (385, 473)
    large = list(frames_of((600, 800), rule, Views(window=473, scales=(1.75,))))
    assert [frame.origin_yx for frame in large] == [(y, x) for y in (0, 200) for x in (0, 316, 424)]


def test_the_scale_nearest_to_one_comes_first() -> None:
    frames = frames_of((100, 100), RULE, Views(scales=(0.5, 2.0, 1.25, 0.9)))
    assert [frame.resized_hw[0] for frame in frames] == [90, 125, 51, 199]


def test_one_view_alone_and_the_mean_of_it_agree() -> None:
    seen = see(photo(50, 60), Views())
    classes, sure = classify(seen, image_grid(seen), labels=VOC)
    chances = probabilities(seen, image_grid(seen))
    chosen = np.take_along_axis(chances.numpy(), classes[None].astype(np.int64), axis=0)[0]
    assert np.abs(chosen - chances.amax(dim=0).numpy()).max() < 1e-5
    assert np.abs(sure - chances.amax(dim=0).numpy()).max() < 1e-5


def test_images_of_one_size_go_through_the_network_together() -> None:
    sizes: list[tuple[int, ...]] = []

    def network(batch: Tensor) -> Maps:
        sizes.append(tuple(batch.shape))
        return colours(batch)

    images = [photo(40, 60, 0), photo(30, 30, 1), photo(45, 60, 2), photo(40, 60, 3)]
    seen = Eye(network, RULE, CPU, Views(), batch=2).see(images)
    assert sizes == [(2, 3, 49, 65), (1, 3, 49, 65), (1, 3, 33, 33)]
    for image, views in zip(images, seen, strict=True):
        alone = see(image, Views())[0]
        assert views[0].frame == alone.frame
        assert torch.equal(views[0].maps.semantic, alone.maps.semantic)


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [
        ({"scales": ()}, "above 0"),
        ({"scales": (1.0, -1.0)}, "above 0"),
        ({"scales": (float("nan"),)}, "above 0"),
        ({"scales": (1.0, 1.0)}, "once"),
        ({"scales": 1.0}, "tuple"),
        ({"window": -3}, "pixels"),
        ({"window": 129.0}, "pixels"),
        ({"window": 65, "tile": 129}, "choose one"),
    ],
)
def test_views_that_make_no_sense_are_refused(wrong: dict[str, object], mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        Views(**wrong)  # type: ignore[arg-type]


def test_windows_and_tiles_must_fit_the_strides() -> None:
    with pytest.raises(ValueError, match=r"n \* 16 \+ 1, such as 497 or 513"):
        Views(window=500).require_fit(16)
    with pytest.raises(ValueError, match="such as 129 or 145"):
        Views(tile=65).require_fit(16)
    Views(window=473).require_fit(8)
    Views(tile=1025).require_fit(16)


def test_scales_that_come_to_one_size_count_once() -> None:
    frames = list(frames_of((1, 1), RULE, Views(scales=(0.5, 1.0, 2.0), flip=True)))
    assert [frame.flipped for frame in frames] == [False, True]
