"""Holds the fast decoder to Pillow: same numbers, same refusals."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.formats import (
    read_class_map,
    read_id_runs,
    read_ids,
    write_class_map,
    write_panoptic,
)
from atrous.formats.classes import read_class_runs
from atrous.formats.png import decode_grey, decode_grey_runs, decode_rgb, decode_rgb_runs
from atrous.formats.unfilter import unfilter
from atrous.types import BadInput

Bytes = NDArray[np.uint8]
Read = Callable[[Path], NDArray[Any]]
Chunks = list[tuple[bytes, bytes]]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LANES = {1: (0,), 2: (8, 0), 3: (0, 8, 16)}
PLAIN = {"grey": (8, 0, 1), "palette": (8, 3, 1), "deep grey": (16, 0, 2), "rgb": (8, 2, 3)}
"""Bit depth, colour type and bytes a pixel."""


def predicted(kind: int, a: int, b: int, c: int) -> int:
    """What a filter foretells from the bytes at the left, above and left above."""
    if kind == 4:
        return min((a, b, c), key=lambda near: abs(near - (a + b - c)))
    return (0, a, b, (a + b) // 2)[kind]


def plainly_unfiltered(filtered: Bytes, size: int) -> Bytes:
    """The specification, byte by byte."""
    height, width = filtered.shape[0], filtered.shape[1] - 1
    done = np.zeros((height + 1, width + size), np.int64)
    for y in range(height):
        for x in range(width):
            above, left = done[y, x + size], done[y + 1, x]
            guess = predicted(filtered[y, 0], int(left), int(above), int(done[y, x]))
            done[y + 1, x + size] = (int(filtered[y, 1 + x]) + guess) % 256
    return done[1:, size:].astype(np.uint8)


def as_numbers(pixels: Bytes, size: int) -> NDArray[Any]:
    """(h, w * size) bytes -> (h, w), the first byte lowest in RGB and highest in grey."""
    lanes = pixels.reshape(len(pixels), -1, size).astype(np.int64)
    return lanes @ (1 << np.array(LANES[size]))


def chunks_of(rows: Bytes, name: str, width: int) -> Chunks:
    """A file of filtered rows."""
    depth, colour, _ = PLAIN[name]
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    palette = [(b"PLTE", bytes(range(12)))] if name == "palette" else []
    data = zlib.compress(rows.tobytes())
    return [(b"IHDR", header), *palette, (b"IDAT", data), (b"IEND", b"")]


def joined(chunks: Chunks) -> bytes:
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return SIGNATURE + b"".join(parts)


def decoded(data: bytes) -> NDArray[np.int32] | None:
    rgb, grey = decode_rgb(data), decode_grey(data)
    assert rgb is None or grey is None
    for numbers, runs in ((rgb, decode_rgb_runs(data)), (grey, decode_grey_runs(data))):
        assert (numbers is None) == (runs is None)
        if numbers is not None:
            np.testing.assert_array_equal(numbers, np.asarray(runs))
    return grey if rgb is None else rgb


def answer(read: Read, path: Path) -> object:
    try:
        numbers = read(path)
    except BadInput as error:
        return str(error)
    return numbers.dtype, numbers.tolist()


def read_map_of_runs(path: Path) -> NDArray[np.int32]:
    return np.asarray(read_id_runs(path))


def read_class_map_of_runs(path: Path) -> NDArray[np.int32]:
    return np.asarray(read_class_runs(path))


def both_ways(path: Path) -> Iterator[tuple[object, object]]:
    """What each reader answers, and what it answers by Pillow alone."""
    for read in (read_ids, read_map_of_runs, read_class_map, read_class_map_of_runs):
        ours = answer(read, path)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("decode_rgb", "decode_rgb_runs"):
                patch.setattr(f"atrous.formats.panoptic.{name}", lambda data: None)
            for name in ("decode_grey", "decode_grey_runs"):
                patch.setattr(f"atrous.formats.classes.{name}", lambda data: None)
            yield ours, answer(read, path)


@pytest.fixture(scope="module", autouse=True, params=["deflate", "zlib"])
def _inflater(request: pytest.FixtureRequest) -> Iterator[None]:
    """All with the extra `fast` and without it."""
    if request.param == "deflate":
        pytest.importorskip("deflate")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.formats.png.deflate", None)
        yield


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], None]:
    """Holds the readers to Pillow on the bytes of a file."""
    path = tmp_path_factory.mktemp("png") / "label.png"

    def holds(data: bytes) -> None:
        path.write_bytes(data)
        for ours, pillows in both_ways(path):
            assert ours == pillows

    return holds


@st.composite
def filtered_rows(draw: st.DrawFn, size: int) -> Bytes:
    """(h, 1 + w * size): mostly zeros, as those of labels are."""
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 28))
    byte = st.integers(0, 255)
    rows = draw(arrays(np.uint8, (height, 1 + width * size), elements=byte, fill=st.just(0)))
    rows[:, 0] = draw(arrays(np.uint8, height, elements=st.integers(0, 4)))
    return rows


@st.composite
def files(draw: st.DrawFn, name: str) -> tuple[Chunks, NDArray[Any]]:
    size = PLAIN[name][2]
    rows = draw(filtered_rows(size))
    chunks = chunks_of(rows, name, width=(rows.shape[1] - 1) // size)
    return chunks, as_numbers(plainly_unfiltered(rows, size), size)


def small(name: str = "rgb") -> Chunks:
    """A file with every filter."""
    size = PLAIN[name][2]
    rows = np.zeros((5, 1 + 9 * size), np.uint8)
    rows[:, 0] = range(5)
    rows[:, 1::4] = 7
    return chunks_of(rows, name, width=9)


@pytest.mark.parametrize("size", LANES)
@given(data=st.data())
def test_kernel_takes_back_what_the_specification_says(size: int, data: st.DataObject) -> None:
    rows = data.draw(filtered_rows(size))
    numbers = np.empty((len(rows), (rows.shape[1] - 1) // size), np.int32)
    assert unfilter(rows, numbers, LANES[size])
    np.testing.assert_array_equal(numbers, as_numbers(plainly_unfiltered(rows, size), size))


@pytest.mark.parametrize("name", PLAIN)
@given(data=st.data())
def test_plain_files_are_decoded_as_pillow_does(
    name: str, data: st.DataObject, check: Callable[[bytes], None]
) -> None:
    chunks, numbers = data.draw(files(name))
    ours = decoded(joined(chunks))
    assert ours is not None
    assert ours.dtype == np.int32
    np.testing.assert_array_equal(ours, numbers)
    check(joined(chunks))


@pytest.mark.parametrize("kind", [5, 6, 255])
def test_filter_that_does_not_exist_is_refused(kind: int, check: Callable[[bytes], None]) -> None:
    rows = np.array([[0, 1, 2], [kind, 1, 2], [0, 1, 2]], np.uint8)
    data = joined(chunks_of(rows, "grey", width=2))
    assert decoded(data) is None
    check(data)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("1", {}),
        ("L", {"bits": 2}),
        ("L", {"bits": 4}),
        ("P", {"bits": 1}),
        ("P", {"bits": 4}),
        ("LA", {}),
        ("RGBA", {}),
    ],
)
def test_other_kinds_are_left_to_pillow(
    mode: str, options: dict[str, Any], check: Callable[[bytes], None]
) -> None:
    file = BytesIO()
    PIL.Image.linear_gradient("L").resize((9, 5)).convert(mode).save(file, "PNG", **options)
    assert decoded(file.getvalue()) is None
    check(file.getvalue())


@pytest.mark.parametrize("change", [(8, 16), (8, 1), (8, 4), (9, 6), (10, 1), (11, 1), (12, 1)])
def test_headers_of_other_kinds_are_left_to_pillow(
    change: tuple[int, int], check: Callable[[bytes], None]
) -> None:
    (name, header), *rest = small()
    place, value = change
    data = joined([(name, header[:place] + bytes([value]) + header[place + 1 :]), *rest])
    assert decoded(data) is None
    check(data)


@pytest.mark.parametrize("size", [(0, 5), (9, 0), (9, 4), (9, 6), (8, 5), (2**20, 2**20)])
def test_header_that_says_another_size_is_not_believed(
    size: tuple[int, int], check: Callable[[bytes], None]
) -> None:
    (name, header), *rest = small()
    data = joined([(name, struct.pack(">II", *size) + header[8:]), *rest])
    assert decoded(data) is None
    check(data)


def test_small_file_that_claims_much_takes_no_memory() -> None:
    (name, header), *rest = small()
    assert (
        decode_rgb(joined([(name, struct.pack(">II", 2**14, 2**14) + header[8:]), *rest])) is None
    )


@pytest.mark.parametrize("name", PLAIN)
def test_cut_off_files_end_as_with_pillow(name: str, check: Callable[[bytes], None]) -> None:
    data = joined(small(name))
    for end in range(1, len(data)):
        assert decoded(data[:end]) is None
        check(data[:end])


@pytest.mark.parametrize("name", PLAIN)
def test_damaged_files_end_as_with_pillow(name: str, check: Callable[[bytes], None]) -> None:
    data = joined(small(name))
    for at in range(len(data)):
        for flip in (1, 0x20, 0xFF):
            check(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])


@pytest.mark.parametrize("name", PLAIN)
@given(data=st.data())
def test_damage_under_sound_checksums_ends_as_with_pillow(
    name: str, data: st.DataObject, check: Callable[[bytes], None]
) -> None:
    chunks = small(name)
    place = data.draw(st.integers(0, len(chunks) - 2))
    kind, part = chunks[place]
    # Not the size's high bytes: Pillow would clear all memory for it before it finds out.
    places = (3, 7, 8, 9, 10, 11, 12) if kind == b"IHDR" else range(len(part))
    at, value = data.draw(st.sampled_from(places)), data.draw(st.integers(0, 255))
    chunks[place] = kind, part[:at] + bytes([value]) + part[at + 1 :]
    check(joined(chunks))


@pytest.mark.parametrize("name", PLAIN)
@given(cuts=st.lists(st.integers(0, 30)))
def test_pixels_in_many_chunks_are_one_stream(
    name: str, cuts: list[int], check: Callable[[bytes], None]
) -> None:
    *head, (_, stream), end = small(name)
    edges = [0, *sorted(cuts), len(stream)]
    parts = [(b"IDAT", stream[a:b]) for a, b in pairwise(edges)]
    assert decoded(joined([*head, *parts, end])) is not None
    check(joined([*head, *parts, end]))


BESIDE: list[tuple[bytes, bytes]] = [
    (b"tIME", bytes(7)),
    (b"pHYs", bytes(9)),
    (b"gAMA", bytes(4)),
    (b"sRGB", bytes(1)),
    (b"cHRM", bytes(32)),
    (b"bKGD", bytes(6)),
    (b"sBIT", bytes(3)),
    (b"tRNS", bytes(2)),
    (b"tRNS", bytes(6)),
    (b"tRNS", b"\xff\0\xff"),
    (b"PLTE", bytes(3)),
    (b"PLTE", bytes(768)),
    (b"PLTE", bytes(771)),
    (b"PLTE", bytes(4)),
    (b"gAMA", b""),
    (b"pHYs", bytes(8)),
    (b"tRNS", b""),
    (b"tEXt", b"Software\0atrous"),
    (b"tEXt", b"interlace\0yes"),
    (b"tEXt", b"bbox\0yes"),
    (b"zTXt", b"a\0\1"),
    (b"iCCP", b"a\0\1"),
    (b"iTXt", b"a\0\0\0\0\0b"),
    (b"eXIf", b"MM"),
    (b"acTL", struct.pack(">II", 2, 0)),
    (b"fcTL", struct.pack(">IIIIIHHBB", 0, 4, 2, 1, 1, 1, 1, 0, 0)),
    (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)),
    (b"IDAT", b"more"),
    (b"IEND", b""),
    (b"abcd", b"private"),
    (b"ABCD", b"critical"),
    (b"a\0cd", b"no name"),
]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("beside", BESIDE, ids=lambda chunk: f"{chunk[0].decode()}{len(chunk[1])}")
def test_chunks_beside_the_pixels_change_nothing(
    name: str, beside: tuple[bytes, bytes], check: Callable[[bytes], None]
) -> None:
    chunks = small(name)
    for place in range(len(chunks) + 1):
        check(joined([*chunks[:place], beside, *chunks[place:]]))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("beside", BESIDE[:7], ids=lambda chunk: chunk[0].decode())
def test_harmless_chunks_keep_a_file_plain(name: str, beside: tuple[bytes, bytes]) -> None:
    head, *rest, end = small(name)
    assert decoded(joined([head, beside, *rest, beside, end])) is not None


@pytest.mark.parametrize(("name", "size"), [("rgb", 6), ("grey", 2), ("deep grey", 2)])
def test_transparency_keeps_the_numbers(
    name: str, size: int, check: Callable[[bytes], None]
) -> None:
    head, *rest = small(name)
    data = joined([head, (b"tRNS", bytes(size)), *rest])
    assert decoded(data) is not None
    check(data)


STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda rows: b"",
    "wrong checksum": lambda rows: zlib.compress(rows)[:-1] + b"\0",
    "no checksum": lambda rows: zlib.compress(rows)[:-4],
    "half": lambda rows: zlib.compress(rows)[:-12],
    "bytes after its end": lambda rows: zlib.compress(rows) + b"more",
    "a byte too many": lambda rows: zlib.compress(rows + b"\0"),
    "a row too many": lambda rows: zlib.compress(rows + rows[:28]),
    "a byte too few": lambda rows: zlib.compress(rows[:-1]),
    "two streams": lambda rows: zlib.compress(rows) * 2,
    "without a header": lambda rows: zlib.compress(rows, wbits=-15),
    "gzip": lambda rows: zlib.compress(rows, wbits=31),
    "small window": lambda rows: zlib.compress(rows, wbits=9),
    "stored": lambda rows: zlib.compress(rows, 0),
    "best": lambda rows: zlib.compress(rows, 9),
    "a dictionary": lambda rows: with_dictionary(rows),
}


def with_dictionary(rows: bytes) -> bytes:
    packer = zlib.compressobj(zdict=rows[:20])
    return packer.compress(rows) + packer.flush()


@pytest.mark.parametrize("stream", STREAMS)
def test_odd_streams_end_as_with_pillow(stream: str, check: Callable[[bytes], None]) -> None:
    head, (_, data), end = small()
    check(joined([head, (b"IDAT", STREAMS[stream](zlib.decompress(data))), end]))


@pytest.mark.parametrize("tail", [b"\0", b"more than one chunk", joined([(b"abcd", b"x")])[8:]])
def test_bytes_after_the_end_change_nothing(tail: bytes, check: Callable[[bytes], None]) -> None:
    data = joined(small()) + tail
    assert decoded(data) is not None
    check(data)


@pytest.mark.parametrize("data", [b"\0", SIGNATURE, b"GIF89a" + bytes(40), bytes(64)])
def test_what_is_no_png_is_left_to_pillow(data: bytes, check: Callable[[bytes], None]) -> None:
    assert decoded(data) is None
    check(data)


def test_our_own_files_are_plain(tmp_path: Path) -> None:
    ids = np.repeat(np.array([[0, 70000], [300, 2**24 - 1]], np.int32), 20, axis=1)
    write_panoptic(tmp_path / "ids.png", ids)
    np.testing.assert_array_equal(decode_rgb((tmp_path / "ids.png").read_bytes()), ids)
    for classes in (ids.astype(np.uint8), ids.astype(np.uint16)):
        write_class_map(tmp_path / "classes.png", classes)
        read = decode_grey((tmp_path / "classes.png").read_bytes())
        np.testing.assert_array_equal(read, classes)


def test_real_labels_are_plain_and_read_as_by_pillow(shared: Path) -> None:
    folders = sorted({path.parent for path in (shared / "data").rglob("*.png")})
    assert folders
    for folder in folders:
        for path in islice(sorted(folder.glob("*.png")), 3):
            for ours, pillows in both_ways(path):
                assert ours == pillows


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("colour", [0, 3])
def test_ids_of_less_than_8_bit_are_read_as_they_are_stored(
    tmp_path: Path, depth: int, colour: int
) -> None:
    row = bytes([0b00011011] if depth == 2 else [0x01, 0x23])
    header = struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0)
    palette = [(b"PLTE", bytes(range(48)))] * (colour == 3)
    chunks = [(b"IHDR", header), *palette, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(joined(chunks))
    assert read_class_map(path).tolist() == [[0, 1, 2, 3]]
    assert read_class_map_of_runs(path).tolist() == [[0, 1, 2, 3]]
