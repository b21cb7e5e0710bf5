"""Files that `convert` refuses: in one line, with exit 2, and leaving nothing behind."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import hollow, mobile_backbone, mobile_deeplab
from safetensors.torch import load_file, save_file
from semseg import SemsegPSPNet
from torch import nn

from atrous.convert import LAYOUTS, convert
from conftest import Shell
from peers import timm, torchvision


class Touch:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pth", "pt", "bin", "plain.pth", "nested.pth", "npz"])
def test_code_in_a_file_is_not_run(shell: Shell, tmp_path: Path, kind: str) -> None:
    path, made = tmp_path / f"x.{kind}", tmp_path / "made"
    thing = Touch(made)
    if kind == "npz":
        np.savez(path, allow_pickle=True, **{"MobilenetV2/Conv/weights": np.array([thing])})
    elif kind == "plain.pth":
        path.write_bytes(pickle.dumps(thing))
    elif kind == "nested.pth":
        torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "args": thing}, path)
    else:
        torch.save({"conv1.weight": thing}, path)
    refuses(shell, path, naming=str(path))
    assert not made.exists()


def refuses(shell: Shell, path: Path, *more: str, naming: str) -> None:
    """The file is bad input, and nothing is written."""
    out = path.parent / "new folder" / "ours.safetensors"
    shell.refuses("convert", path, "--out", out, *more, naming=naming)
    assert not out.parent.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "legacy.pth", "npz", "flat.npz"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
def test_a_truncated_file_is_refused(
    shell: Shell, tmp_path: Path, suffix: str, share: float
) -> None:
    path = tmp_path / f"x.{suffix}"
    tensors = {f"layer3.{i}.conv1.weight": torch.full((50, 50), i) for i in range(6)}
    arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
    if suffix == "safetensors":
        save_file(tensors, path)
    elif suffix.endswith("pth"):
        zipped = suffix == "pth"
        torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    else:
        store = np.savez if suffix == "flat.npz" else np.savez_compressed
        store(path, **arrays)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refuses(shell, path, naming=str(path))


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "npz"])
def test_a_damaged_file_is_refused_or_read_but_never_ends_in_a_traceback(
    shell: Shell, tmp_path: Path, suffix: str
) -> None:
    path, random = tmp_path / f"x.{suffix}", np.random.default_rng(0)
    tensors = {f"a.{i}.weight": torch.full((3, 3), i) for i in range(4)}
    arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
    if suffix == "safetensors":
        save_file(tensors, path)
    elif suffix == "pth":
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
    else:
        np.savez_compressed(path, **arrays)
    data = path.read_bytes()
    for _ in range(60):
        bad = np.frombuffer(data, np.uint8).copy()
        bad[random.integers(len(bad), size=3)] = random.integers(256, size=3)
        path.write_bytes(bad.tobytes())
        refuses(shell, path, naming=str(path))


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "npz", "ckpt"])
def test_a_missing_file_is_named(shell: Shell, tmp_path: Path, suffix: str) -> None:
    refuses(shell, tmp_path / f"none.{suffix}", naming=f"none.{suffix}: no such file")


def test_a_folder_is_no_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.pth").mkdir()
    refuses(shell, tmp_path / "x.pth", naming="x.pth")


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ([torch.zeros(2)], "holds no tensors by name"),
        (torch.zeros(2), "holds no tensors by name"),
        ({}, "holds no tensors by name"),
        ({"state_dict": {}, "epoch": 3}, "holds no tensors by name"),
        ({"a.weight": torch.zeros(2)}, "unknown layout (first key 'a.weight')"),
        ({1: torch.zeros(2)}, "unknown layout (first key '1')"),
    ],
)
def test_what_is_no_network_is_refused(
    shell: Shell, tmp_path: Path, held: object, told: str
) -> None:
    torch.save(held, tmp_path / "x.pth")
    refuses(shell, tmp_path / "x.pth", naming=told)


def test_a_dictionary_that_holds_itself_is_refused(shell: Shell, tmp_path: Path) -> None:
    held: dict[str, object] = {"weights": {}}
    held["model"] = held
    torch.save(held, tmp_path / "x.pth")
    refuses(shell, tmp_path / "x.pth", naming="holds no tensors by name")


def lacking(path: Path, *prefixes: str) -> Path:
    """semseg's PSPNet without the tensors of some modules."""
    kept = {k: v for k, v in hollow(SemsegPSPNet).items() if not k.startswith(prefixes)}
    torch.save(kept, path)
    return path


def test_up_to_six_missing_tensors_are_named(shell: Shell, tmp_path: Path) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors")
    save_file({k: v for k, v in load_file(path).items() if not k.startswith("logits.")}, path)
    refuses(shell, path, naming="missing logits.bias, logits.weight: fetch it again")
    path = lacking(tmp_path / "x.pth", "ppm.features.1.", "ppm.features.2.")
    norm = [f"ppm.features.1.2.{n}" for n in ("bias", "running_mean", "running_var", "weight")]
    names = ["ppm.features.1.1.weight", *norm, "ppm.features.2.1.weight"]
    refuses(shell, path, naming=f"missing {', '.join(names)} and 4 more: fetch")


def test_a_tensor_of_another_shape_is_named(shell: Shell, tmp_path: Path) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors")
    file = load_file(path)
    file["aspp0.weight"] = file["aspp0.weight"][:7].contiguous()
    save_file(file, path)
    refuses(shell, path, naming="of another shape aspp0.weight: fetch")
    file["backbone.stem.weight"] = torch.zeros(())
    save_file(file, path)
    refuses(shell, path, naming=str(path))


@pytest.mark.parametrize("gone", ["logits.bias", "logits.weight", "concat_projection.bias"])
def test_a_head_in_part_is_no_backbone_alone(shell: Shell, tmp_path: Path, gone: str) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors")
    save_file({k: v for k, v in load_file(path).items() if k != gone}, path)
    refuses(shell, path, naming=f"missing {gone}: fetch")


def other_resnet(name: str) -> nn.Module:
    network: nn.Module = getattr(torchvision().models, name)(weights=None)
    return network


def other_timm(name: str) -> nn.Module:
    network: nn.Module = timm().create_model(name, pretrained=False)
    return network


@pytest.mark.parametrize(
    ("make", "name", "told"),
    [
        (other_resnet, "resnet18", "layer3 has 2 units"),
        (other_resnet, "resnet34", "missing layer1.0.bn3.bias"),
        (other_resnet, "resnext50_32x4d", "of another shape layer1.0.bn1.bias"),
        (other_resnet, "mobilenet_v3_small", "not known features.1.block.0.0."),
        (other_resnet, "efficientnet_b0", "missing features.1.conv.0.0.weight"),
        (other_timm, "seresnet50", "has layer1.0.se.fc1.weight, which that network has not"),
        (other_timm, "resnet50d", "has layer1.0.downsample.2.weight, which"),
        (other_timm, "resnet50c", "bn1.weight, conv1.0.weight"),
        (other_timm, "xception41p", "has blocks.0.shortcut.weight, which"),
        (other_timm, "mobilenetv2_110d", "has blocks.1.2."),
    ],
)
def test_networks_with_names_like_ours_are_refused(
    shell: Shell, tmp_path: Path, make: Callable[[str], nn.Module], name: str, told: str
) -> None:
    torch.save(hollow(lambda: make(name)), tmp_path / "x.pth")
    refuses(shell, tmp_path / "x.pth", naming=told)


def test_the_layout_can_be_asked_for(shell: Shell, tmp_path: Path) -> None:
    path = mobile_backbone(tmp_path / "x.safetensors")
    refuses(shell, path, "--from", "semseg", naming="its layout is deeplab-lite: leave --from out")
    refuses(shell, path, "--from", "caffe", naming=f"--from caffe: known are {', '.join(LAYOUTS)}")
    words = ("convert", path, "--from", "deeplab-lite", "--out", tmp_path / "ours.safetensors")
    assert shell(*words)[0] == 0


def test_models_of_ours_need_no_conversion(shell: Shell, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    shell.refuses("convert", tiny_model, "--out", out, naming="in our layout already")
    backbone = tmp_path / "backbone.safetensors"
    convert(mobile_backbone(tmp_path / "x.safetensors"), backbone)
    shell.refuses("convert", backbone, "--out", out, naming="in our layout already")
    assert not out.exists()


def test_what_is_there_is_kept(shell: Shell, tmp_path: Path) -> None:
    path, out = mobile_deeplab(tmp_path / "x.safetensors"), tmp_path / "ours.safetensors"
    out.write_text("mine")
    shell.refuses("convert", path, "--out", out, naming="ours.safetensors: is there already")
    assert out.read_text() == "mine"
    shell.refuses("convert", path, "--out", path, naming="x.safetensors: is there already")
    shell.refuses("convert", path, "--out", tmp_path, naming="is there already")
    shell.refuses("convert", path, "--out", tmp_path / "x.pth", naming="choose another --out")
    assert {p.name for p in tmp_path.iterdir()} == {"x.safetensors", "ours.safetensors"}


def test_the_folder_of_out_is_made_where_it_can_be(shell: Shell, tmp_path: Path) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors")
    out = tmp_path / "a" / "b" / "ours.safetensors"
    assert shell("convert", path, "--out", out)[0] == 0
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    code, told, err = shell("convert", path, "--out", path / "ours.safetensors")
    assert (code, told, err.count("\n")) == (2, "", 1)
