from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.bench.scene import drawn, seen
from atrous.data.shapes import Shapes
from atrous.instances.batched.together import parse_together
from atrous.instances.keypoints import KeypointNumbers
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.tensors import Frame

LABELS = Shapes("val").labels
NETWORK = DeeperLabNetwork("mobilenet-v2-half", aspp_width=8, decoder_width=8, instance_width=8)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("decode_stride", [1, 4])
def test_images_parsed_together_are_parsed_as_each_alone(device: str, decode_stride: int) -> None:
    numbers = KeypointNumbers(decode_stride=decode_stride)
    system = DeeperLab(NETWORK, LABELS, fusion=numbers)
    images = []
    for count, size in ((2, (129, 97)), (4, (129, 97)), (3, (65, 65))):
        view = seen(system, drawn(size, count, LABELS), device=torch.device("cpu"))
        height, width = size
        frame = Frame((2 * height, 2 * width), size, size)
        images.append([replace(view, frame=frame)])
    alone = [system.parse(views) for views in images]
    moved = [
        [seen(system, drawn(v.frame.input_hw, n, LABELS), device=torch.device(device))]
        for n, (v,) in zip((2, 4, 3), images, strict=True)
    ]
    moved = [[replace(m, frame=v.frame)] for (m,), (v,) in zip(moved, images, strict=True)]
    together = parse_together(moved, labels=LABELS, numbers=numbers)
    for ours, theirs in zip(together, alone, strict=True):
        assert ours is not None
        assert (ours.panoptic == theirs.panoptic).mean() > 0.9995
        assert np.abs(ours.confidence - theirs.confidence).max() < 1e-4
        assert [(s.id, s.class_id) for s in ours.segments] == [
            (s.id, s.class_id) for s in theirs.segments
        ]
