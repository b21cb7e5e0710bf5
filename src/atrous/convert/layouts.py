"""The layouts of public checkpoints: recognised by their keys, renamed, and what network they are.

A layout that holds a whole network says which; one that holds a backbone alone has none, and can
only begin a training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from atrous.convert.files import renamed, renamed_from_tensorflow
from atrous.data.transforms import InputRule
from atrous.nn.backbone import Layout, build_backbone
from atrous.run.checkpoint import Weights
from atrous.systems import AnyNetwork
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

IMAGENET = InputRule(
    mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375), longest_side=0, multiple=8
)
MOBILE = InputRule(longest_side=513, enlarge=True, square=True)
HALF = "mobilenet-v2-half"
TORCHVISION_EPS = 1e-5
DEPTHS = {6: 50, 23: 101, 36: 152, 48: 269}
"""Units of block 3 -> depth."""


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with, under our names.

    layout   "atrous", or a public one
    network  the network that the weights make up; None where they are a backbone's alone
    backbone its name; empty where `network` says it, or where the file is ours
    root     of that backbone, if it is a ResNet
    rule     the input that they were trained with
    folded   names of the blocks whose norm came folded into a bias
    eps      of the norms of a mobile backbone, where it is not ours
    head     the classifying end of a DeepLabv3 on VOC classes, under its own names; see `graft`
    """

    layout: str
    weights: Weights
    network: AnyNetwork | None = None
    backbone: str = ""
    root: str = "7x7"
    rule: InputRule = IMAGENET
    folded: tuple[str, ...] = ()
    eps: float | None = None
    head: Weights = field(default_factory=dict)


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


def _has(*names: str) -> Callable[[Weights], bool]:
    return lambda weights: all(name in weights for name in names)


def _starts(*prefixes: str) -> Callable[[Weights], bool]:
    return lambda weights: any(name.startswith(prefixes) for name in weights)


def _ours(weights: Weights) -> Start:
    kept = {k: v.float() for k, v in weights.items() if "num_batches_tracked" not in k}
    return Start("atrous", kept)


def _deeplab_lite(weights: Weights) -> Start:
    ours: Weights = {}
    for there, here in DEEPLAB_LITE.items():
        if f"{there}.weight" in weights:
            ours[f"{here}.conv.weight"] = weights[f"{there}.weight"].float()
            ours[f"{here}.norm.bias"] = weights[f"{there}.bias"].float()
    head = {there: weights[there].float() for there in DEEPLAB_LITE_HEAD if there in weights}
    ours |= {DEEPLAB_LITE_HEAD[there]: value for there, value in head.items()}
    start = Start(
        "deeplab-lite",
        ours,
        rule=MOBILE,
        folded=tuple(k.removesuffix(".conv.weight") for k in ours if k.endswith(".conv.weight")),
        head=head if len(head) == len(DEEPLAB_LITE_HEAD) else {},
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
    if value.shape[2:] != shape[2:] or any(n not in (m, m * 3 // 4) for n, m in widths):
        return value
    whole = torch.full(shape, 1.0 if name.endswith("running_var") else 0.0)
    whole[tuple(slice(n) for n in value.shape)] = value
    return whole


def _torchvision_mobile(weights: Weights) -> Start:
    ours = renamed(weights, TORCHVISION_MOBILENET_V2)
    return _mobile(Start("torchvision", ours, eps=TORCHVISION_EPS), whole=False)


def _timm_mobile(weights: Weights) -> Start:
    ours = renamed(weights, timm_mobilenet_v2(), whole="blocks.")
    return _mobile(Start("timm", ours, eps=TORCHVISION_EPS), whole=False)


def _resnet(
    layout: str, modules: Callable[[int], dict[str, str]], *, root: str
) -> Callable[[Weights], Start]:
    """Reader of a ResNet alone."""

    def read(weights: Weights) -> Start:
        depth = _depth(weights)
        ours = renamed(weights, modules(depth), whole="layer")
        return Start(layout, ours, backbone=f"resnet-{depth}", root=root)

    return read


def _torchvision_segmenter(weights: Weights) -> Start:
    """deeplabv3 and fcn on ResNets: rates 12, 24, 36 at output stride 8, no aligned corners.

    The pyramid there is joined in another order, and one 3x3 convolution more follows it.
    """
    backbone = {k.removeprefix("backbone."): v for k, v in weights.items()}
    depth = _depth(weights, "backbone.")
    ours = renamed(backbone, torchvision_resnet(depth), whole="layer")
    if "classifier.0.project.0.weight" not in weights:
        ours |= renamed(weights, TORCHVISION_FCN)
        has_auxiliary = "aux_classifier.0.weight" in weights
        return Start("torchvision", ours, network=_fcn(depth, auxiliary=has_auxiliary))
    ours |= renamed(weights, TORCHVISION_DEEPLABV3)
    joined = ours["context.project.conv.weight"]
    width = joined.shape[1] // 5
    ours["context.project.conv.weight"] = torch.cat(
        [joined[:, 4 * width :], joined[:, : 4 * width]], dim=1
    )
    network = DeepLabv3Network(
        backbone=f"resnet-{depth}",
        output_stride=8,
        multi_grid=(),
        stride_at="first_3x3",
        dropout=0.5,
        extra_conv=True,
        align_corners=False,
    )
    return Start("torchvision", ours, network=network)


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
    modules = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    depth = {13: 41, 21: 65, 23: 71}.get(modules, 0)
    ours = renamed(weights, timm_xception(depth), whole="blocks.")
    return Start("timm", ours, backbone=f"xception-{depth}", rule=MOBILE)


def _semseg_pspnet(weights: Weights) -> Start:
    depth = _depth(weights)
    ours = renamed(weights, semseg_pspnet(depth) | SEMSEG_HEAD, whole="layer")
    network = PSPNetNetwork(
        backbone=f"resnet-{depth}", auxiliary="aux.0.weight" in weights, bins=(1, 2, 3, 6)
    )
    return Start("semseg", ours, network=network)


def _tensorflow(weights: Weights) -> Start:
    if _starts("MobilenetV2/")(weights):
        ours = renamed_from_tensorflow(weights, tensorflow_mobilenet_v2())
        is_plus = _starts("decoder/", "aspp1")(weights)  # a head that is none of ours
        start = _mobile(
            Start("tf-deeplab", ours, rule=MOBILE),
            whole=_starts("classifier.", "context.")(ours) and not is_plus,
        )
        if isinstance(start.network, DeepLabv3Network):
            return replace(start, network=replace(start.network, padding="same"))
        return start
    depth = next(int(n.split("/")[0].split("_")[1]) for n in weights if n.startswith("xception_"))
    ours = renamed_from_tensorflow(weights, tensorflow_xception(depth))
    return Start("tf-deeplab", ours, backbone=f"xception-{depth}", rule=MOBILE)


LAYOUTS: dict[str, tuple[Callable[[Weights], bool], Reader]] = {
    "atrous": (
        _starts("backbone.stem.conv.", "backbone.root.0.conv.", "category.backbone."),
        _ours,
    ),
    "deeplab-lite": (_has("backbone.stem.bias"), _deeplab_lite),
    "torchvision": (_has("backbone.layer3.0.conv1.weight"), _torchvision_segmenter),
    "torchvision-mobilenet": (_has("features.0.0.weight"), _torchvision_mobile),
    "semseg": (_has("layer0.0.weight", "cls.0.weight"), _semseg_pspnet),
    "semseg-resnet": (
        _has("conv3.weight", "layer3.0.conv1.weight"),
        _resnet("semseg", semseg_resnet, root="deep"),
    ),
    "timm-resnets": (
        _has("conv1.0.weight", "layer3.0.conv1.weight"),
        _resnet("timm", timm_deep_resnet, root="deep"),
    ),
    "torchvision-resnet": (
        _has("conv1.weight", "layer3.0.conv1.weight"),
        _resnet("torchvision", torchvision_resnet, root="7x7"),
    ),
    "timm-xception": (_has("blocks.0.stack.conv1.conv_dw.weight"), _timm_xception),
    "timm-mobilenet": (_has("conv_stem.weight", "blocks.0.0.conv_dw.weight"), _timm_mobile),
    "tf-deeplab": (_starts("MobilenetV2/", "xception_"), _tensorflow),
}
"""How each layout is recognised, and read. The first that fits counts."""
