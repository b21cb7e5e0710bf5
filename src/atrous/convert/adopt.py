"""Starting points enter our networks.

Larger kernels take smaller ones in their middle, with zeros around; a norm that stands in the file
with another eps keeps its function.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.convert.graft import HEAD, PARTS, graft
from atrous.convert.naming import grouped, is_counter, named, whole_parts
from atrous.convert.start import Start
from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import fold, variance_of
from atrous.run.checkpoint import Weights
from atrous.systems import AnySystem
from atrous.systems.deeperlab import DeeperLab
from atrous.types import BadInput

FOLDED = ("weight", "running_mean", "running_var")
"""What a norm that came folded into a bias does not have in the file."""
INSTANCES = ("heatmap.", "short.", "middle.", "long.", "localisation.classifier.")
"""Where DeeperLab and FCRN have learnt what `fusion.learnt` names."""
MOST_PARTS = 12
"""How many parts of a network are named that begin anew."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a training began with.

    used      how many tensors of the file found a place
    left_out  names in the file of those that found none; counters of steps are not told
    grafted   names of the classes whose public answer it gives; see `graft`
    new       parts of the network that the file gave nothing
    """

    used: int
    left_out: tuple[str, ...]
    grafted: tuple[str, ...]
    new: tuple[str, ...]

    def told(self, file: str) -> str:
        """All of it in one line."""
        told = f"began with {self.used} of {self.used + len(self.left_out)} tensors of {file}"
        if self.grafted:
            told += f", its answer for {len(self.grafted)} classes grafted into {', '.join(PARTS)}"
        if self.left_out:
            told += f"; left out: {grouped(self.left_out)}"
        return told + (f"; new: {named(self.new, MOST_PARTS)}" if self.new else "")


def begin(system: AnySystem, start: Start) -> Begun:
    """Puts the weights that fit into a network, and a public DeepLabv3's head into DeeperLab.

    Raises: BadInput if nothing fits, or not all of the backbone.
    """
    found = adopt(system, start)
    grafted = graft(system, start.head) if start.head and isinstance(system, DeeperLab) else ()
    given = set(found) | _unfolded(found, start)
    used = set(found.values())
    if grafted:
        given |= {name for name in system.state_dict() if name.startswith(PARTS)}
        used |= {name for name in start.weights if name.startswith(HEAD)}
    left_out = start.unused(used)
    new = (k for k in system.state_dict() if k not in given and not is_counter(k))
    count = len(start.weights) + len(start.left_out) - len(left_out)
    parts = whole_parts(new, given)
    if holes := [part for part in parts if _is_backbone(part)]:
        raise BadInput(
            f"the starting file gives a part of the backbone alone: {named(holes, MOST_PARTS)} "
            "would begin anew: choose an --init with all of this network's backbone"
        )
    return Begun(count, left_out, grafted, parts)


def adopt(network: nn.Module, start: Start) -> dict[str, str]:
    """Puts the weights that fit into a network; returns its names -> those in `start.weights`.

    A tensor of another shape (a head for other classes) is left out, and so is a norm whose
    convolution is; a smaller kernel enters the middle of a larger one. Both networks of FCRN take
    a backbone, and where its second has none of its own, that of the first. Heads of instances
    begin anew where they would mean something else, for another radius say.

    Raises: BadInput if nothing fits, or nothing of the backbone.
    """
    own = network.state_dict()
    anew = INSTANCES if _means_another(network, start) else ()
    sources = {k: _source(k, start.weights) for k in own if not k.startswith(anew)}
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
    found = {k: s for k, s in sources.items() if s and k in fitting}
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm) and f"{name}.conv.weight" in fitting:
            _set_norm(module, _block(found[f"{name}.conv.weight"]), start)
    return found


def _means_another(network: nn.Module, start: Start) -> bool:
    """Whether the file's instances were learnt with another radius, graph or statistics."""
    ours = getattr(network, "fusion", None)
    if ours is None or not set(ours.learnt) & set(start.fusion):
        return False
    theirs = {**{f.name: f.default for f in fields(ours)}, **start.fusion}
    return any(_listed(theirs[name]) != _listed(getattr(ours, name)) for name in ours.learnt)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


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


def _block(convolution: str) -> str:
    return convolution.removesuffix(".conv.weight")


def _unfolded(found: dict[str, str], start: Start) -> set[str]:
    """Tensors of norms that came folded: the file gave them, though not by name."""
    blocks = (_block(k) for k, s in found.items() if _block(s) in start.folded)
    return {f"{block}.norm.{leaf}" for block in blocks for leaf in FOLDED}


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
