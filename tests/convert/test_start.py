"""Public weights have their own features in our networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from starts import IMAGENET, network, synthetic

from atrous.convert import adopt, read_start
from atrous.nn.mobilenet import units


def plain_torchvision(file: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """MobileNetV2's 320-channel features at output stride 16, straight from a file's tensors."""

    def block(
        x: torch.Tensor, conv: str, norm: str, *, stride: int = 1, rate: int = 1
    ) -> torch.Tensor:
        weight = file[f"{conv}.weight"]
        groups = x.shape[1] // weight.shape[1]
        padding = rate * (weight.shape[-1] // 2)
        y = F.conv2d(x, weight, None, stride, padding, rate, groups)
        return F.batch_norm(
            y,
            file[f"{norm}.running_mean"],
            file[f"{norm}.running_var"],
            file[f"{norm}.weight"],
            file[f"{norm}.bias"],
            eps=1e-5,
        )

    x = F.relu6(block(image, "features.0.0", "features.0.1", stride=2))
    for index, unit in enumerate(units(16)):
        name, y, place = f"features.{index + 1}.conv", x, 0
        if unit.expansion > 1:
            y, place = F.relu6(block(y, f"{name}.0.0", f"{name}.0.1")), 1
        y = block(y, f"{name}.{place}.0", f"{name}.{place}.1", stride=unit.stride, rate=unit.rate)
        y = block(F.relu6(y), f"{name}.{place + 1}", f"{name}.{place + 2}")
        same = unit.stride == 1 and unit.channels_in == unit.channels_out
        x = x + y if same else y
    return x


def same_features(path: Path, backbone: str) -> None:
    ours = network(backbone)
    found = adopt(ours, read_start(path))
    wanted = {k for k in ours.state_dict() if k.startswith("backbone.") and "num_batches" not in k}
    assert set(found) == wanted
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        features, plain = ours.backbone(image).high, plain_torchvision(load_file(path), image)
    near = 1e-5 * float(plain.abs().max())
    torch.testing.assert_close(features, plain, rtol=0, atol=near)


BACKBONES = pytest.mark.parametrize("backbone", ["mobilenet-v2", "mobilenet-v2-wide5"])


@BACKBONES
def test_torchvision_weights_give_torchvisions_features(tmp_path: Path, backbone: str) -> None:
    same_features(synthetic("torchvision", tmp_path / "x.safetensors"), backbone)


@BACKBONES
def test_the_public_imagenet_weights_give_their_own_features(shared: Path, backbone: str) -> None:
    same_features(shared / "weights" / IMAGENET, backbone)


def test_a_small_kernel_enters_the_middle_of_a_large_one_with_zeros_around(tmp_path: Path) -> None:
    path = synthetic("torchvision", tmp_path / "x.safetensors")
    ours = network()
    adopt(ours, read_start(path))
    kernel = ours.state_dict()["backbone.units.0.depthwise.conv.weight"]
    small = load_file(path)["features.1.conv.0.0.weight"]
    assert torch.equal(kernel, F.pad(small, (1, 1, 1, 1)))
