"""Two convolutions some rows at a time, so that a large map between them is never whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.packedconv import PackedConv

LARGE = 1 << 25
"""Bytes of a map that goes through memory and back slower than some of its rows are made twice."""
STRIPE = 1 << 22
"""Bytes of it that are there at a time."""


@dataclass(frozen=True, slots=True)
class Stripes:
    """Stripes of equal height, so that weights keep their layout, over a map of `height` rows.

    Near its borders a stripe sees zeros where the map goes on: its neighbours answer there.

    count    rows that each stripe answers; the last one may answer some again
    padding  rows of zeros above the map: half of what the window reaches
    """

    height: int
    count: int
    padding: int
    stride: int

    @property
    def rows(self) -> int:
        """Rows of the map that one stripe sees."""
        unseen = (self.height - 1) % self.stride
        return (self.count - 1 + 2 * self._halo) * self.stride + 1 + unseen

    @property
    def answers(self) -> int:
        """Rows of the whole answer."""
        return (self.height - 1) // self.stride + 1

    @property
    def _halo(self) -> int:
        return -(-self.padding // self.stride)

    def begins(self) -> list[tuple[int, int]]:
        """The row of the answer and the row of the map with which each stripe begins."""
        ats = (min(at, self.answers - self.count) for at in range(0, self.answers, self.count))
        last = self.height - self.rows
        return [(at, min(max(0, (at - self._halo) * self.stride), last)) for at in ats]


class Striped(nn.Module):
    """A 1x1 convolution and a depthwise one behind it; in stripes where the map between is large.

    Answers are those of the whole, but for rounding.
    """

    def __init__(self, expand: PackedConv, depthwise: PackedConv) -> None:
        super().__init__()
        self.expand, self.depthwise = expand, depthwise

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The answer of the second convolution."""
        between = self.expand.bytes_of(x)
        if between >= LARGE and self.depthwise.keeps_size:
            window = self.depthwise.window
            padding, stride = window.padding[0], window.stride[0]
            count = max(STRIPE * x.shape[-2] // between // stride, 4 * padding)
            cut = Stripes(x.shape[-2], count, padding, stride)
            if cut.rows < x.shape[-2]:
                return self._joined(x, cut)
        y: Tensor = self.depthwise(self.expand(x))
        return y

    def _joined(self, x: Tensor, cut: Stripes) -> Tensor:
        """The answers of all stripes, one below the other."""
        whole: Tensor | None = None
        for at, first in cut.begins():
            part = self.depthwise(self.expand(x[:, :, first : first + cut.rows]))
            if whole is None:
                batch, channels, _, width = part.shape
                shape = (batch, channels, cut.answers, width)
                whole = torch.empty(shape, dtype=part.dtype, memory_format=torch.channels_last)
            begin = at - first // cut.stride
            whole[:, :, at : at + cut.count] = part[:, :, begin : begin + cut.count]
        assert whole is not None
        return whole
