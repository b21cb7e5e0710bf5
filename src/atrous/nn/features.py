"""What every backbone answers, and how it spends its strides."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Features(NamedTuple):
    """Three maps of one image.

    low   at stride 4, for decoders
    mid   before the last stage, for an auxiliary loss
    high  at the output stride
    """

    low: Float[Tensor, "b low h4 w4"]
    mid: Float[Tensor, "b mid hm wm"]
    high: Float[Tensor, "b high ho wo"]


class Channels(NamedTuple):
    """Channels of the three maps of `Features`."""

    low: int
    mid: int
    high: int


class Strides:
    """Keeps account of strides while a network is laid out, layer by layer.

    A stride that would lead beyond the output stride is not taken; all that comes after it makes up
    for it by its rate: nominal stride / actual stride. So weights stay exact in every layout.

    Source: DeepLabv3, section 3.1.
    Raises: ValueError if the output stride is not one of `possible`.
    """

    def __init__(self, output_stride: int, *, possible: tuple[int, ...]) -> None:
        if output_stride not in possible:
            known = ", ".join(map(str, possible))
            raise ValueError(f"output_stride is {output_stride}: this backbone has {known}")
        self._limit, self._nominal, self._actual = output_stride, 1, 1

    @property
    def rate(self) -> int:
        """The atrous rate of a convolution that stands here."""
        return self._nominal // self._actual

    def take(self, wanted: int) -> int:
        """The stride that a layer gets which wants this one; later layers stand behind it."""
        stride = wanted if self._actual * wanted <= self._limit else 1
        self._nominal, self._actual = self._nominal * wanted, self._actual * stride
        return stride
