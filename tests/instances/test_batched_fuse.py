"""Fusion in torch does what the plain reference does, and never waits for the device."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import plain
import pytest
import torch
from batched_scenes import NoWaiting, on_devices
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.instances.batched import fusing, votes
from atrous.labels import Label, LabelSpace

LABELS = LabelSpace(
    (
        Label("cat", (1, 2, 3), True, 1),
        Label("dog", (4, 5, 6), True, 2),
        Label("sky", (7, 8, 9), False, 3),
    )
)
IS_THING = torch.tensor([True, True, False])


@on_devices
@settings(max_examples=20, deadline=None)
@given(
    classes=arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 2, 255])),
    pixels=arrays(np.uint8, (2, 9, 11), elements=st.sampled_from([0, 1, 2, 255])),
    cells=arrays(np.int32, (3, 4), elements=st.integers(-1, 3)),
)
def test_pixels_take_their_instance_from_the_cell_that_the_plain_reference_takes(
    device: torch.device,
    classes: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
    cells: NDArray[np.int32],
) -> None:
    rows, columns = np.linspace(0, 2, 9), np.linspace(0, 3, 11)
    found = fusing.to_pixels(
        torch.from_numpy(np.stack([cells, cells])).to(device),
        torch.from_numpy(np.stack([classes, classes])).to(device),
        torch.from_numpy(pixels).to(device),
        is_thing=IS_THING.to(device),
        rows=torch.from_numpy(rows).to(device),
        columns=torch.from_numpy(columns).to(device),
    )
    for image, seen in enumerate(pixels):
        truth = plain.to_pixels(
            cells, classes, seen, is_thing=IS_THING.numpy(), rows=rows, columns=columns
        )
        np.testing.assert_array_equal(found[image].cpu(), truth)


@on_devices
@settings(max_examples=30, deadline=None)
@given(
    semantic=arrays(np.uint8, (2, 4, 6), elements=st.sampled_from([0, 1, 2, 255])),
    instance=arrays(np.int32, (2, 4, 6), elements=st.integers(-1, 3)),
    seed=st.integers(0, 2**31),
)
def test_fusion_gives_the_parse_that_the_plain_reference_gives(
    device: torch.device, semantic: NDArray[np.uint8], instance: NDArray[np.int32], seed: int
) -> None:
    sure = np.random.default_rng(seed).integers(0, 9, semantic.shape).astype(np.float32) / 8
    given = [torch.from_numpy(x).to(device) for x in (semantic, sure, instance)]
    found = fusing.panoptic(*given, classes=3, instances=5)
    answers = fusing.parses(found, given[0], given[1], labels=LABELS)
    for answer, *image in zip(answers, semantic, sure, instance, strict=True):
        truth = plain.fuse(*image, labels=LABELS)
        assert answer.segments == truth.segments
        assert answer.panoptic.dtype == truth.panoptic.dtype
        assert answer.semantic.dtype == truth.semantic.dtype
        np.testing.assert_array_equal(answer.panoptic, truth.panoptic)


def test_stripes_change_nothing_of_a_fusion(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    semantic = torch.from_numpy(random.integers(0, 4, (2, 9, 11)))
    instance = torch.from_numpy(random.integers(-1, 3, (2, 9, 11)).astype(np.int32))
    sure = torch.rand(2, 9, 11)
    whole = fusing.panoptic(semantic, sure, instance, classes=3, instances=3)
    monkeypatch.setattr(votes, "BLOCK", 1)
    parts = fusing.panoptic(semantic, sure, instance, classes=3, instances=3)
    assert all(torch.equal(getattr(whole, f.name), getattr(parts, f.name)) for f in fields(whole))


def test_fusion_never_waits_for_the_device() -> None:
    with torch.device("meta"):
        semantic = torch.zeros(2, 5, 7, dtype=torch.uint8)
        cells = torch.zeros(2, 3, 4, dtype=torch.int32)
        rows, columns = (torch.arange(n, dtype=torch.float64) / 2 for n in (5, 7))
    is_thing = IS_THING.to("meta")
    with NoWaiting():
        index = fusing.to_pixels(
            cells, cells, semantic, is_thing=is_thing, rows=rows, columns=columns
        )
        found = fusing.panoptic(semantic, index.float(), index, classes=3, instances=4)
    assert found.box.shape == (2, 7, 4)
