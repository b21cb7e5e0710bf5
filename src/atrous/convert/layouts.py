"""The layouts of public checkpoints: recognised by their keys, renamed, and what network they are.

A layout that holds a whole network says which; one that holds a backbone alone has none, and can
only begin a training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from atrous.convert.files import in_our_layout, present, renamed, renamed_from_tensorflow
from atrous.convert.graft import VOC_CLASSES
from atrous.convert.naming import is_counter
from atrous.convert.start import Start
from atrous.data.transforms import InputRule
from atrous.nn.backbone import Layout, build_backbone
from atrous.run.checkpoint import Weights
from atrous.systems.deeplabv3 import DeepLabv3Network
from atrous.systems.pspnet import PSPNetNetwork
from atrous.weights.heads import SEMSEG_HEAD, TORCHVISION_DEEPLABV3, TORCHVISION_FCN
from atrous.weights.mobilenet import (
    DEEPLAB_LITE,
    DEEPLAB_LITE_HEAD,
    TORCHVISION_MOBILENET_V2,
    timm_mobilenet_v2,
)
from atrous.weights.resnet import (
    semseg_pspnet,
    semseg_resnet,
    timm_deep_resnet,
    torchvision_resnet,
)
from atrous.weights.tensorflow import tensorflow_mobilenet_v2, tensorflow_xception
from atrous.weights.xception import timm_xception

MOBILE = InputRule(longest_side=513, enlarge=True, square=True)
HALF = "mobilenet-v2-half"
TORCHVISION_EPS = 1e-5
DEPTHS = {6: 50, 23: 101, 36: 152, 48: 269}
"""Units of block 3 -> depth."""
XCEPTIONS = {13: 41, 21: 65, 23: 71}
"""timm's blocks -> depth."""
JOIN = "context.project.conv.weight"


Reader = Callable[[Weights], Start]


def _depth(weights: Weights, prefix: str = "") -> int:
    units = {
        name.split(".")[len(prefix.split("."))]
        for name in weights
        if name.startswith(f"{prefix}layer3.")
    }
    if len(units) not in DEPTHS:
        raise ValueError(
            f"{prefix}layer3 has {len(units)} units, not {', '.join(map(str, DEPTHS))}"
        )
    return DEPTHS[len(units)]


def recognise(weights: Weights, layout: str | None = None) -> str | None:
    """The name of the layout that a file's keys show, None if it is none of `LAYOUTS`.

    layout  the only one that shall be looked for
    """
    names = LAYOUTS if layout is None else (layout,)
    return next((name for name in names if LAYOUTS[name][0](weights)), None)


def _starts(*prefixes: str) -> Callable[[Weights], bool]:
    """Whether a key starts with any of these: one that is lost hides no network."""
    return lambda weights: any(name.startswith(prefixes) for name in weights)


def _all(*rules: Callable[[Weights], bool]) -> Callable[[Weights], bool]:
    return lambda weights: all(rule(weights) for rule in rules)


def _start(layout: str, weights: Weights, sources: dict[str, str]) -> Start:
    """The tensors of a file under our names; `sources` may name some that it lacks."""
    found = present(weights, sources)
    ours = {here: weights[there].float() for here, there in found.items()}
    return Start(layout, ours, sources=sources)


def _ours(weights: Weights) -> Start:
    return _start("atrous", weights, {name: name for name in weights if not is_counter(name)})


def _deeplab_lite(weights: Weights) -> Start:
    sources = {here: there for there, here in DEEPLAB_LITE_HEAD.items()}
    for there, here in DEEPLAB_LITE.items():
        sources[f"{here}.conv.weight"] = f"{there}.weight"
        sources[f"{here}.norm.bias"] = f"{there}.bias"
    start = _start("deeplab-lite", weights, sources)
    head = {there: weights[there].float() for there in DEEPLAB_LITE_HEAD if there in weights}
    is_voc = len(head) == len(DEEPLAB_LITE_HEAD) and len(head["logits.bias"]) == len(VOC_CLASSES)
    start = replace(
        start,
        rule=MOBILE,
        folded=tuple(k.removesuffix(".conv.weight") for k in sources if k.endswith(".conv.weight")),
        head=head if is_voc else {},
    )
    return _mobile(start, whole=bool(head))


def _mobile(start: Start, *, whole: bool) -> Start:
    """MobileNetV2, and where it is `whole` a 1x1 branch and image pooling on top of it."""
    stem = start.weights.get("backbone.stem.conv.weight")
    is_half = stem is not None and stem.shape[:1] == (16,)
    if is_half:
        start = replace(start, weights=_rounded(start.weights))
    backbone = HALF if is_half else "mobilenet-v2"
    if not whole:
        return replace(start, backbone=backbone)
    return replace(start, network=DeepLabv3Network(backbone=backbone, multi_grid=(), aspp_rates=()))


def _rounded(weights: Weights) -> Weights:
    """With 16 channels where DeepLab's half width has 12: those of zeros change no answer."""
    with torch.device("meta"):
        own = nn.ModuleDict({"backbone": build_backbone(HALF, Layout())}).state_dict()
    return {k: _padded(k, v, own[k].shape) if k in own else v for k, v in weights.items()}


def _padded(name: str, value: Tensor, shape: torch.Size) -> Tensor:
    widths = zip(value.shape[:2], shape[:2], strict=False)
    if (
        value.ndim != len(shape)
        or value.shape[2:] != shape[2:]
        or any(n not in (m, m * 3 // 4) for n, m in widths)
    ):
        return value
    whole = torch.full(shape, 1.0 if name.endswith("running_var") else 0.0)
    whole[tuple(slice(n) for n in value.shape)] = value
    return whole


def _torchvision_mobile(weights: Weights) -> Start:
    start = _start("torchvision", weights, renamed(weights, TORCHVISION_MOBILENET_V2))
    return _mobile(replace(start, eps=TORCHVISION_EPS), whole=False)


def _timm_mobile(weights: Weights) -> Start:
    start = _start("timm", weights, renamed(weights, timm_mobilenet_v2(), whole="blocks."))
    return _mobile(replace(start, eps=TORCHVISION_EPS), whole=False)


def _resnet(
    layout: str, modules: Callable[[int], dict[str, str]], *, root: str
) -> Callable[[Weights], Start]:
    """Reader of a ResNet alone."""

    def read(weights: Weights) -> Start:
        depth = _depth(weights)
        start = _start(layout, weights, renamed(weights, modules(depth), whole="layer"))
        return replace(start, backbone=f"resnet-{depth}", root=root)

    return read


def _torchvision_segmenter(weights: Weights) -> Start:
    """deeplabv3 and fcn on ResNets: rates 12, 24, 36 at output stride 8, no aligned corners.

    The pyramid there is joined in another order, and one 3x3 convolution more follows it.
    """
    depth = _depth(weights, "backbone.")
    rows = {f"backbone.{there}": here for there, here in torchvision_resnet(depth).items()}
    is_fcn = not _starts("classifier.0.convs.", "classifier.0.project.")(weights)
    rows |= TORCHVISION_FCN if is_fcn else TORCHVISION_DEEPLABV3
    start = _start("torchvision", weights, renamed(weights, rows, whole="backbone.layer"))
    if is_fcn:
        has_auxiliary = _starts("aux_classifier.")(weights)
        return replace(start, network=_fcn(depth, auxiliary=has_auxiliary))
    weights = {**start.weights, JOIN: _in_our_order(start)}
    return replace(start, weights=weights, network=_deeplabv3(depth))


def _in_our_order(start: Start) -> Tensor:
    """The kernel that joins the pyramid's branches, with image pooling first."""
    there = start.sources[JOIN]
    if JOIN not in start.weights:
        raise KeyError(there)
    joined = start.weights[JOIN]
    if joined.ndim != 4:
        raise ValueError(f"{there} has shape {tuple(joined.shape)}, which is no kernel's")
    width = joined.shape[1] // 5
    return torch.cat([joined[:, 4 * width :], joined[:, : 4 * width]], dim=1)


def _deeplabv3(depth: int) -> DeepLabv3Network:
    return DeepLabv3Network(
        backbone=f"resnet-{depth}",
        output_stride=8,
        multi_grid=(),
        stride_at="first_3x3",
        dropout=0.5,
        extra_conv=True,
        align_corners=False,
    )


def _fcn(depth: int, *, auxiliary: bool) -> PSPNetNetwork:
    """PSPNet's baseline on the other root is what torchvision calls fcn."""
    return PSPNetNetwork(
        backbone=f"resnet-{depth}",
        root="7x7",
        all_units=False,
        bins=(),
        reduction=False,
        auxiliary=auxiliary,
        align_corners=False,
    )


def _timm_xception(weights: Weights) -> Start:
    blocks = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    if blocks not in XCEPTIONS:
        raise ValueError(f"has {blocks} blocks, not {', '.join(map(str, XCEPTIONS))}")
    depth = XCEPTIONS[blocks]
    start = _start("timm", weights, renamed(weights, timm_xception(depth), whole="blocks."))
    return replace(start, backbone=f"xception-{depth}", rule=MOBILE)


def _semseg_pspnet(weights: Weights) -> Start:
    depth = _depth(weights)
    rows = semseg_pspnet(depth) | SEMSEG_HEAD
    network = PSPNetNetwork(
        backbone=f"resnet-{depth}", auxiliary=_starts("aux.")(weights), bins=(1, 2, 3, 6)
    )
    start = _start("semseg", weights, renamed(weights, rows, whole="layer"))
    return replace(start, network=network)


def _tensorflow(weights: Weights) -> Start:
    if _starts("MobilenetV2/")(weights):
        return _tensorflow_mobile(weights)
    scope = next(name.split("/")[0] for name in weights if name.startswith("xception_"))
    depth = scope.removeprefix("xception_")
    if not depth.isdecimal():
        raise ValueError(f"{scope} is no Xception that is known")
    start = _tensorflow_start(weights, tensorflow_xception(int(depth)))
    return replace(start, backbone=f"xception-{depth}")


def _tensorflow_mobile(weights: Weights) -> Start:
    start = _tensorflow_start(weights, tensorflow_mobilenet_v2())
    has_head = _starts("classifier.", "context.")(start.weights)
    is_plus = _starts("decoder/", "aspp1")(weights)  # a head that is none of ours
    start = _mobile(start, whole=has_head and not is_plus)
    if isinstance(start.network, DeepLabv3Network):
        return replace(start, network=replace(start.network, padding="same"))
    return start


def _tensorflow_start(weights: Weights, scopes: dict[str, str]) -> Start:
    sources = renamed_from_tensorflow(weights, scopes)
    found = present(weights, sources)
    ours = {here: in_our_layout(there, weights[there]) for here, there in found.items()}
    return Start("tf-deeplab", ours, sources=sources, rule=MOBILE)


LAYER = _starts("layer3.")
LAYOUTS: dict[str, tuple[Callable[[Weights], bool], Reader]] = {
    "atrous": (
        _starts("backbone.stem.conv.", "backbone.root.0.conv.", "category.backbone."),
        _ours,
    ),
    "deeplab-lite": (_starts("backbone.stem.", "backbone.blocks.0.depthwise."), _deeplab_lite),
    "torchvision": (_starts("backbone.layer3."), _torchvision_segmenter),
    "torchvision-mobilenet": (_starts("features.0.0.", "features.1.conv."), _torchvision_mobile),
    "semseg": (_all(_starts("layer0."), _starts("cls.")), _semseg_pspnet),
    "semseg-resnet": (
        _all(_starts("conv3.", "bn3."), LAYER),
        _resnet("semseg", semseg_resnet, root="deep"),
    ),
    "timm-resnets": (
        _all(_starts("conv1.0.", "conv1.1.", "conv1.3."), LAYER),
        _resnet("timm", timm_deep_resnet, root="deep"),
    ),
    "torchvision-resnet": (
        _all(_starts("conv1.", "bn1."), LAYER),
        _resnet("torchvision", torchvision_resnet, root="7x7"),
    ),
    "timm-xception": (_starts("blocks.0.stack.conv1."), _timm_xception),
    "timm-mobilenet": (_all(_starts("conv_stem.", "bn1."), _starts("blocks.0.0.")), _timm_mobile),
    "tf-deeplab": (_starts("MobilenetV2/", "xception_"), _tensorflow),
}
"""How each layout is recognised, and read. The first that fits counts."""
