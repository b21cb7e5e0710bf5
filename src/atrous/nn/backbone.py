"""What every backbone offers, and which ones there are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from atrous.nn.mobilenet import MobileNetV2


class Backbone(Protocol):
    """Features of an image at stride 4 (`low`) and at the output stride (`high`)."""

    low_channels: int
    channels: int

    def __call__(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b low h4 w4"], Float[Tensor, "b high ho wo"]]:
        """`low`, `high`."""


BACKBONES: dict[str, Callable[..., MobileNetV2]] = {
    "mobilenet-v2": partial(MobileNetV2, kernel=3),
    "mobilenet-v2-wide5": partial(MobileNetV2, kernel=5),
    "mobilenet-v2-wide7": partial(MobileNetV2, kernel=7),
}


def build_backbone(name: str, *, output_stride: int) -> MobileNetV2:
    """The backbone of that name, untrained.

    Raises: ValueError if there is none of that name.
    """
    if name not in BACKBONES:
        raise ValueError(f"no backbone is called {name!r}: there are {', '.join(BACKBONES)}")
    return BACKBONES[name](output_stride=output_stride)
