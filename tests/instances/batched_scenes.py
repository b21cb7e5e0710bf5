"""What the tests of decoding and fusion in torch share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import plain
import pytest
import torch
from hypothesis import Phase
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from atrous.instances import keypoints as kp
from atrous.instances.batched import decoding
from atrous.instances.batched.decoding import Found
from atrous.tensors import KeypointMaps, mapped
from atrous.types import IdMap, Labelled, Region

NUMBERS = kp.KeypointNumbers(radius_px=8, peaks=20)
SIZE_HW = (25, 33)
no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=no_cuda)]
on_devices = pytest.mark.parametrize("device", DEVICES, ids=str)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
Scene = tuple[kp.Encoded, NDArray[np.bool_]]


def scene(seed: int, numbers: kp.KeypointNumbers, *, map_stride: int = 1, things: int = 6) -> Scene:
    """Maps of some boxes with noise, so that no two scores are equal; and the pixels of things."""
    random = np.random.default_rng(seed)
    ids: IdMap = np.zeros(SIZE_HW, dtype=np.int32)
    for thing in range(things):
        y, x = random.integers(0, np.array(SIZE_HW) - 6)
        h, w = random.integers(6, 25, 2)
        ids[y : y + h, x : x + w] = thing + 1
    regions = tuple(Region(int(i), 0) for i in np.unique(ids) if i)
    truth = Labelled(ids, regions)
    maps, _, _ = kp.encode(truth, np.array([True]), stride=map_stride, numbers=numbers)
    noisy = kp.Encoded(
        heatmap=np.float32(0.05) * random.random(maps.heatmap.shape, dtype=np.float32)
        + maps.heatmap * random.uniform(0.4, 0.9, maps.heatmap.shape).astype(np.float32),
        **{
            name: getattr(maps, name)
            + random.normal(0, 1.0, getattr(maps, name).shape).astype(np.float32)
            for name in ("short", "middle", "long")
        },
    )
    return noisy, ids > 0


def stacked(scenes: Sequence[kp.Encoded], device: torch.device) -> KeypointMaps:
    def column(name: str) -> Tensor:
        maps = torch.from_numpy(np.stack([getattr(each, name) for each in scenes]))
        return maps.reshape(len(scenes), -1, *maps.shape[-2:]).to(device)

    return KeypointMaps(*(column(f.name) for f in fields(KeypointMaps)))


def decoded(scenes: Sequence[Scene], device: torch.device, **numbers: Any) -> Found:
    things = torch.from_numpy(np.stack([is_thing for _, is_thing in scenes])).to(device)
    maps = stacked([maps for maps, _ in scenes], device)
    return mapped(decoding.decode(maps, things, **numbers), Tensor.cpu)


def assert_same(found: Found, scenes: Sequence[Scene], **numbers: Any) -> None:
    """The plain reference finds the same in each image alone."""
    assert found.settled.all()
    for image, (maps, is_thing) in enumerate(scenes):
        truth, index = plain.decode(maps, is_thing, **numbers)
        count = int(found.count[image])
        assert count == len(truth.scores)
        np.testing.assert_allclose(found.points[image, :count], truth.points, atol=1e-3)
        np.testing.assert_allclose(found.scores[image, :count], truth.scores, atol=1e-4)
        np.testing.assert_array_equal(found.index[image], index)
        assert not found.points[image, count:].any()
        assert not found.scores[image, count:].any()


class NoWaiting(TorchDispatchMode):
    """Fails at what would wait for a device, or bring it something, if the tensors were there."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal.", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        assert not any(f".{name}" in str(func) for name in self.WAITS), func
        if str(func).startswith("aten.index"):
            assert all(i is None or i.dtype == torch.int64 for i in args[1]), func
        return func(*args, **(kwargs or {}))
