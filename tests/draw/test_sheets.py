"""What must hold of pictures in rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import LABELS, PERSON, SIZE, SKY, grey, labelled, whole

from atrous.draw import Style, captioned, comparison, contact_sheet, side_by_side, thumbnail
from atrous.types import BadInput, Image, Labelled, Region


def test_side_by_side_keeps_every_pixel_of_its_images() -> None:
    first, second = np.full((40, 60, 3), 10, np.uint8), np.full((30, 20, 3), 20, np.uint8)
    row = side_by_side([first, second], ["first", "second"])
    assert (row == 10).all(axis=2).sum() >= 40 * 60
    assert (row == 20).all(axis=2).sum() >= 30 * 20
    tops = [np.argwhere((row == shade).all(axis=2))[:, 0] for shade in (10, 20)]
    assert np.median(tops[0]) - 20 == np.median(tops[1]) - 15


def test_side_by_side_wants_a_title_for_each_image() -> None:
    with pytest.raises(ValueError, match="shorter"):
        side_by_side([grey(SIZE), grey(SIZE)], ["one"])


def test_a_contact_sheet_shows_every_image_once() -> None:
    shades = [np.full((20, 30, 3), shade, np.uint8) for shade in (10, 20, 30, 40, 50)]
    sheet = contact_sheet(shades, columns=3)
    counts = [(sheet == shade).all(axis=2).sum() for shade in (10, 20, 30, 40, 50)]
    assert counts == [600] * 5
    assert sheet.shape[0] < sheet.shape[1]


def test_a_contact_sheet_scales_only_the_larger_images_down() -> None:
    sizes = [(20, 30), (20, 30), (200, 300), (10, 10)]
    images = [np.full((*size, 3), 10 * i, np.uint8) for i, size in enumerate(sizes, start=1)]
    sheet = contact_sheet(images, columns=2)
    assert (sheet == 30).all(axis=2).sum() == 600
    assert (sheet == 40).all(axis=2).sum() == 100


TRUTH = labelled(
    (40, 60), (Region(1, SKY), whole((40, 60))), (Region(2, PERSON), (slice(10, 30),) * 2)
)


def compare(image: Image | None, truth: Labelled, title: str = "one.jpg  PQ 31.2") -> Image:
    nothing = replace(truth, ids=np.zeros_like(truth.ids))
    return comparison(image, truth, nothing, labels=LABELS, matches=(), title=title)


def test_a_comparison_holds_the_photo_as_it_is() -> None:
    photo = np.full((*SIZE, 3), (1, 99, 200), np.uint8)
    truth = labelled(SIZE, (Region(1, SKY), whole(SIZE)))
    sheet = compare(photo, truth)
    assert (sheet == (1, 99, 200)).all(axis=2).sum() == SIZE[0] * SIZE[1]


def test_a_comparison_is_four_columns_under_a_title() -> None:
    truth = labelled(SIZE, (Region(1, SKY), whole(SIZE)))
    height, width, _ = compare(grey(SIZE), truth).shape
    assert 4 * SIZE[1] < width < 4 * SIZE[1] + 60
    assert SIZE[0] + 40 < height < SIZE[0] + 140


def test_a_comparison_without_a_photo_has_the_same_size() -> None:
    assert compare(None, TRUTH).shape == compare(grey((40, 60)), TRUTH).shape


@pytest.mark.parametrize("size", [(1024, 2048), (2048, 1024), (3, 5000)])
def test_a_comparison_of_large_images_is_bounded(size: tuple[int, int]) -> None:
    truth = labelled(size, (Region(2**24, SKY), whole(size)))
    height, width, _ = compare(grey(size), truth).shape
    assert max(height, width / 4) < 1000


def test_a_tiny_image_is_enlarged_pixel_by_pixel() -> None:
    photo = np.zeros((2, 3, 3), np.uint8)
    photo[0, 0], photo[1, 2] = (1, 99, 200), (200, 99, 1)
    sheet = compare(photo, labelled((2, 3), (Region(1, SKY), whole((2, 3)))))
    for colour in photo[0, 0], photo[1, 2]:
        ys, xs = np.nonzero((sheet == colour).all(axis=2))
        assert len(ys) == 80 * 80
        assert np.ptp(ys) == np.ptp(xs) == 79


def test_a_long_title_widens_the_comparison() -> None:
    short, long = (compare(None, TRUTH, title="x" * n) for n in (1, 400))
    assert long.shape[1] > 2 * short.shape[1]
    assert (long[:, short.shape[1] :] < 128).any()


def test_the_order_of_regions_does_not_show_in_a_comparison() -> None:
    other = replace(TRUTH, regions=TRUTH.regions[::-1])
    np.testing.assert_array_equal(compare(None, TRUTH), compare(None, other))


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (1, 300), (300, 1), SIZE])
@pytest.mark.parametrize("regions", [(), (Region(4, PERSON), Region(5, SKY, is_crowd=True))])
def test_nothing_at_all_can_be_compared(size: tuple[int, int], regions: tuple[Region, ...]) -> None:
    compare(grey(size), Labelled(np.zeros(size, np.int32), regions))


def test_what_differs_in_size_is_not_compared() -> None:
    with pytest.raises(ValueError, match=r"image is \(9, 9\), its truth \(40, 60\)"):
        compare(grey((9, 9)), TRUTH)


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (2, 0)])
def test_a_sheet_of_nothing_is_refused(count: int, columns: int) -> None:
    with pytest.raises(BadInput, match="give at least one image and one column"):
        contact_sheet([grey(SIZE)] * count, columns=columns)


def test_a_thumbnail_is_a_small_overlay_under_its_title() -> None:
    truth = labelled(SIZE, (Region(1, SKY), whole(SIZE)))
    style = Style(legend=False)
    plain = thumbnail(grey(SIZE), truth, LABELS, longest_px=60, style=style)
    assert plain.shape == (40, 60, 3)
    titled = thumbnail(grey(SIZE), truth, LABELS, longest_px=60, title="x" * 99, style=style)
    assert titled.shape[0] > 40
    assert titled.shape[1] == 60


def test_a_thumbnail_is_never_scaled_up() -> None:
    truth = labelled((4, 6), (Region(1, SKY), whole((4, 6))))
    assert thumbnail(grey((4, 6)), truth, LABELS, longest_px=480).shape == (4, 6, 3)


def test_a_caption_is_cut_to_the_width_of_its_picture() -> None:
    picture = captioned(grey((100, 200)), "x" * 99, longest_px=60)
    assert picture.shape[0] > 30
    assert picture.shape[1] == 60
    assert captioned(grey((4, 6)), "", longest_px=60).shape == (4, 6, 3)


def test_a_thumbnail_without_pixels_is_refused() -> None:
    with pytest.raises(BadInput, match="longest_px is 0"):
        thumbnail(grey(SIZE), labelled(SIZE), LABELS, longest_px=0)
