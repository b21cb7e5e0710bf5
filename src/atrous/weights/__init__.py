"""Where public checkpoints keep what our networks need: key maps, as data.

A map leads from a module's name in a foreign file to its name in our networks.
"""

from __future__ import annotations

from atrous.weights.mobilenet import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

__all__ = ["DEEPLAB_LITE", "TORCHVISION_MOBILENET_V2"]
