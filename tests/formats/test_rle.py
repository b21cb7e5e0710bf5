from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from atrous.formats.rle import (
    area,
    box,
    check_runs,
    decode_mask,
    encode_mask,
    runs_to_text,
    text_to_runs,
)
from atrous.types import BadInput

Mask = NDArray[np.bool_]

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))
blobs = st.builds(
    lambda mask, times: np.kron(mask, np.ones((times, times), np.bool_)),
    masks,
    st.integers(1, 40),
)
"""Masks whose runs need more than one character."""


def runs(*lengths: int) -> NDArray[np.uint32]:
    return np.array(lengths, np.uint32)


@pytest.fixture(scope="module")
def coco() -> Any:
    return pytest.importorskip("pycocotools.mask")


def test_runs_go_down_the_columns_and_begin_outside() -> None:
    mask = np.array([[0, 1, 0], [0, 1, 1]], np.bool_)
    assert encode_mask(mask).tolist() == [2, 2, 1, 1]
    assert encode_mask(~mask).tolist() == [0, 2, 2, 1, 1]


def test_masks_of_one_kind_are_one_run() -> None:
    assert encode_mask(np.zeros((2, 3), np.bool_)).tolist() == [6]
    assert encode_mask(np.ones((2, 3), np.bool_)).tolist() == [0, 6]


@given(masks)
def test_masks_survive_runs(mask: Mask) -> None:
    stored = encode_mask(mask)
    assert stored.dtype == np.uint32
    decoded = decode_mask(stored, mask.shape)
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, mask)


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_runs_survive_text(lengths: list[int]) -> None:
    read = text_to_runs(runs_to_text(runs(*lengths)))
    assert read.dtype == np.uint32
    assert read.tolist() == lengths


@given(blobs)
def test_area_and_box_are_those_of_the_mask(mask: Mask) -> None:
    rows, columns = np.nonzero(mask)
    wanted = (0, 0, 0, 0)
    if rows.size:
        wanted = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert area(encode_mask(mask)) == mask.sum()
    assert box(encode_mask(mask), mask.shape[0]) == wanted


def test_empty_runs_are_allowed_everywhere() -> None:
    odd = runs(0, 1, 0, 2, 3, 0)
    assert decode_mask(odd, (2, 3)).tolist() == [[True, True, False], [True, False, False]]
    assert box(odd, 2) == (0, 0, 2, 2)
    assert area(odd) == 3


@given(mask=blobs)
def test_text_is_that_of_pycocotools(coco: Any, mask: Mask) -> None:
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert runs_to_text(encode_mask(mask)) == theirs["counts"].decode()
    np.testing.assert_array_equal(decode_mask(text_to_runs(theirs["counts"]), mask.shape), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
@given(mask=blobs)
def test_pycocotools_reads_our_text(coco: Any, mask: Mask) -> None:
    ours = {"size": list(mask.shape), "counts": runs_to_text(encode_mask(mask)).encode()}
    np.testing.assert_array_equal(coco.decode(ours).astype(np.bool_), mask)
    y0, x0, y1, x1 = box(encode_mask(mask), mask.shape[0])
    assert coco.toBbox(ours).tolist() == [x0, y0, x1 - x0, y1 - y0]
    assert coco.area(ours) == area(encode_mask(mask))


def test_runs_that_do_not_cover_the_size_are_refused() -> None:
    with pytest.raises(BadInput, match=r"sum up to 5 pixels but 2x3 has 6"):
        decode_mask(runs(2, 3), (2, 3))
    with pytest.raises(BadInput, match=r"sum up to 4294967296 pixels"):
        check_runs(runs(2**31, 2**31), (2, 3))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2\x20", "a character that is none"),
        ("2p", "a character that is none"),
        ("2é", "a character that is none"),
        ("2\ud800", "a character that is none"),
        ("2P", "cut off"),
        ("N", "negative"),
        ("PPPPPPPPP1", "beyond 32 bits"),
        ("PPPPPP5", "beyond 32 bits"),
    ],
)
def test_damaged_text_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        text_to_runs(text)


@given(st.binary())
def test_any_text_is_read_or_refused(text: bytes) -> None:
    try:
        stored = text_to_runs(text)
    except BadInput:
        return
    assert text_to_runs(runs_to_text(stored)).tolist() == stored.tolist()


def test_mask_of_other_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 3\)"):
        encode_mask(np.zeros((1, 2, 3), np.bool_))
