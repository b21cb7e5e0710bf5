"""Stripes cover a map, and what runs in stripes answers what the whole would."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import atrous.nn.stripes as module
from atrous.nn.folding import folded
from atrous.nn.layers import ConvNorm
from atrous.nn.packedconv import PackedConv, can_pack
from atrous.nn.packing import packed
from atrous.nn.stripes import Striped, Stripes
from networks import assert_near

NEEDS_PACKING = pytest.mark.skipif(not can_pack(torch.float32), reason="needs oneDNN")


@given(
    height=st.integers(1, 200),
    count=st.integers(1, 40),
    padding=st.integers(0, 12),
    stride=st.integers(1, 4),
)
def test_each_row_is_answered_by_a_stripe_that_sees_all_of_its_window(
    height: int, count: int, padding: int, stride: int
) -> None:
    cut = Stripes(height, count, padding, stride)
    if cut.rows >= height:
        return
    answered = set()
    for at, first in cut.begins():
        assert first % stride == 0
        assert 0 <= first <= height - cut.rows
        for row in range(at, at + count):
            top, bottom = row * stride - padding, row * stride + padding
            assert first <= max(0, top)
            assert min(height - 1, bottom) < first + cut.rows
            answered.add(row)
    assert answered == set(range(cut.answers))


def pair(*, kernel: int, stride: int, rate: int = 1) -> tuple[nn.Module, Striped]:
    """Two convolutions, and the same ones ready for stripes."""
    torch.manual_seed(0)
    depthwise = ConvNorm(24, 24, kernel=kernel, stride=stride, rate=rate, groups=24)
    whole = folded(nn.Sequential(ConvNorm(4, 24, activation="relu6"), depthwise))
    expand, filtered = packed(whole).children()
    assert isinstance(expand, PackedConv)
    assert isinstance(filtered, PackedConv)
    return whole, Striped(expand, filtered)


@NEEDS_PACKING
@pytest.mark.parametrize("height", [60, 61])
@pytest.mark.parametrize(("kernel", "stride", "rate"), [(5, 2, 1), (3, 1, 1), (5, 1, 2), (7, 2, 1)])
@pytest.mark.parametrize("count", [1, 2])
def test_stripes_answer_what_the_whole_does(
    monkeypatch: pytest.MonkeyPatch, height: int, kernel: int, stride: int, rate: int, count: int
) -> None:
    whole, ours = pair(kernel=kernel, stride=stride, rate=rate)
    monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(module, "STRIPE", 1)
    calls: list[int] = []
    ours.depthwise.register_forward_hook(lambda *_: calls.append(1))
    images = torch.randn(count, 4, height, 19).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert_near(ours(images), whole(images), within=1e-5)
    assert len(calls) > 1


@NEEDS_PACKING
def test_small_maps_stay_whole() -> None:
    _, ours = pair(kernel=3, stride=1)
    calls: list[int] = []
    ours.depthwise.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        ours(torch.randn(1, 4, 60, 19))
    assert len(calls) == 1
