"""Zero padding of strided windows: symmetric, as everywhere here, or as TensorFlow's SAME.

They differ where a stride meets an even size: SAME puts the odd row and column at bottom and right,
so that all later cells lie half a stride further on. Public TensorFlow weights were trained so.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm

PADDINGS = ("symmetric", "same")


class SamePad(nn.Module):
    """Pads so that a window gives ceil(size / stride) cells; what is odd goes to the end."""

    def __init__(self, *, kernel: int, stride: int, rate: int = 1, value: float = 0.0) -> None:
        super().__init__()
        self.reach, self.stride, self.value = (kernel - 1) * rate + 1, stride, value

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """The padded map."""
        pads: list[int] = []
        for size in (x.shape[-1], x.shape[-2]):
            cells = (size + self.stride - 1) // self.stride
            total = max(0, (cells - 1) * self.stride + self.reach - size)
            pads += [total // 2, total - total // 2]
        return F.pad(x, pads, value=self.value)


def set_padding(network: nn.Module, padding: str) -> None:
    """Gives every strided window of a network its padding; windows of stride 1 pad alike.

    Raises: ValueError for a padding that is neither symmetric nor same.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding is {padding!r}: it can be symmetric or same")
    if padding == "symmetric":
        return
    for module in list(network.modules()):
        if isinstance(module, ConvNorm) and module.conv.stride[0] > 1:
            (kernel, _), (stride, _), (rate, _) = (
                module.conv.kernel_size,
                module.conv.stride,
                module.conv.dilation,
            )
            module.conv.padding = (0, 0)
            module.pad = SamePad(kernel=kernel, stride=stride, rate=rate)
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, _same_pool(child))


def _same_pool(pool: nn.MaxPool2d) -> nn.Module:
    kernel, stride = pool.kernel_size, pool.stride
    assert isinstance(kernel, int)
    assert isinstance(stride, int)
    pad = SamePad(kernel=kernel, stride=stride, value=float("-inf"))
    return nn.Sequential(pad, nn.MaxPool2d(kernel, stride))
