"""Networks for use alone: every batch norm is inside of the convolution before it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import mean_of, variance_of


class FoldedConv(nn.Module):
    """A convolution with a bias, and its activation, in the type of its weights."""

    def __init__(
        self, conv: nn.Conv2d, pad: nn.Module | None = None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.pad, self.conv = pad or nn.Identity(), conv
        self.activation = activation or nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Convolves, activates."""
        y: Tensor = self.activation(self.conv(self.pad(x).to(self.conv.weight.dtype)))
        return y


def folded(network: nn.Module, *, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy for evaluation without batch norms, its weights channels-last.

    Tensors that need not change are those of the network, which stays what it is. Answers are the
    same but for rounding, also of a network that trains: running statistics are folded.

    dtype  of the convolutions, but not of 1x1 ones without a norm: they end a head, and what they
           answer, such as offsets of hundreds of pixels, is worth more than eight bits

    Source: Jacob et al., Quantization and Training of Neural Networks (2018), section 3.2.
    """
    with torch.no_grad():
        return _folded(network, dtype).eval()


def with_children(module: nn.Module, change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A copy whose children are what `change` makes of them; tensors are views of the same ones.

    What is done to the copy (modes, devices, types) is its own; all else that it holds is shared.
    """
    twin = module.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    twin._parameters = {
        name: None if x is None else nn.Parameter(x.detach(), requires_grad=False)
        for name, x in module._parameters.items()
    }
    twin._buffers = {n: None if x is None else x.detach() for n, x in module._buffers.items()}
    twin._modules = {n: None if x is None else change(x) for n, x in module._modules.items()}
    return twin


def _folded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    if isinstance(module, ConvNorm):
        conv = convolution(module.conv, *_joined(module), dtype=dtype)
        own = (_folded(layer, dtype) for layer in (module.pad, module.activation))
        return FoldedConv(conv, *own)
    if isinstance(module, nn.Conv2d):
        exact = torch.float32 if module.kernel_size == (1, 1) else dtype
        return FoldedConv(convolution(module, module.weight, module.bias, dtype=exact))
    return with_children(module, partial(_folded, dtype=dtype))


def _joined(block: ConvNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that normalises; reckoned in float64."""
    norm, weight = block.norm, block.conv.weight.double()
    slope = torch.rsqrt(variance_of(norm).double() + norm.eps)
    shift = -mean_of(norm).double() * slope
    if norm.affine:
        slope, shift = slope * norm.weight, shift * norm.weight + norm.bias
    return weight * slope[:, None, None, None], shift


def convolution(
    like: nn.Conv2d, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype
) -> nn.Conv2d:
    """A convolution as another one, but for its weights; those that fit already are shared."""
    assert not isinstance(like.padding, str)
    with torch.device("meta"):  # weights are given: none need be drawn
        conv = nn.Conv2d(
            like.in_channels,
            like.out_channels,
            like.kernel_size,  # type: ignore[arg-type]
            stride=like.stride,  # type: ignore[arg-type]
            padding=like.padding,  # type: ignore[arg-type]
            dilation=like.dilation,  # type: ignore[arg-type]
            groups=like.groups,
            bias=bias is not None,
        )
    laid_out = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(laid_out, requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
    return conv
