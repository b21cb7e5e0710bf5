"""Foreign checkpoints become starting points for our networks.

A layout is recognised by its keys. Larger kernels take smaller ones in their middle, with zeros
around; a norm that stands in the file with another eps keeps its function.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.convert.files import read_foreign
from atrous.convert.layouts import LAYOUTS, Start, recognise
from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import fold, variance_of
from atrous.run.checkpoint import Weights
from atrous.types import BadInput


def read_start(path: Path, *, layout: str | None = None) -> Start:
    """Reads a model file of ours or a public checkpoint.

    layout  its name, where the keys shall not decide

    Raises: BadInput if the file is missing or broken, or if its layout is unknown.
    """
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"--from {layout}: known are {', '.join(LAYOUTS)}")
    weights = read_foreign(path)
    found = recognise(weights, layout)
    if found is None:
        raise BadInput(f"{path}: {_strangeness(weights)}")
    try:
        return LAYOUTS[found][1](weights)
    except KeyError as error:
        raise BadInput(f"{path}: looks like {found}, but lacks {error.args[0]}") from error
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise BadInput(f"{path}: looks like {found}, but is another network: {error}") from error


def _strangeness(weights: Weights) -> str:
    other = recognise(weights)
    if other is not None:
        return f"its layout is {other}: leave --from out"
    first = min(weights, default="none")[:80]
    return f"unknown layout (first key {first!r}): known are {', '.join(LAYOUTS)}"


def adopt(network: nn.Module, start: Start) -> tuple[str, ...]:
    """Puts the weights that fit into a network; returns the names that found a place.

    A tensor of another shape (a head for other classes) is left out, and so is a norm whose
    convolution is; a smaller kernel enters the middle of a larger one. Both networks of FCRN take
    a backbone, and where its second has none of its own, that of the first.

    Raises: BadInput if nothing fits, or nothing of the backbone.
    """
    own = network.state_dict()
    sources = {k: _source(k, start.weights) for k in own}
    fitted = {k: _fit(start.weights[s], own[k].shape) for k, s in sources.items() if s}
    same = {k: v for k, v in fitted.items() if v.shape == own[k].shape}
    fitting = {k: v for k, v in same.items() if _convolution(k) in same}
    if not fitting:
        raise BadInput("no weight of the starting file fits this network: choose another --init")
    if any(map(_is_backbone, own)) and not any(map(_is_backbone, fitting)):
        raise BadInput(
            "the starting file holds another backbone: choose an --init with this network's, or "
            "set network.backbone to the file's"
        )
    network.load_state_dict(fitting, strict=False)
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm) and f"{name}.conv.weight" in fitting:
            there = sources[f"{name}.conv.weight"] or name
            _set_norm(module, there.removesuffix(".conv.weight"), start)
    return tuple(fitting)


def _is_backbone(key: str) -> bool:
    return "backbone" in key.split(".")


def _source(key: str, weights: Weights) -> str | None:
    """The name that a weight of ours has in the file: its own, or that of one tower of FCRN."""
    rest = key.partition(".")[2]
    names = [key, rest, f"category.{key}"]
    if rest.startswith("backbone."):
        names.append(f"category.{rest}")
    return next((name for name in names if name in weights), None)


def _convolution(key: str) -> str:
    """The name of the weight that a norm's tensor belongs to; any other name as it is."""
    block, norm, _ = key.rpartition(".norm.")
    return f"{block}.conv.weight" if norm else key


def _fit(value: Tensor, shape: torch.Size) -> Tensor:
    """A kernel in the middle of a larger one; anything else as it is."""
    if value.ndim != 4 or value.shape[:2] != shape[:2] or value.shape[2] >= shape[2]:
        return value
    margin = (shape[2] - value.shape[2]) // 2
    return F.pad(value, (margin,) * 4)


def _set_norm(block: ConvNorm, name: str, start: Start) -> None:
    norm = block.norm
    if name in start.folded:
        fold(norm)
    elif start.eps is not None:
        variance = variance_of(norm)
        with torch.no_grad():
            norm.weight.mul_(((variance + norm.eps) / (variance + start.eps)).sqrt())
