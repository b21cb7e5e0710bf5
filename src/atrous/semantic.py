"""Classes and confidence at image size, from a view of logits: shared by all systems."""

from __future__ import annotations

import numpy as np
import torch

from atrous.labels import LabelSpace
from atrous.nn.resample import sample_grid
from atrous.tensors import View
from atrous.types import ClassMap, FloatMap

STRIPE_PX = 1 << 18


def semantic_parse(view: View, labels: LabelSpace) -> tuple[ClassMap, FloatMap]:
    """Class and its probability for every pixel of the image.

    Logits are sampled stripe by stripe at the place where each pixel lies in the map, so that full
    size logits never exist.

    Source: DeepLabv3, section 4.1 (upsampled logits).
    """
    height, width = view.frame.image_hw
    logits, stride = view.maps.semantic[0].float(), view.maps.stride
    rows, columns = (
        torch.from_numpy(at / stride).float().to(logits.device) for at in view.frame.positions()
    )
    classes, confidence = labels.empty((height, width)), np.empty((height, width), np.float32)
    step = max(1, STRIPE_PX // width)
    for top in range(0, height, step):
        stripe = sample_grid(logits, rows[top : top + step], columns).softmax(dim=0)
        best, index = stripe.max(dim=0)
        classes[top : top + step] = index.cpu().numpy()
        confidence[top : top + step] = best.cpu().numpy()
    return classes, confidence
