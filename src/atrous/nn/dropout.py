"""Dropout whose masks are a pure function of seed, step, slot and layer: resuming is exact."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes single values, or whole channels, with probability `p` in training.

    Masks come from torch's own generator until `draw_masks` says which step is being made.

    Source: Srivastava et al. (2014), inverted: what stays is divided by 1 - p.
    Raises: ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float, *, channels: bool = False) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout is {p}: it must be at least 0 and below 1")
        self.p, self.channels = p, channels
        self.layer, self.draw = 0, None  # type: int, tuple[int, int, int] | None
        self.stays: Callable[[Dropout, Tensor], Tensor] = _stays

    def extra_repr(self) -> str:
        """What is special about it."""
        return f"p={self.p}, channels={self.channels}"

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map with its holes in training, the map itself else."""
        if not self.training or self.p == 0:
            return x
        return x * (self.stays(self, x).to(x.device, x.dtype) / (1 - self.p))


def draw_masks(network: nn.Module, *, seed: int, step: int, first_slot: int = 0) -> None:
    """Ties the masks of every dropout in a network to a step; slots count from `first_slot`."""
    layers = (m for m in network.modules() if isinstance(m, Dropout))
    for index, layer in enumerate(layers):
        layer.layer, layer.draw = index, (seed, step, first_slot)


def leave_uncompiled(network: nn.Module) -> None:
    """Keeps torch.compile out of the drawing of masks, which it would compile for each step."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.stays = torch.compiler.disable(_stays)


def _stays(layer: Dropout, x: Tensor) -> Tensor:
    """Which values of a batch stay, or which of its channels."""
    shape = x.shape[1:2] + ((1, 1) if layer.channels else x.shape[2:])
    return torch.stack([_mask(layer, shape, slot) for slot in range(x.shape[0])])


def _mask(layer: Dropout, shape: torch.Size, slot: int) -> Tensor:
    random = None
    if layer.draw is not None:
        seed, step, first = layer.draw
        place = f"{seed} {step} {first + slot} {layer.layer}".encode()
        digest = hashlib.blake2b(place, digest_size=8).digest()
        random = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    return torch.rand(shape, generator=random) >= layer.p
