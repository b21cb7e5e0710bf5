from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from atrous.convert import adopt, read_start, unfold
from atrous.nn.mobilenet import units
from atrous.recipes import create
from atrous.systems.deeperlab import DeeperLab
from atrous.types import BadInput
from atrous.weights import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

IMAGENET = "mobilenet_v2_1.0_224.imagenet.safetensors"
PASCAL = "deeplabv3_mnv2_pascal.safetensors"


def network() -> DeeperLab:
    torch.manual_seed(0)
    return create("deeperlab-light", classes=3).eval()


def synthetic(layout: str, path: Path) -> Path:
    """A file in a foreign layout with random weights and kernels of 3."""
    state, file = network().state_dict(), {}
    table = TORCHVISION_MOBILENET_V2 if layout == "torchvision" else DEEPLAB_LITE
    for there, here in table.items():
        if layout == "torchvision":
            leaves = ("weight", "bias", "running_mean", "running_var")
            for leaf in leaves:
                if f"{here}.{leaf}" in state:
                    file[f"{there}.{leaf}"] = state[f"{here}.{leaf}"]
        elif f"{here}.conv.weight" in state:
            file[f"{there}.weight"] = state[f"{here}.conv.weight"]
            file[f"{there}.bias"] = 0.1 * torch.randn(len(state[f"{here}.conv.weight"]))
    small = {
        k: v[..., 1:4, 1:4] if v.ndim == 4 and v.shape[-1] == 5 else v for k, v in file.items()
    }
    save_file({k: v.contiguous() for k, v in small.items()}, path)
    return path


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


def same_features(path: Path) -> None:
    ours = network()
    found = adopt(ours, read_start(path))
    assert {n.split(".")[0] for n in found} == {"backbone"}
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        features, plain = ours.backbone(image)[1], plain_torchvision(load_file(path), image)
    assert torch.allclose(features, plain, atol=1e-4 * float(plain.abs().max()))


def test_torchvision_weights_give_torchvisions_features_in_larger_kernels(tmp_path: Path) -> None:
    same_features(synthetic("torchvision", tmp_path / "x.safetensors"))


def test_the_public_imagenet_weights_give_their_own_features(shared: Path) -> None:
    same_features(shared / "weights" / IMAGENET)


def unfolding_changes_nothing(path: Path) -> None:
    ours, start = network(), read_start(path)
    adopt(ours, start)
    image = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        before = ours(image).semantic
        unfold(ours, start.folded, [torch.randn(2, 3, 65, 65) for _ in range(2)])
        after = ours(image).semantic
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))
    state = ours.state_dict()
    means = [state[f"{name}.norm.running_mean"] for name in start.folded]
    assert all(bool(mean.any()) for mean in means)


def test_unfolding_norms_leaves_the_answer_unchanged(tmp_path: Path) -> None:
    unfolding_changes_nothing(synthetic("deeplab-lite", tmp_path / "x.safetensors"))


def test_unfolding_the_public_voc_weights_leaves_the_answer_unchanged(shared: Path) -> None:
    unfolding_changes_nothing(shared / "weights" / PASCAL)


def test_a_model_for_other_classes_gives_all_but_its_classifier(tmp_path: Path) -> None:
    other = create("deeperlab-light", classes=5)
    save_file(other.state_dict(), tmp_path / "x.safetensors")
    ours = network()
    found = adopt(ours, read_start(tmp_path / "x.safetensors"))
    missing = {n for n in ours.state_dict() if "num_batches" not in n} - set(found)
    assert missing == {"semantic.1.weight", "semantic.1.bias"}


@pytest.mark.parametrize("kind", ["missing", "text", "unknown"])
def test_files_that_are_no_start_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.safetensors"
    if kind == "text":
        path.write_text("no weights")
    elif kind == "unknown":
        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match=r"x\.safetensors") as error:
        read_start(path)
    assert "\n" not in str(error.value)
