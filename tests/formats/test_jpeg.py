from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.formats import read_image, read_photo
from atrous.formats.jpeg import decode_jpeg, is_usual_jpeg
from atrous.types import BadInput, Image


@pytest.fixture(scope="module", autouse=True, params=["simplejpeg", "OpenCV"])
def _decoder(request: pytest.FixtureRequest) -> Iterator[None]:
    """All with the extra `fast` and without it."""
    if request.param == "simplejpeg":
        pytest.importorskip("simplejpeg")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.formats.jpeg.simplejpeg", None)
        yield


def picture(size_hw: tuple[int, int]) -> Image:
    noise = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), dtype=np.uint8)


def jpeg(image: PIL.Image.Image, **options: object) -> BytesIO:
    data = BytesIO()
    image.save(data, "jpeg", **options)
    data.seek(0)
    return data


sides = st.integers(1, 70)


@given(sides, sides, st.sampled_from([0, 1, 2]), st.integers(30, 95), st.booleans())
def test_pixels_are_those_of_pillow(
    height: int, width: int, subsampling: int, quality: int, progressive: bool
) -> None:
    options = {"subsampling": subsampling, "quality": quality, "progressive": progressive}
    data = jpeg(PIL.Image.fromarray(picture((height, width))), **options)
    pillow = np.asarray(PIL.Image.open(data))
    ours = decode_jpeg(data.getvalue(), (height, width))
    np.testing.assert_array_equal(ours, pillow)


@given(sides, sides, st.sampled_from([2, 4, 8]))
def test_a_smaller_copy_is_the_draft_of_pillow(height: int, width: int, shrink: int) -> None:
    data = jpeg(PIL.Image.fromarray(picture((height, width))), quality=90)
    ours = decode_jpeg(data.getvalue(), (height, width), shrink)
    assert ours is not None
    assert ours.shape == (-(-height // shrink), -(-width // shrink), 3)
    draft = PIL.Image.open(data)
    draft.draft("RGB", (ours.shape[1], ours.shape[0]))
    if draft.size == (ours.shape[1], ours.shape[0]) and min(height, width) >= shrink:
        np.testing.assert_array_equal(ours, np.asarray(draft))


def test_a_grey_jpeg_becomes_rgb() -> None:
    data = jpeg(PIL.Image.fromarray(picture((20, 30))[..., 0]))
    ours = decode_jpeg(data.getvalue(), (20, 30))
    np.testing.assert_array_equal(ours, np.asarray(PIL.Image.open(data).convert("RGB")))


def test_cmyk_and_what_is_cut_off_are_left_to_pillow() -> None:
    cmyk = jpeg(PIL.Image.fromarray(picture((20, 30))).convert("CMYK"))
    assert not is_usual_jpeg(PIL.Image.open(cmyk), cmyk.getvalue())
    data = jpeg(PIL.Image.fromarray(picture((200, 300)))).getvalue()
    half = BytesIO(data[: len(data) // 2])
    assert not is_usual_jpeg(PIL.Image.open(half), half.getvalue())
    half.seek(0)
    with pytest.raises(BadInput, match="cut off"):
        read_photo(half).pixels(0.5)


def test_a_damaged_jpeg_reads_as_pillow_reads_it(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(jpeg(PIL.Image.fromarray(picture((200, 300)))).getvalue())
    data[3000:3100] = bytes((x * 7 + 13) % 256 for x in data[3000:3100])
    pillow = np.asarray(PIL.Image.open(BytesIO(bytes(data))))
    np.testing.assert_array_equal(read_image(BytesIO(bytes(data))), pillow)
