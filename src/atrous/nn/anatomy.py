"""What a network is made of, found by looking at it: layers, sizes, work, receptive field."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from atrous.nn.dropout import Dropout
from atrous.nn.padding import SamePad


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a network at one input size.

    stride          of its last map, in input pixels a cell; 0 where one cell stands for all
    rates           atrous rates of its convolutions of kernels above 1
    channels        of its last convolution
    parameters      weights, norms and biases
    multiply_adds   of its convolutions, for one image
    is_auxiliary    whether it works in training alone
    """

    name: str
    convolutions: int
    stride: int
    rates: tuple[int, ...]
    channels: int
    parameters: int
    multiply_adds: int
    is_auxiliary: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    name: str
    layer: nn.Conv2d
    size_hw: tuple[int, int]
    is_auxiliary: bool


def anatomy(network: nn.Module, size_hw: tuple[int, int]) -> tuple[Block, ...]:
    """The blocks of a network in the order of a forward pass over one image of a size.

    network  may lie on the meta device, where the pass costs nothing
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    seen = _seen(network, size_hw)
    network.training = True  # its parts stay as they are: norms, and dropout, which has no masks
    known = {x.name for x in seen}
    seen += [replace(x, is_auxiliary=True) for x in _seen(network, size_hw) if x.name not in known]
    for module, mode in modes.items():
        module.training = mode
    names = dict.fromkeys(_part(x.name) for x in seen)
    return tuple(_block(network, name, seen, size_hw) for name in names)


def _seen(network: nn.Module, size_hw: tuple[int, int]) -> list[_Seen]:
    """The convolutions that a forward pass runs through."""
    seen: list[_Seen] = []
    hooks = [
        layer.register_forward_hook(_noted(name, seen))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    place = next(network.parameters()).device
    with torch.no_grad():
        network(torch.zeros(1, 3, *size_hw, device=place))
    for hook in hooks:
        hook.remove()
    return seen


def _noted(name: str, seen: list[_Seen]) -> Callable[[nn.Module, object, Tensor], None]:
    def note(layer: nn.Module, _: object, answer: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        size_hw = (answer.shape[-2], answer.shape[-1])
        seen.append(_Seen(name, layer, size_hw, is_auxiliary=False))

    return note


def _part(name: str) -> str:
    """The block that a layer belongs to: "backbone.units.3", "context.atrous.0", "semantic"."""
    parts = name.split(".")
    numbered = next((i for i, part in enumerate(parts) if part.isdigit()), None)
    if numbered is None:
        layer = parts[:-1] if parts[-1] == "conv" else parts
        return ".".join(layer[: 2 + ("backbone" in layer and layer.index("backbone"))])
    return ".".join(parts[: 1 if numbered == 1 else numbered + 1])


def _block(network: nn.Module, name: str, seen: list[_Seen], size_hw: tuple[int, int]) -> Block:
    own = [x for x in seen if _part(x.name) == name]
    last = own[-1]
    rates = dict.fromkeys(x.layer.dilation[0] for x in own if x.layer.kernel_size[0] > 1)
    return Block(
        name=name,
        convolutions=len(own),
        stride=round((size_hw[0] - 1) / (last.size_hw[0] - 1)) if last.size_hw[0] > 1 else 0,
        rates=tuple(rates),
        channels=last.layer.out_channels,
        parameters=sum(_weight(network, x.name) for x in own),
        multiply_adds=sum(multiply_adds(x.layer, x.size_hw) for x in own),
        is_auxiliary=last.is_auxiliary,
    )


def _weight(network: nn.Module, name: str) -> int:
    """Parameters of a convolution, and of the norm beside it."""
    around, _, leaf = name.rpartition(".")
    layer = network.get_submodule(around if leaf == "conv" else name)
    return sum(p.numel() for p in layer.parameters())


def multiply_adds(layer: nn.Conv2d, size_hw: tuple[int, int]) -> int:
    """Multiply-adds of a convolution that answers a map of this size."""
    return layer.weight.numel() * size_hw[0] * size_hw[1]


@dataclass(frozen=True, slots=True)
class _Field:
    """Side of what a cell sees, in pixels, and pixels from cell to cell."""

    side: int = 1
    jump: int = 1


def receptive_field(backbone: nn.Module) -> int:
    """Side of the square of pixels that a cell of the last map can depend on.

    Windows are followed through the graph; where paths meet, the widest counts.
    """
    graph = fx.GraphModule(backbone, _Tracer().trace(backbone))
    fields: dict[fx.Node, _Field] = {}
    for node in graph.graph.nodes:
        before = [fields[n] for n in node.all_input_nodes if n in fields]
        widest = max(before, key=operator.attrgetter("side"), default=_Field())
        layer = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        fields[node] = _through(layer, widest)
    return max(field.side for field in fields.values())


class _Tracer(fx.Tracer):
    """Looks into everything but what does not widen the field."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module stays whole in the graph."""
        return isinstance(m, Dropout | SamePad) or super().is_leaf_module(m, module_qualified_name)


def _through(layer: nn.Module | None, field: _Field) -> _Field:
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return field
    kernel, stride, rate = (
        value if isinstance(value, int) else value[0]
        for value in (layer.kernel_size, layer.stride, layer.dilation)
    )
    return _Field(field.side + (kernel - 1) * rate * field.jump, field.jump * stride)
