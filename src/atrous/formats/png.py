"""Label PNGs of the plain kinds, several times faster than Pillow; None for whatever is not plain.

Plain is 8 bit RGB, 8 or 16 bit grey and 8 bit palette, not interlaced, whole and sound, and without
chunks that are not named here. Callers give the rest to Pillow, which reads it or says what is
wrong. `deflate` (the extra `fast`) does the inflating, without it the slower `zlib`.

# Invariant: what is decoded here Pillow reads too, and as the same numbers.

Source: PNG specification (W3C, third edition), sections 5, 7, 9 to 11.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Container, Mapping
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from atrous.formats.images import MAX_PIXELS
from atrous.types import IdMap, IdRuns

deflate: ModuleType | None
try:
    import deflate
except ImportError:
    deflate = None

Chunk = tuple[bytes, memoryview]
"""Name and contents."""

Plain = tuple[NDArray[np.uint8], tuple[int, int], tuple[int, ...]]
"""Filtered rows, (h, w), and where in a number each byte of a pixel goes."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3

# What changes no number. Not tEXt: Pillow takes some of its keywords for settings of its own.
_BESIDE = rb"(?:PLTE|tRNS|bKGD|cHRM|gAMA|pHYs|sBIT|sRGB|tIME)*"
_ORDER = re.compile(rb"IHDR" + _BESIDE + rb"(?:IDAT)+" + _BESIDE + rb"IEND")
_LENGTHS: Mapping[bytes, Container[int]] = {
    b"IHDR": (13,),
    b"PLTE": range(3, 769, 3),
    b"cHRM": (32,),
    b"gAMA": (4,),
    b"pHYs": (9,),
    b"sRGB": (1,),
    b"IEND": (0,),
}
_ANY_LENGTH = range(2**31)
_TRANSPARENCY: Mapping[int, Container[int]] = {_GREY: (2,), _RGB: (6,), _PALETTE: range(1, 257)}

_MOST_INFLATION = 1032  # a length of 258 bytes in two bits

# (bit depth, colour type) -> where in a number each byte of a pixel goes
_COLOURS: Mapping[tuple[int, int], tuple[int, ...]] = {(8, _RGB): (0, 8, 16)}
_NUMBERS: Mapping[tuple[int, int], tuple[int, ...]] = {
    (8, _GREY): (0,),
    (8, _PALETTE): (0,),
    (16, _GREY): (8, 0),
}


def decode_rgb(data: bytes) -> IdMap | None:
    """(h, w) ids R + 256 G + 65536 B of a plain 8 bit RGB PNG; None of anything else."""
    plain = _opened(data, _COLOURS)
    return None if plain is None else _pixels(plain)


def decode_rgb_runs(data: bytes) -> IdRuns | None:
    """`decode_rgb` as runs: faster, for the map itself is never written."""
    plain = _opened(data, _COLOURS)
    return None if plain is None else _runs(plain)


def decode_grey(data: bytes) -> NDArray[np.int32] | None:
    """(h, w) grey values or palette indices of a plain PNG as they are stored; None of all else."""
    plain = _opened(data, _NUMBERS)
    return None if plain is None else _pixels(plain)


def decode_grey_runs(data: bytes) -> IdRuns | None:
    """`decode_grey` as runs: faster, for the map itself is never written."""
    plain = _opened(data, _NUMBERS)
    return None if plain is None else _runs(plain)


def _opened(data: bytes, kinds: Mapping[tuple[int, int], tuple[int, ...]]) -> Plain | None:
    """The inflated rows of a plain PNG of one of these kinds."""
    if data[:8] != _SIGNATURE or len(data) < 33:
        return None
    width, height, depth, colour, *methods = struct.unpack_from(">IIBBBBB", data, 16)
    lanes = kinds.get((depth, colour))
    if lanes is None or any(methods) or not 0 < width * height <= MAX_PIXELS:
        return None
    stream = _stream(data, colour)
    rows = None if stream is None else _inflated(stream, height * (1 + width * len(lanes)))
    if rows is None:
        return None
    filtered = np.frombuffer(rows, dtype=np.uint8).reshape(height, -1)
    return filtered, (height, width), lanes


def _stream(data: bytes, colour: int) -> bytes | None:
    """What is in the IDAT chunks of a sound file."""
    chunks = _chunks(data)
    if not _ORDER.fullmatch(b"".join(name for name, _ in chunks)):
        return None
    lengths = {**_LENGTHS, b"tRNS": _TRANSPARENCY[colour]}
    if any(len(part) not in lengths.get(name, _ANY_LENGTH) for name, part in chunks):
        return None
    return b"".join(part for name, part in chunks if name == b"IDAT")


def _chunks(data: bytes) -> list[Chunk]:
    """The chunks up to the end, which is where Pillow stops too, or to the first damaged one."""
    chunks: list[Chunk] = []
    view, at, name = memoryview(data), len(_SIGNATURE), b""
    while name != b"IEND" and at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[at + 4 : end]).to_bytes(4) != view[end : end + 4]:
            break
        chunks.append((name, view[at + 8 : end]))
        at = end + 4
    return chunks


def _pixels(plain: Plain) -> NDArray[np.int32] | None:
    from atrous.formats.unfilter import unfilter  # numba takes half a second to import

    filtered, size_hw, lanes = plain
    numbers = np.empty(size_hw, dtype=np.int32)
    return numbers if unfilter(filtered, numbers, lanes) else None


def _runs(plain: Plain) -> IdRuns | None:
    from atrous.formats.unfilter import unfilter_runs

    filtered, size_hw, lanes = plain
    starts, ids = (np.empty(size_hw[0] * size_hw[1] + 1, np.int32) for _ in range(2))
    count = unfilter_runs(filtered, starts, ids, lanes)
    return None if count < 0 else IdRuns(size_hw, starts[: count + 1], ids[:count])


def _inflated(stream: bytes, size: int) -> bytes | bytearray | None:
    """The `size` bytes in a sound zlib stream; None if they are more or fewer."""
    if size > _MOST_INFLATION * len(stream):
        return None  # before a small file takes all memory
    if deflate is None:
        return _slowly_inflated(stream, size)
    try:
        inflated: bytearray = deflate.zlib_decompress(stream, size)
    except deflate.DeflateError:
        return None
    return inflated if len(inflated) == size else None


def _slowly_inflated(stream: bytes, size: int) -> bytes | None:
    machine = zlib.decompressobj()
    try:
        inflated = machine.decompress(stream, size + 1)
    except zlib.error:
        return None
    return inflated if machine.eof and len(inflated) == size else None
