"""JSON and single-channel PNG files; every write shows up whole under its name or not at all."""

from __future__ import annotations

import gc
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.formats.images import contents
from atrous.types import BadInput, ClassMap, FloatMap, Image

# Ids lie in flat regions: deflate's own search beats OpenCV's default there in size and time.
_FLAT = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT)

_FINE = (cv2.IMWRITE_JPEG_QUALITY, 92)


def read_json(
    path: str | os.PathLike[str], shrink: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """What a JSON file holds.

    shrink  makes of each object what is kept of it, the inner ones first

    Raises: BadInput if the file is missing, empty, not UTF-8 or not JSON.
    """
    name, data = contents(path)
    try:
        text = data.decode("utf-8-sig")
        del data  # as large as the text, which is enough to have beside what it becomes
        with _collector_paused():
            return json.loads(text, object_hook=shrink)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        what = f"not whole JSON ({error.msg} at {where})"
        raise BadInput(f"{name}: {what}: write or copy it again") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise BadInput(f"{name}: not JSON in UTF-8: give the annotation file itself") from None


def write_json(path: str | os.PathLike[str], data: object) -> None:
    """Writes compact UTF-8 JSON.

    Raises: ValueError if a number is not finite; BadInput if the file cannot be written, or a text
    in it is the name of a file that is not UTF-8.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        start, stop = text.rfind('"', 0, error.start) + 1, text.find('"', error.end)
        require_utf8(text[start:stop])
        raise
    write_whole(path, encoded + b"\n")


def require_utf8(name: str) -> None:
    """Raises BadInput if a file's name is not UTF-8, so that JSON cannot hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        told = name.encode("utf-8", "backslashreplace").decode()
        raise BadInput(f"{told}: the name of this file is not UTF-8: rename it") from None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 text; names of files that are not UTF-8 become the bytes that they are.

    Raises: BadInput if the file cannot be written.
    """
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def write_class_map(path: str | os.PathLike[str], class_map: ClassMap) -> None:
    """Writes (h, w) class ids as a grey PNG, 8 or 16 bit as the array is.

    Raises: ValueError if the array is of another kind; BadInput if the file cannot be written.
    """
    if class_map.ndim != 2 or class_map.dtype not in (np.uint8, np.uint16):
        what = f"{class_map.dtype} of shape {class_map.shape}"
        raise ValueError(f"class map is {what}: give (h, w) uint8 or uint16")
    write_whole(path, id_png(class_map))


def write_confidence(path: str | os.PathLike[str], confidence: FloatMap) -> None:
    """Writes (h, w) values in [0, 1] as a 16 bit grey PNG, 1 = 65535.

    Raises: ValueError if a value lies outside; BadInput if the file cannot be written.
    """
    if confidence.ndim != 2 or not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise ValueError("confidence must be (h, w) with values in [0, 1]: normalise the scores")
    steps = np.rint(confidence.astype(np.float64) * 65535).astype(np.uint16)
    write_whole(path, _png(steps, ()))


def write_image(path: str | os.PathLike[str], rgb: Image) -> None:
    """Writes (h, w, 3) uint8 RGB as PNG, or as JPEG where the name ends so: a tenth of the time.

    Raises: ValueError if the array is of another kind; BadInput if the file cannot be written.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"image is {rgb.dtype} of shape {rgb.shape}: give (h, w, 3) uint8")
    is_jpeg = Path(path).suffix.lower() in (".jpg", ".jpeg")
    write_whole(path, _encoded(".jpg", rgb, _FINE) if is_jpeg else _png(rgb, ()))


def id_png(array: NDArray[Any]) -> bytes:
    """PNG bytes of numbers that lie in flat regions: (h, w), or (h, w, 3) RGB."""
    return _png(array, _FLAT)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file beside its place and renames it there; folders are made as needed.

    Links are followed; what is no regular file, such as /dev/stdout, is written into as it is.

    Raises: BadInput if the folder or the file cannot be written; nothing is left behind then.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)
            return
        target = target.resolve() if target.is_symlink() else target
        beside = target.parent / f".{uuid.uuid4().hex}.tmp"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadInput(f"{target}: cannot be written ({why}): choose another place") from None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parsing makes no rubbish; looking for it takes two thirds of the time on COCO's JSON."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _png(array: NDArray[Any], options: Sequence[int]) -> bytes:
    return _encoded(".png", array, options)


def _encoded(suffix: str, array: NDArray[Any], options: Sequence[int]) -> bytes:
    pixels = np.ascontiguousarray(array)
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(suffix, stored, options)
    if not done:
        what = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"no {suffix[1:].upper()} holds {what}: give it pixels")
    return bytes(data.tobytes())
