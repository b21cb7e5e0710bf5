"""From a photo to a view of a network's maps."""

from __future__ import annotations

import torch
from torch import nn

from atrous.data.transforms import InputRule, pad, resized
from atrous.tensors import Frame, Maps, View
from atrous.types import Image


def view(network: nn.Module, image: Image, rule: InputRule, device: torch.device) -> View:
    """The maps of a whole image in one pass, and the frame that leads back to its pixels.

    Source: DeepLabv3, section 4.1 (whole images, no windows); DeeperLab, section 3.5.
    """
    small = resized(image, rule)
    frame = Frame(
        image_hw=(image.shape[0], image.shape[1]),
        resized_hw=(small.shape[0], small.shape[1]),
        input_hw=rule.padded((small.shape[0], small.shape[1])),
    )
    pixels = torch.from_numpy(rule.normalise(pad(small, frame.input_hw, rule)))
    batch = pixels[None].to(device, memory_format=torch.channels_last)
    with torch.inference_mode():
        maps: Maps = network(batch)
    return View(maps, frame)
