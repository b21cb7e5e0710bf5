"""Whatever Pillow opens, as (h, w, 3) uint8 RGB, upright.

| pixels of the file | become |
|---|---|
| 8 bit and less, any colour model | RGB; transparency is laid over white |
| 16 and 32 bit integers | value // 256; beyond 65535 only with `stretch` |
| floats | largest value <= 1: times 255; <= 255: as they are; <= 65535: as 16 bit numbers |
| with `stretch`: 16 bit and more, and every TIFF | own smallest value 0, own largest 255 |

Of several frames or pages the first is read. Colour profiles are not applied.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms

from atrous.formats.jpeg import decode_jpeg, is_usual_jpeg
from atrous.formats.keys import file_names
from atrous.types import BadInput, Image

MAX_PIXELS = 2**29
"""The largest image that is opened; small files can claim to hold far more."""

# What is drawn by an outside program, and what Pillow knows by name but cannot decode.
_NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_DEEP_MODES = ("I", "F")  # and I;16, whatever its byte order
_ORIENTATION_TAG = 0x0112
# EXIF orientation -> the axes to flip first; from 5 on rows and columns then change places.
_FLIPS = {2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (0,), 7: (0, 1), 8: (1,)}
_settings_lock = threading.Lock()


def read_image(source: str | os.PathLike[str] | BinaryIO, *, stretch: bool = False) -> Image:
    """The image in a file or binary stream, (h, w, 3) uint8 RGB; the page's head has the rules.

    A stream is named in errors by its `name`, where it has one.

    Raises: BadInput, one line, if there is no whole image in it or it is beyond `MAX_PIXELS`.
    """
    name, data = contents(source)
    return read_opened(opened(data, name=name), data, name=name, stretch=stretch)


def read_opened(image: PIL.Image.Image, data: bytes, *, name: str, stretch: bool = False) -> Image:
    """The pixels of `image`, which `opened` made of `data`, under the rules of `read_image`.

    Raises: BadInput if they are damaged or cut off.
    """
    if is_usual_jpeg(image, data):
        usual = decode_jpeg(data, (image.height, image.width))
        if usual is not None:
            return turned(usual, orientation(image))
    is_deep_colour = raw_mode(image).startswith("RGB;16")
    loaded(image, name=name)
    if stretch and is_deep_colour and (deep := _deep_colour(data)) is not None:
        return turned(_eight_bit(deep, name=name, stretch=True), orientation(image))
    return turned(_rgb(image, name=name, stretch=stretch), orientation(image))


def from_pillow(image: PIL.Image.Image, *, stretch: bool = False) -> Image:
    """A Pillow image of any mode, under the rules of `read_image`; `image` stays as it is.

    Colour that Pillow has already cut to 8 bits is stretched only where the file is a TIFF.

    Raises: BadInput if its file turns out to be damaged, or its numbers have no known scale.
    """
    name = str(getattr(image, "filename", "")) or "image"
    loaded(image, name=name)
    return turned(_rgb(image, name=name, stretch=stretch), orientation(image))


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The images directly in a folder, by suffix, in the order of their names; no hidden files.

    Raises: BadInput if there is no such folder.
    """
    known = PIL.Image.registered_extensions()
    suffixes = {s for s, kind in known.items() if kind in PIL.Image.OPEN} - {
        s for s, kind in known.items() if kind in _NO_PICTURES
    }
    try:
        names = file_names(folder, endings=suffixes)
    except OSError as error:
        raise BadInput(f"{folder}: {_reason(error)}: give a folder of images") from None
    return [path for path in map(Path(folder).joinpath, names) if path.suffix.lower() in suffixes]


def contents(source: str | os.PathLike[str] | BinaryIO) -> tuple[str, bytes]:
    """Name and bytes of a file or stream.

    Raises: BadInput if it cannot be read or is empty.
    """
    if isinstance(source, str | os.PathLike):
        name, data = os.fspath(source), _file_bytes(Path(source))
    else:
        given = getattr(source, "name", None)
        name, data = given if isinstance(given, str) else "image stream", source.read()
    if not data:
        raise BadInput(f"{name}: the file is empty: copy or export it again")
    return name, data


def opened(data: bytes, *, name: str) -> PIL.Image.Image:
    """The image in `data` with its header read and its pixels still to be decoded.

    Raises: BadInput if it is no image, one that holds no pixels, or beyond `MAX_PIXELS`.
    """
    try:
        image = _unlimited_open(data)
    except MemoryError:
        raise
    except Exception:  # broken headers end in nearly every kind of error
        raise BadInput(f"{name}: {_no_image(data)}") from None
    if image.format in _NO_PICTURES:
        raise BadInput(f"{name}: {image.format} holds no pixels to read: export it as PNG or JPEG")
    if image.format == "PNG" and b"IEND" not in data:  # Pillow forgives this once pixels are there
        raise BadInput(f"{name}: cut off before its end: copy or export it again")
    width, height = image.size
    if width * height > MAX_PIXELS:
        limit = f"at most {MAX_PIXELS} pixels are read: cut it into tiles or make it smaller"
        raise BadInput(f"{name}: {height}x{width} (height x width) is too large, {limit}")
    return image


def loaded(image: PIL.Image.Image, *, name: str) -> None:
    """Decodes the pixels of an opened image.

    Raises: BadInput if the file is cut off or damaged.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # broken data end in nearly every kind of error
        what = f"damaged or cut off ({_reason(error)})"
        raise BadInput(f"{name}: {what}: copy or export it again") from None


def raw_mode(image: PIL.Image.Image) -> str:
    """How the pixels lie in the file of an image that is not loaded yet, "RGB;16B" for example."""
    tiles: list[Any] = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return str(first)


def _file_bytes(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file: check the path") from None
    except IsADirectoryError:
        raise BadInput(f"{path}: a folder, not a file: name a file in it") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({_reason(error)}): check the file") from None


def _reason(error: Exception) -> str:
    """What an error says, on one line; of the system's errors neither number nor path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _unlimited_open(data: bytes) -> PIL.Image.Image:
    """Opens without Pillow's own limit, which is low and whose warning ends up on stderr."""
    with _quiet_pillow():
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            return PIL.Image.open(BytesIO(data))
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's words on odd metadata off stderr, one thread at a time."""
    with _settings_lock, warnings.catch_warnings():
        # The filter is that narrow because another thread might restore it after us.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _no_image(data: bytes) -> str:
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"GIF8")):
        return "damaged or cut off in its header: copy or export it again"
    return "not an image that can be read: give JPEG, PNG, TIFF or another image that Pillow reads"


def _deep_colour(data: bytes) -> NDArray[np.uint16] | None:
    """16 bit RGB, of which Pillow keeps only 8 bits; None where OpenCV does not read it so."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[2:] != (3,):
        return None
    return np.asarray(pixels[..., ::-1], dtype=np.uint16)


def _rgb(image: PIL.Image.Image, *, name: str, stretch: bool) -> Image:
    """(h, w, 3) as the image lies in its file."""
    if image.mode.startswith(_DEEP_MODES):
        grey = _eight_bit(np.asarray(image), name=name, stretch=stretch)
        return np.repeat(grey[..., None], 3, axis=2)
    own_range = stretch and image.format == "TIFF"
    return _eight_bit(np.array(_flattened(image)), name=name, stretch=own_range)


def _flattened(image: PIL.Image.Image) -> PIL.Image.Image:
    """RGB, transparency over white."""
    if image.mode == "LAB":
        return _from_lab(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = PIL.Image.new("RGBA", image.size, "white")
    page.alpha_composite(with_alpha)
    return page.convert("RGB")


def _from_lab(image: PIL.Image.Image) -> PIL.Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB"))
    assert converted is not None  # only an in-place transform returns nothing
    return converted


def _eight_bit(values: NDArray[Any], *, name: str, stretch: bool) -> NDArray[np.uint8]:
    """Numbers of any kind as 8 bits; an image of one value has no range to stretch."""
    finite = values[np.isfinite(values)] if stretch else values[:0]
    if finite.size and finite.min() < finite.max():
        return _stretched(values, low=float(finite.min()), high=float(finite.max()))
    return values if values.dtype == np.uint8 else _scaled(values, name)


def _stretched(values: NDArray[Any], *, low: float, high: float) -> NDArray[np.uint8]:
    level = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(np.nan_to_num(level, nan=0.0), 0, 255)).astype(np.uint8)


def _scaled(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """8 bits of deeper numbers, by the table at the page's head; negatives and NaN are 0."""
    positive: NDArray[Any] = np.clip(np.nan_to_num(values, nan=0.0), 0, None)
    largest = positive.max()
    if largest > 65535:
        raise BadInput(f"{name}: values up to {largest} are beyond 16 bit: use stretch (--stretch)")
    level: NDArray[Any] = positive // 256
    if values.dtype.kind == "f" and largest <= 255:
        level = np.rint(positive * (255 if largest <= 1 else 1))
    return level.astype(np.uint8)


def turned(pixels: Image, orientation: int) -> Image:
    """Pixels as they lie in a file, turned upright, contiguous."""
    flipped = np.flip(pixels, _FLIPS.get(orientation, ()))
    is_tall = orientation in (5, 6, 7, 8)
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if is_tall else flipped)


def orientation(image: PIL.Image.Image) -> int:
    """1 to 8; 1 also where EXIF is damaged, for the pixels are still good."""
    try:
        with _quiet_pillow():
            turn = int(image.getexif().get(_ORIENTATION_TAG, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1
    return turn if 1 <= turn <= 8 else 1
