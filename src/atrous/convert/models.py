"""A public checkpoint becomes a model file of ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save
from torch import nn

from atrous.convert.graft import VOC_CLASSES
from atrous.convert.layouts import Start
from atrous.convert.start import adopt, read_start
from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.nn.backbone import Layout, build_backbone
from atrous.run.checkpoint import Weights, canonical, write_bytes, write_model
from atrous.systems import build, described
from atrous.types import BadInput

CITYSCAPES_THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
CITYSCAPES_CLASSES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", *CITYSCAPES_THINGS),
)
STUFF = {21: VOC_CLASSES[:1], 19: CITYSCAPES_CLASSES[:11]}
NAMES = {21: VOC_CLASSES, 19: CITYSCAPES_CLASSES}
"""What the classes of public networks are called, by how many there are."""
CLASSIFIERS = ("classifier", "head.2", "auxiliary.2")
"""Our names of what answers the logits."""
FOLDED = ("weight", "running_mean", "running_var")
"""What a norm that came folded into a bias does not have in the file."""
NAMED = 6
"""How many tensors are named that do not fit."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a file: its layout, its system or None for a backbone, its classes."""

    layout: str
    system: str | None
    classes: int


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
        _write_backbone(path, out, start)
        return Converted(start.layout, None, 0)
    labels = _labels(start.weights)
    system = build(start.network, labels, fusion=None)
    _check_whole(path, system.state_dict(), start)
    adopt(system, start)
    network = described(start.network)
    header = {
        "network": network,
        "labels": labels.to_json(),
        "input": asdict(start.rule),
        "fusion": {},
        "recipe": {"converted": start.layout},
    }
    write_model(out, system.state_dict(), header)
    return Converted(start.layout, network["system"], len(labels))


def _write_backbone(path: Path, out: Path, start: Start) -> None:
    """Weights that need nothing more to be known of them, without a model's header: it is none."""
    backbone = build_backbone(start.backbone, Layout(root=start.root))
    holder = nn.ModuleDict({"backbone": backbone})
    _check_whole(path, holder.state_dict(), start)
    adopt(holder, start)
    told = {"from": start.layout, "name": start.backbone, "root": start.root}
    write_bytes(out, save(holder.state_dict(), {"backbone": canonical(told)}))


def _labels(weights: Weights) -> LabelSpace:
    """Names by the number of classes; public networks do not carry any."""
    known = (weights.get(f"{name}.{leaf}") for name in CLASSIFIERS for leaf in ("bias", "weight"))
    # One that is not there is named by the check of the whole.
    count = next((len(logits) for logits in known if logits is not None and logits.ndim), 1)
    names = NAMES.get(count, tuple(f"class {i}" for i in range(count)))
    stuff, colours = STUFF.get(count, ()), distinct_colours(count)
    return LabelSpace(
        tuple(Label(name, colours[i], name not in stuff, i) for i, name in enumerate(names))
    )


def _check_whole(path: Path, own: Weights, start: Start) -> None:
    """Every tensor of the network must come from the file, in its shape."""
    folded = {f"{block}.norm.{leaf}" for block in start.folded for leaf in FOLDED}
    wanted = {k for k in own if not k.endswith("num_batches_tracked")} - folded
    missing = sorted(k for k in wanted if k not in start.weights)
    odd = sorted(k for k in wanted - set(missing) if start.weights[k].shape != own[k].shape)
    told = (_counted(missing, "missing"), _counted(odd, "of another shape"))
    if missing or odd:
        raise BadInput(
            f"{path}: does not fit {start.layout}'s network, {', '.join(t for t in told if t)}: "
            "fetch it again, or convert another"
        )


def _counted(names: list[str], how: str) -> str:
    """At most six of the names, how many more there are, and what is the matter with them."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{how} {', '.join(names[:NAMED])}{more}"
