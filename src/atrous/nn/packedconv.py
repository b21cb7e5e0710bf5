"""One convolution on a CPU with oneDNN: weights in its own layout, sum and activation fused."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.folding import FoldedConv

OPS = torch.ops.mkldnn
FUSED: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.Identity: ("none", []),
}
"""What the library calls an activation, and its numbers."""
DEPTHWISE_PADDING = 6
"""As many zeros a side the quick depthwise kernels put on themselves; with more, one is taken that
took twice as long as padding before a quick one."""


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this CPU's torch can run packed convolutions of a type."""
    if not (torch.backends.mkldnn.is_available() and hasattr(OPS, "_convolution_pointwise")):
        return False
    return dtype == torch.float32 or bool(OPS._is_mkldnn_bf16_supported())


class Window(NamedTuple):
    """What a convolution sees, as the library wants to hear it."""

    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int


class PackedConv(nn.Module):
    """A folded convolution that runs in one pass with its activation, and with a sum if need be.

    The best layout of weights depends on the size of the map, and in another one every call would
    lay them out anew, at up to seven times the cost. So they are laid out for the size that comes,
    and again where another one comes, which took a seventh of a pass at most.

    The library's ReLU makes 0 of NaN, so what is wrong inside need not show in the maps. That costs
    a pass to find: `atrous.load` looks at the weights instead, once. Only numbers that overflow
    though all weights are sound, to infinities that cancel out, go unseen.
    """

    def __init__(self, folded: FoldedConv) -> None:
        super().__init__()
        conv = folded.conv
        assert not isinstance(conv.padding, str)
        padding, self.pad = conv.padding, folded.pad
        if conv.groups > 1 and max(padding) > DEPTHWISE_PADDING:
            down, across = padding
            self.pad = nn.Sequential(folded.pad, nn.ZeroPad2d((across, across, down, down)))
            padding = (0, 0)
        self._plain = conv.weight.detach()
        self.window = Window(list(padding), list(conv.stride), list(conv.dilation), conv.groups)
        self._activation, self._limits = FUSED[type(folded.activation)]
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._laid_out: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Convolves, activates."""
        x = self.pad(x).to(self._plain.dtype)
        y: Tensor = OPS._convolution_pointwise(
            *(x, self._weight(x.shape), self._bias, *self.window),
            *(self._activation, self._limits, ""),
        )
        return y

    def added(
        self, x: Float[Tensor, "b c h w"], other: Float[Tensor, "b c2 h2 w2"], *, rectified: bool
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """The convolution of `x` and a map in one sum, which ReLU may follow.

        Raises: ValueError if an activation stands between the convolution and the sum.
        """
        if self._activation != "none":
            raise ValueError(f"{self._activation} comes before the sum: add outside of this")
        x = self.pad(x).to(self._plain.dtype)
        y: Tensor = OPS._convolution_pointwise.binary(
            *(x, other, self._weight(x.shape), self._bias, *self.window),
            *("add", 1.0, "relu" if rectified else None, [], None),
        )
        return y

    def bytes_of(self, x: Float[Tensor, "b c h w"]) -> int:
        """How large the answer of a 1x1 convolution is."""
        return x.numel() // x.shape[1] * self._plain.shape[0] * self._plain.element_size()

    @property
    def keeps_size(self) -> bool:
        """Whether its zeros are symmetric and its own, as many as the window reaches."""
        reach = (self._plain.shape[-2] - 1) * self.window.dilation[0]
        return isinstance(self.pad, nn.Identity) and 2 * self.window.padding[0] == reach

    def _weight(self, shape: torch.Size) -> Tensor:
        """The weights as this size wants them. Other threads may ask for another meanwhile."""
        laid_out = self._laid_out
        if laid_out is None or laid_out[0] != shape:
            weight = OPS._reorder_convolution_weight(self._plain, *self.window, list(shape))
            self._laid_out = laid_out = (shape, weight)
        return laid_out[1]


def added(last: nn.Module, x: Tensor, other: Tensor, *, rectified: bool) -> Tensor:
    """What a packed convolution makes of `x`, and a map, in one sum."""
    assert isinstance(last, PackedConv)
    return last.added(x, other, rectified=rectified)
