"""A public checkpoint becomes a model file of ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from atrous.convert.adopt import FOLDED, adopt
from atrous.convert.naming import is_counter, named, nearest
from atrous.convert.read import read_start
from atrous.convert.start import Start
from atrous.labels import CITYSCAPES, VOC, LabelSpace, unnamed
from atrous.nn.backbone import Layout, build_backbone
from atrous.run.checkpoint import Weights, canonical, write_bytes, write_model
from atrous.systems import build, described
from atrous.types import BadInput

KNOWN = {len(VOC): VOC, len(CITYSCAPES): CITYSCAPES}
"""The classes of public networks, by how many there are."""
CLASSIFIERS = ("classifier", "head.2", "auxiliary.2")
"""Our names of what answers the logits."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a file.

    system    None for a backbone
    left_out  names in the file of what the model has no place for; counters of steps are not told
    """

    layout: str
    system: str | None
    classes: int
    left_out: tuple[str, ...]


def convert(path: Path, out: Path, *, layout: str | None = None) -> Converted:
    """Writes a public checkpoint as a model file of ours.

    A file that holds a backbone alone becomes one that a training can start from.

    Raises: BadInput if the file cannot be read, if its layout is unknown, if it lacks tensors of
    the network that it holds (they are named), or if `out` is no .safetensors file.
    """
    if out.suffix != ".safetensors":
        raise BadInput(f"{out}: a model is a .safetensors file: choose another --out")
    start = read_start(path, layout=layout)
    if start.layout == "atrous":
        raise BadInput(f"{path}: is in our layout already: use it as it is")
    if start.network is None:
        return Converted(start.layout, None, 0, _write_backbone(path, out, start))
    labels, network = _labels(start.weights), described(start.network)
    with torch.device("meta"):
        system = build(start.network, labels, fusion=None)
    left_out = _fill(path, system, start)
    header = {
        "network": network,
        "labels": labels.to_json(),
        "input": asdict(start.rule),
        "fusion": {},
        "recipe": {"converted": start.layout},
    }
    write_model(out, system.state_dict(), header)
    return Converted(start.layout, network["system"], len(labels), left_out)


def _write_backbone(path: Path, out: Path, start: Start) -> tuple[str, ...]:
    """Weights that need nothing more to be known of them, without a model's header: it is none."""
    with torch.device("meta"):
        backbone = build_backbone(start.backbone, Layout(root=start.root))
    holder = nn.ModuleDict({"backbone": backbone})
    left_out = _fill(path, holder, start)
    told = {"from": start.layout, "name": start.backbone, "root": start.root}
    write_bytes(out, save(holder.state_dict(), {"backbone": canonical(told)}))
    return left_out


def _fill(path: Path, network: nn.Module, start: Start) -> tuple[str, ...]:
    """Every tensor of a network without memory comes from the file; returns what is left there."""
    own = network.state_dict()
    _check_whole(path, own, start)
    network.to_empty(device="cpu")
    for name, counter in network.named_buffers():
        if is_counter(name):
            counter.zero_()
    adopt(network, start)
    return start.unused(own)


def _labels(weights: Weights) -> LabelSpace:
    """Names by the number of classes; public networks do not carry any."""
    known = (weights.get(f"{name}.{leaf}") for name in CLASSIFIERS for leaf in ("bias", "weight"))
    # One that is not there, or is empty, is named by the check of the whole.
    count = next((len(x) for x in known if x is not None and x.ndim and len(x)), 1)
    return KNOWN.get(count) or unnamed(count)


def _check_whole(path: Path, own: Weights, start: Start) -> None:
    """Every tensor of the network must come from the file, in its shape; its names are told."""
    folded = {f"{block}.norm.{leaf}" for block in start.folded for leaf in FOLDED}
    wanted = {k for k in own if not is_counter(k)} - folded
    missing = sorted(k for k in wanted if k not in start.weights)
    odd = sorted(k for k in wanted - set(missing) if start.weights[k].shape != own[k].shape)
    theirs = [sorted(start.sources.get(k, k) for k in ours) for ours in (missing, odd)]
    kinds = ("missing", "of another shape", "not known")
    lists = (*theirs, nearest(start.left_out, theirs[0]))
    told = [f"{kind} {named(names)}" for kind, names in zip(kinds, lists, strict=True) if names]
    if told:
        raise BadInput(
            f"{path}: does not fit {start.layout}'s network, {', '.join(told)}: "
            "fetch it again, or convert another"
        )
