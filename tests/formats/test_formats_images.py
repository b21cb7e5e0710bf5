from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ImageCms, ImageFile

from atrous.formats import MAX_PIXELS, from_pillow, image_files, read_image
from atrous.types import BadInput

ORIENTATION = 0x0112
RED, WHITE, BLACK = [255, 0, 0], [255, 255, 255], [0, 0, 0]


def noise(height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(array: NDArray[Any], kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def deep(array: NDArray[Any], suffix: str) -> bytes:
    """16 bit and float files, which OpenCV writes."""
    done, data = cv2.imencode(suffix, array)
    assert done
    return data.tobytes()


def read(data: bytes, *, stretch: bool = False) -> NDArray[np.uint8]:
    image = read_image(io.BytesIO(data), stretch=stretch)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    return image


def line(error: pytest.ExceptionInfo[BadInput]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


# --- what is read -----------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["PNG", "TIFF", "BMP", "PPM"]))
def test_lossless_rgb_files_give_their_pixels_back(height: int, width: int, kind: str) -> None:
    pixels = noise(height, width)
    np.testing.assert_array_equal(read(saved(pixels, kind)), pixels)


def test_path_and_string_and_stream_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(noise(), "PNG"))
    with path.open("rb") as stream:
        np.testing.assert_array_equal(read_image(stream), read_image(path))
    np.testing.assert_array_equal(read_image(str(path)), noise())


def test_image_is_contiguous_and_may_be_written_to() -> None:
    image = read(saved(noise(), "PNG"))
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize("size", [(1, 1), (3, 20000), (20000, 3)])
def test_extreme_sizes_are_read(size: tuple[int, int]) -> None:
    assert read(saved(np.full((*size, 3), 7, np.uint8), "PNG")).shape == (*size, 3)


def test_one_bit_image_becomes_black_and_white() -> None:
    bits = np.array([[True, False]])
    assert read(saved(bits, "PNG")).tolist() == [[WHITE, BLACK]]


def test_grey_image_has_three_equal_channels() -> None:
    assert read(saved(np.array([[9, 200]], np.uint8), "PNG")).tolist() == [[[9] * 3, [200] * 3]]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "La", "RGBa"])
def test_transparent_pixels_are_white_and_opaque_ones_keep_their_colour(mode: str) -> None:
    rgba = np.array([[[60, 60, 60, 255], [0, 0, 0, 0]]], np.uint8)
    grey_alpha = PIL.Image.fromarray(rgba).convert("LA")
    image = grey_alpha if mode == "LA" else PIL.Image.fromarray(rgba)
    if mode == "PA":
        image = PIL.Image.new("PA", (2, 1))
        image.putpalette([60, 60, 60])
        image.putalpha(PIL.Image.fromarray(rgba[..., 3]))
    elif mode in ("La", "RGBa"):
        image = (grey_alpha if mode == "La" else image).convert(mode)
    assert from_pillow(image).tolist() == [[[60] * 3, WHITE]]


def test_half_transparent_black_is_grey() -> None:
    half = np.array([[[0, 0, 0, 128]]], np.uint8)
    assert read(saved(half, "PNG")).tolist() == [[[127] * 3]]


def palette_image() -> PIL.Image.Image:
    image = PIL.Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([*RED, 0, 0, 255])
    return image


def test_palette_image_shows_its_colours() -> None:
    stream = io.BytesIO()
    palette_image().save(stream, "PNG")
    assert read(stream.getvalue()).tolist() == [[RED, [0, 0, 255]]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_transparent_palette_colour_is_white(transparency: int | bytes) -> None:
    stream = io.BytesIO()
    palette_image().save(stream, "PNG", transparency=transparency)
    assert read(stream.getvalue()).tolist() == [[RED, WHITE]]


@pytest.mark.parametrize("transparency", [(1, 2, 3), 5])
def test_transparent_colour_of_rgb_and_grey_is_white(transparency: Any) -> None:
    colour = isinstance(transparency, tuple)
    pixels = np.array([[[1, 2, 3], RED]] if colour else [[5, 0]], np.uint8)
    image = read(saved(pixels, "PNG", transparency=transparency))
    assert image.tolist() == [[WHITE, RED if colour else BLACK]]


def test_cmyk_jpeg_of_adobe_is_not_inverted() -> None:
    stream = io.BytesIO()
    PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(stream, "JPEG", quality=95)
    assert b"Adobe" in stream.getvalue()
    np.testing.assert_allclose(read(stream.getvalue())[8, 8], RED, atol=4)


def test_cmyk_tiff_without_ink_is_white() -> None:
    stream = io.BytesIO()
    PIL.Image.new("CMYK", (2, 2)).save(stream, "TIFF")
    assert read(stream.getvalue()).min() == 255


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_other_colour_models_become_rgb(mode: str) -> None:
    red = PIL.Image.new("RGB", (2, 2), "red").convert(mode)
    np.testing.assert_allclose(from_pillow(red)[0, 0], RED, atol=2)


def test_lab_becomes_rgb() -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    lab = ImageCms.applyTransform(PIL.Image.new("RGB", (2, 2), (200, 80, 40)), to_lab)
    assert lab is not None
    stream = io.BytesIO()
    lab.save(stream, "TIFF")
    np.testing.assert_allclose(read(stream.getvalue())[0, 0], [200, 80, 40], atol=4)


def test_first_frame_of_an_animation_is_read() -> None:
    stream = io.BytesIO()
    frames = [PIL.Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert read(stream.getvalue())[0, 0].tolist() == RED


# --- 16 bit and more --------------------------------------------------------------------------

SIXTEEN = np.array([[0, 255, 256], [4095, 40000, 65535]], np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_is_divided_by_256(suffix: str) -> None:
    assert read(deep(SIXTEEN, suffix))[..., 0].tolist() == [[0, 0, 1], [15, 156, 255]]


def test_byte_order_of_sixteen_bit_tiff_does_not_matter() -> None:
    image = PIL.Image.frombytes("I;16B", (3, 2), SIXTEEN.astype(">u2").tobytes())
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    assert stream.getvalue()[:2] == b"MM"
    assert read(stream.getvalue())[..., 0].tolist() == [[0, 0, 1], [15, 156, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_is_divided_by_256(suffix: str) -> None:
    pixels = np.dstack([SIXTEEN, SIXTEEN // 2, SIXTEEN // 4])
    expected = (pixels // 256)[..., ::-1]
    np.testing.assert_array_equal(read(deep(pixels, suffix)), expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_stretch_spreads_sixteen_bit_grey_over_its_own_range(suffix: str) -> None:
    dark = np.array([[1000, 1010, 1051]], np.uint16)
    assert read(deep(dark, suffix), stretch=True)[..., 0].tolist() == [[0, 50, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_stretch_keeps_what_lies_in_the_low_bits_of_colour(suffix: str) -> None:
    dark = np.zeros((1, 256, 3), np.uint16)
    dark[0, :, 2] = np.arange(256)
    red = read(deep(dark, suffix), stretch=True)[0, :, 0]
    np.testing.assert_array_equal(red, np.arange(256))


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=20))
def test_stretch_keeps_the_order_of_values(values: list[int]) -> None:
    levels = read(deep(np.array([values], np.uint16), ".png"), stretch=True)[0, :, 0]
    assert (np.diff(levels[np.argsort(values, kind="stable")].astype(int)) >= 0).all()


def test_stretch_leaves_an_image_of_one_value_as_without() -> None:
    flat = deep(np.full((2, 2), 512, np.uint16), ".png")
    np.testing.assert_array_equal(read(flat, stretch=True), read(flat))


def test_stretch_spreads_eight_bit_tiff_but_not_png() -> None:
    dim = np.array([[[10, 10, 10], [61, 61, 61]]], np.uint8)
    assert read(saved(dim, "TIFF"), stretch=True)[..., 0].tolist() == [[0, 255]]
    np.testing.assert_array_equal(read(saved(dim, "PNG"), stretch=True), dim)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 256.0, 65535.0], [0, 1, 255]),
        ([-1.0, float("nan"), 1.0], [0, 0, 255]),
    ],
)
def test_floats_are_read_on_the_scale_of_their_largest_value(
    values: list[float], levels: list[int]
) -> None:
    data = saved(np.array([values], np.float32), "TIFF")
    assert read(data)[0, :, 0].tolist() == levels


def test_stretch_of_floats_passes_over_what_is_not_finite() -> None:
    values = np.array([[-2.0, 0.0, 2.0, np.nan, np.inf]], np.float32)
    levels = read(saved(values, "TIFF"), stretch=True)[0, :, 0]
    assert levels.tolist() == [0, 128, 255, 0, 255]


def test_numbers_beyond_sixteen_bit_ask_for_stretch(tmp_path: Path) -> None:
    path = tmp_path / "counts.tif"
    path.write_bytes(saved(np.array([[0, 70000]], np.int32), "TIFF"))
    with pytest.raises(BadInput, match=r"counts\.tif.*70000.*--stretch") as error:
        read_image(path)
    line(error)
    assert read_image(path, stretch=True)[0, :, 0].tolist() == [0, 255]


# --- upright ----------------------------------------------------------------------------------

F = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8) * 255
AS_STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.swapaxes(x, 0, 1),
    6: np.rot90,
    7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
    8: lambda x: np.rot90(x, -1),
}
"""Where the letter F lands in the file when a camera writes this orientation."""


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation_is_undone(turn: int, kind: str) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = turn
    stored = np.ascontiguousarray(np.kron(AS_STORED[turn](F), np.ones((8, 8), np.uint8)))
    options = {"lossless": True} if kind == "WEBP" else {}
    image = read(saved(stored, kind, exif=exif, **options))
    np.testing.assert_array_equal(image[4::8, 4::8, 0] > 127, F > 127)


@pytest.mark.parametrize("turn", range(1, 9))
def test_stretched_sixteen_bit_colour_tiff_is_upright(turn: int) -> None:
    stored = np.ascontiguousarray(AS_STORED[turn](F)).astype(np.uint16)
    data = with_tiff_orientation(deep(np.dstack([stored] * 3), ".tif"), turn)
    np.testing.assert_array_equal(read(data, stretch=True)[..., 0], F)


def with_tiff_orientation(data: bytes, turn: int) -> bytes:
    """Adds the tag to a little endian TIFF by a new directory at its end."""
    assert data[:4] == b"II*\0"
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries = [e for e in entries if struct.unpack_from("<H", e)[0] != ORIENTATION]
    entries.append(struct.pack("<HHIHH", ORIENTATION, 3, 1, turn, 0))
    entries.sort(key=lambda e: int(struct.unpack_from("<H", e)[0]))
    padded = data + b"\0" * (len(data) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    return padded[:4] + struct.pack("<I", len(padded)) + padded[8:] + directory


def test_damaged_exif_does_not_hide_a_good_image() -> None:
    data = saved(noise(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert read(data).shape == noise().shape


def test_from_pillow_agrees_with_read_image() -> None:
    data = saved(noise(), "JPEG")
    np.testing.assert_array_equal(from_pillow(PIL.Image.open(io.BytesIO(data))), read(data))


# --- what is refused --------------------------------------------------------------------------


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.png: no such file: check the path") as error:
        read_image(tmp_path / "gone.png")
    line(error)


def test_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a folder, not a file") as error:
        read_image(tmp_path)
    assert str(tmp_path) in line(error)


def test_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(BadInput, match=r"a\.png: the file is empty") as error:
        read_image(tmp_path / "a.png")
    line(error)


def test_text_named_as_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("a day\nin the park\n")
    with pytest.raises(BadInput, match=r"a\.jpg: not an image") as error:
        read_image(tmp_path / "a.jpg")
    line(error)


def test_stream_is_called_by_its_name() -> None:
    stream = io.BytesIO(b"text")
    with pytest.raises(BadInput, match=r"^image stream: not an image"):
        read_image(stream)
    named = io.BytesIO(b"text")
    named.name = "upload.jpg"
    with pytest.raises(BadInput, match=r"^upload\.jpg: not an image"):
        read_image(named)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_image_that_was_cut_off_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    data = saved(noise(), kind)
    path = tmp_path / "half.img"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadInput, match=r"half\.img: .*(export it again|Pillow reads)") as error:
        read_image(path)
    line(error)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("missing", [8, 16, 24])
def test_image_that_lacks_its_last_bytes_is_refused(kind: str, missing: int) -> None:
    with pytest.raises(BadInput, match="export it again") as error:
        read(saved(noise(), kind)[:-missing])
    line(error)


def test_png_with_a_flipped_bit_is_refused() -> None:
    data = bytearray(saved(noise(), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(BadInput, match="damaged") as error:
        read(bytes(data))
    line(error)


@given(st.binary(min_size=1, max_size=64), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0"]))
def test_noise_is_refused_in_one_line(tail: bytes, head: bytes) -> None:
    with pytest.raises(BadInput) as error:
        read(head + tail)
    line(error)


def test_postscript_is_refused_and_nothing_is_run() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(BadInput, match="EPS holds no pixels") as error:
        read(data)
    line(error)


def empty_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(BadInput, match=r"30000x20000 \(height x width\) is too large") as error:
        read(empty_png(20000, 30000))
    assert str(MAX_PIXELS) in line(error)


def test_size_within_the_limit_is_not_what_is_refused() -> None:
    assert PIL.Image.MAX_IMAGE_PIXELS is not None
    assert PIL.Image.MAX_IMAGE_PIXELS < 20000 * 10000
    stream = io.BytesIO(empty_png(20000, 10000)[:60])
    with pytest.raises(BadInput, match="cut off"):
        read_image(stream)


def test_settings_of_pillow_are_left_alone() -> None:
    before = PIL.Image.MAX_IMAGE_PIXELS
    read(saved(noise(), "PNG"))
    with pytest.raises(BadInput):
        read(b"text")
    assert before == PIL.Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


# --- folders ----------------------------------------------------------------------------------


def test_images_of_a_folder_come_sorted_without_hidden_other_and_nested_files(
    tmp_path: Path,
) -> None:
    for name in ("b.JPG", "a.png", "c.Tiff", ".hidden.png", "notes.txt", "film.mpg", "d.eps"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inner.png").touch()
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b.JPG", "c.Tiff"]


def test_missing_folder_of_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone: .*give a folder") as error:
        image_files(tmp_path / "gone")
    line(error)
