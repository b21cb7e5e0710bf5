"""Public networks answer the same before and after their conversion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import (
    agree,
    as_tensorflow,
    blank,
    full_size,
    picture,
    scattered,
    taken,
    write,
)
from semseg import SemsegPSPNet
from torch import Tensor, nn

from atrous.convert import adopt, convert, read_start
from atrous.labels import unnamed
from atrous.nn.context import PyramidPooling
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.systems.pspnet import PSPNet, PSPNetNetwork
from peers import segmentation_models, timm, torchvision, transformers

SIZES = ((65, 97), (64, 96))
COARSE = ((33, 65), (48, 32))
"""Enough at output stride 32."""
LONG = ((17, 209), (104, 16))
"""At output stride 8 an atrous rate of 24 reaches from one place to another; few pixels do."""
CLASSES = 5


def torchvision_segmenter(name: str, **choices: Any) -> nn.Module:
    make = getattr(torchvision().models.segmentation, name)
    return scattered(
        lambda: make(weights=None, weights_backbone=None, num_classes=CLASSES, **choices)
    )


@pytest.mark.parametrize(
    ("name", "has_auxiliary"), [("deeplabv3_resnet50", False), ("deeplabv3_resnet101", True)]
)
def test_torchvisions_deeplabv3_answers_the_same(
    tmp_path: Path, name: str, has_auxiliary: bool
) -> None:
    peer = torchvision_segmenter(name, aux_loss=has_auxiliary)
    ours, done = taken(write(peer, tmp_path / "peer.pth"))
    assert isinstance(ours, DeepLabv3)
    assert len(done.left_out) == 7 * has_auxiliary
    assert all(left.startswith("aux_classifier.") for left in done.left_out)
    for size in LONG:
        with torch.no_grad():
            theirs = peer(picture(*size))["out"]
        agree(full_size(ours, picture(*size)), theirs)


def test_torchvisions_fcn_answers_the_same(tmp_path: Path) -> None:
    peer: Any = torchvision_segmenter("fcn_resnet50", aux_loss=True)
    whole, done = taken(write(peer, tmp_path / "peer.pth"))
    assert isinstance(whole, PSPNet)
    assert done.left_out == ()
    image = picture(*SIZES[0])
    with torch.no_grad():
        theirs = peer(image)
    agree(full_size(whole, image), theirs["out"])
    agree(auxiliary_at(whole, image), theirs["aux"])
    peer.aux_classifier = None
    ours, _ = taken(write(peer, tmp_path / "peer.pth"))
    assert isinstance(ours, PSPNet)
    assert ours.auxiliary is None
    image = picture(*SIZES[1])
    with torch.no_grad():
        agree(full_size(ours, image), peer(image)["out"])


@torch.no_grad()
def auxiliary_at(ours: PSPNet, image: Tensor) -> Tensor:
    assert ours.auxiliary is not None
    logits = ours.auxiliary(ours.backbone(image).mid)
    return nn.functional.interpolate(logits, image.shape[-2:], mode="bilinear")


@pytest.fixture(scope="module")
def semseg() -> Any:
    """Its PSPNet on ResNet-50."""
    return scattered(lambda: SemsegPSPNet(CLASSES))


def test_semsegs_pspnet_answers_the_same(tmp_path: Path, semseg: Any) -> None:
    ours = semseg_saved(semseg.state_dict(), tmp_path / "train_epoch_100.pth")
    assert ours.auxiliary is not None
    for size in ((49, 65), (64, 48)):
        with torch.no_grad():
            logits, auxiliary = semseg(picture(*size))
            agree(ours(picture(*size)).semantic, logits)
            agree(ours.auxiliary(ours.backbone(picture(*size)).mid), auxiliary)


def test_semsegs_pspnet_has_no_auxiliary_head_where_its_file_has_none(
    tmp_path: Path, semseg: Any
) -> None:
    state = {k: v for k, v in semseg.state_dict().items() if not k.startswith("aux.")}
    ours = semseg_saved(state, tmp_path / "x.pth")
    assert ours.auxiliary is None
    with torch.no_grad():
        agree(ours(picture(49, 49)).semantic, semseg(picture(49, 49))[0])


def semseg_saved(state: dict[str, Tensor], path: Path) -> PSPNet:
    """As semseg saves: of a network in DataParallel, beside the optimiser's state."""
    state = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 100, "state_dict": state, "optimizer": {"state": {}}}, path)
    ours, done = taken(path)
    assert isinstance(ours, PSPNet)
    assert done.left_out == ()
    return ours


def test_semsegs_imagenet_networks_have_the_same_features(tmp_path: Path, semseg: Any) -> None:
    root = ("conv1", "bn1", "", "conv2", "bn2", "", "conv3", "bn3")
    state = {k: v for k, v in semseg.state_dict().items() if k.startswith("layer")}
    for place, name in enumerate(root):
        state = {k.replace(f"layer0.{place}.", f"{name}."): v for k, v in state.items()}
    path, out = tmp_path / "resnet50_v2.pth", tmp_path / "ours.safetensors"
    torch.save({**state, "fc.weight": torch.zeros(1000, 2048)}, path)
    assert convert(path, out).left_out == ("fc.weight",)
    ours = blank(lambda: PSPNet(PSPNetNetwork(bins=(), auxiliary=False), unnamed(2)))
    adopt(ours, read_start(out))
    for size in ((41, 49), (48, 40)):
        with torch.no_grad():
            x = semseg.layer2(semseg.layer1(semseg.layer0(picture(*size))))
            agree(ours.backbone(picture(*size)).high, semseg.layer4(semseg.layer3(x)))


@pytest.mark.parametrize("multiplier", [1.0, 0.5])
def test_tensorflows_mobile_deeplabv3_answers_as_transformers_does(
    tmp_path: Path, multiplier: float
) -> None:
    peers = transformers()
    config = peers.MobileNetV2Config(
        num_labels=CLASSES, output_stride=16, tf_padding=True, depth_multiplier=multiplier
    )
    peer = scattered(lambda: peers.MobileNetV2ForSemanticSegmentation(config))
    np.savez(tmp_path / "peer.npz", global_step=np.int64(7), **as_tensorflow(peer))
    ours, done = taken(tmp_path / "peer.npz")
    assert not [name for name in done.left_out if not name.startswith("MobilenetV2/Conv_1/")]
    for size in SIZES:
        with torch.no_grad():
            agree(ours(picture(*size)).semantic, peer(picture(*size)).logits)


def test_of_tensorflows_deeplabv3_plus_the_backbone_alone_is_taken(tmp_path: Path) -> None:
    peers = transformers()
    config = peers.MobileNetV2Config(num_labels=CLASSES, output_stride=16)
    peer: Any = scattered(lambda: peers.MobileNetV2ForSemanticSegmentation(config))
    more: dict[str, Any] = {"decoder/feature_projection0/weights": np.zeros((1, 1, 24, 48))}
    np.savez(tmp_path / "peer.npz", **as_tensorflow(peer), **more)
    assert convert(tmp_path / "peer.npz", tmp_path / "ours.safetensors").system is None
    ours = with_backbone("mobilenet-v2", "7x7")
    adopt(ours, read_start(tmp_path / "ours.safetensors"))
    coarse = peers.MobileNetV2Config(num_labels=CLASSES, output_stride=32)
    peer.mobilenet_v2, trunk = peers.MobileNetV2Model(coarse).eval(), peer.mobilenet_v2
    peer.mobilenet_v2.load_state_dict(trunk.state_dict())
    with torch.no_grad():
        seen = peer.mobilenet_v2(picture(65, 97), output_hidden_states=True)
        agree(ours.backbone(picture(65, 97)).high, seen.hidden_states[-1])


def test_levels_of_the_pyramid_are_those_of_segmentation_models() -> None:
    """Its PSPNet itself is another one: no norm on bin 1, 1x1 behind the pyramid, 3x3 logits."""
    segmentation_models()
    decoder = pytest.importorskip("segmentation_models_pytorch.decoders.pspnet.decoder")
    peer = scattered(lambda: decoder.PSPModule(12, sizes=(2, 3, 6)))
    ours = PyramidPooling(12, bins=(2, 3, 6)).eval()
    theirs = [v for k, v in peer.state_dict().items()]
    own = [k for k in ours.state_dict() if k.startswith("levels.")]
    ours.load_state_dict(dict(zip(own, theirs, strict=True)))
    for size in ((9, 13), (12, 6)):
        image = torch.randn(2, 12, *size)
        with torch.no_grad():
            agree(ours(image).roll(-12, dims=1), peer(image))


def torchvision_resnet(name: str) -> nn.Module:
    whole = scattered(lambda: getattr(torchvision().models, name)(weights=None))
    whole.avgpool = whole.fc = nn.Identity()
    return whole


def torchvision_mobile(_: str) -> nn.Module:
    return scattered(lambda: torchvision().models.mobilenet_v2(weights=None))


def timm_network(name: str) -> nn.Module:
    return scattered(lambda: timm().create_model(name, pretrained=False))


def features(peer: Any, image: Tensor) -> Tensor:
    """What stands before any pooling, and before a mobile network's last 1x1."""
    if isinstance(getattr(peer, "features", None), nn.Sequential):
        x = peer.features[:18](image)
    elif hasattr(peer, "forward_features"):
        mobile = hasattr(peer, "conv_stem")
        x = peer.blocks(peer.bn1(peer.conv_stem(image))) if mobile else peer.forward_features(image)
    else:
        x = peer(image).unflatten(1, (2048, *(-(-n // 32) for n in image.shape[-2:])))
    answer: Tensor = x
    return answer


@pytest.mark.parametrize(
    ("make", "name", "backbone", "root"),
    [
        (torchvision_resnet, "resnet50", "resnet-50", "7x7"),
        (torchvision_resnet, "resnet101", "resnet-101", "7x7"),
        (torchvision_mobile, "mobilenet_v2", "mobilenet-v2", "7x7"),
        (timm_network, "resnet50", "resnet-50", "7x7"),
        (timm_network, "resnet50s", "resnet-50", "deep"),
        (timm_network, "xception41", "xception-41", "7x7"),
        pytest.param(timm_network, "xception65", "xception-65", "7x7", marks=pytest.mark.study),
        (timm_network, "mobilenetv2_100", "mobilenet-v2", "7x7"),
        (timm_network, "mobilenetv2_050", "mobilenet-v2-half", "7x7"),
    ],
)
def test_a_backbone_has_the_same_features_after_its_conversion(
    tmp_path: Path, make: Callable[[str], nn.Module], name: str, backbone: str, root: str
) -> None:
    peer = make(name)
    files = (write(peer, tmp_path / "peer.pth"), tmp_path / "ours.safetensors")
    done = convert(*files)
    assert done.system is None
    rest = (k for k in peer.state_dict() if k.startswith(UNUSED) and "num_batches" not in k)
    assert done.left_out == tuple(sorted(rest))
    ours = with_backbone(backbone, root)
    adopt(ours, read_start(files[0]))
    direct = {k: v.clone() for k, v in ours.backbone.state_dict().items() if "num" not in k}
    adopt(ours, read_start(files[1]))
    converted = ours.backbone.state_dict()
    assert all(torch.equal(converted[k], v) for k, v in direct.items())
    for size in COARSE:
        with torch.no_grad():
            agree(ours.backbone(picture(*size)).high, features(peer, picture(*size)))
    for file in files:
        file.unlink()


UNUSED = ("fc.", "head.", "classifier.", "features.18.", "conv_head.", "bn2.")
"""What stands on a backbone in an ImageNet network."""


def with_backbone(name: str, root: str) -> DeepLabv3:
    stride_at = "first_3x3" if name.startswith("resnet") else "last_3x3"
    network = DeepLabv3Network(
        name, output_stride=32, multi_grid=(), root=root, stride_at=stride_at, aspp=False
    )
    return blank(lambda: DeepLabv3(network, unnamed(2)))
