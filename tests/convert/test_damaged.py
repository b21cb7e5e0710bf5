"""Files whose tensors, or bytes, are no weights: refused by name, by `convert` and by `--init`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import mobile_backbone, mobile_deeplab
from safetensors.torch import load_file, save_file
from torch import Tensor

from atrous.convert import read_start
from atrous.types import BadInput
from conftest import Shell

MEND = ": fetch it again, or "


def damaged(path: Path, **changed: Tensor | None) -> Path:
    """deeplab-lite with some tensors changed, or gone; "__" stands for a dot."""
    file: dict[str, Tensor | None] = {**load_file(mobile_deeplab(path))}
    file |= {name.replace("__", "."): value for name, value in changed.items()}
    save_file({k: v for k, v in file.items() if v is not None}, path)
    return path


def refuses(shell: Shell, path: Path, naming: str) -> None:
    out = path.with_name("ours.safetensors")
    shell.refuses("convert", path, "--out", out, naming=f"{path}: {naming}")
    assert not out.exists()


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([0.0, float("nan"), 1.0]),
        torch.tensor([float("inf"), 0.0, 1.0]),
        torch.tensor([0.0, -float("inf"), 1.0], dtype=torch.float16),
        torch.tensor([0.0, 1e300, 1.0], dtype=torch.float64),
    ],
)
@pytest.mark.parametrize("name", ["logits__bias", "odd"])
def test_what_is_no_number_is_refused(
    shell: Shell, tmp_path: Path, name: str, value: Tensor
) -> None:
    path = damaged(tmp_path / "x.safetensors", **{name: value})
    told = f"{name.replace('__', '.')} holds NaN or infinity{MEND}"
    refuses(shell, path, told)
    with pytest.raises(BadInput, match=told):
        read_start(path)


def test_whole_numbers_are_no_weights(shell: Shell, tmp_path: Path) -> None:
    path = damaged(tmp_path / "x.safetensors", aspp0__bias=torch.ones(256, dtype=torch.int64))
    told = f"aspp0.bias is of int64, and a weight is floating-point{MEND}"
    refuses(shell, path, told)
    with pytest.raises(BadInput, match=told):
        read_start(path)


def test_counters_and_what_is_left_out_may_be_whole_numbers(tmp_path: Path) -> None:
    counts = {"aspp0__num_batches_tracked": torch.tensor(3), "global_step": torch.tensor(4)}
    path = damaged(tmp_path / "x.safetensors", **counts, odd=torch.arange(3))
    assert read_start(path).left_out == ("odd",)


def test_a_tensor_that_cannot_be_read_is_refused(shell: Shell, tmp_path: Path) -> None:
    path, file = tmp_path / "x.pth", load_file(mobile_deeplab(tmp_path / "x.safetensors"))
    for value in (torch.ones(3, device="meta"), torch.ones(3).to_sparse()):
        torch.save({**file, "logits.bias": value}, path)
        refuses(shell, path, f"logits.bias is no plain tensor{MEND}")


def test_a_folded_convolution_that_is_missing_is_named_as_in_the_file(
    shell: Shell, tmp_path: Path
) -> None:
    name, path = "backbone.blocks.0.project.weight", tmp_path / "x.safetensors"
    weight = load_file(mobile_deeplab(path))[name]
    told = "does not fit deeplab-lite's network, missing "
    gone: dict[str, Tensor | None] = {name.replace(".", "__"): None}
    refuses(shell, damaged(path, **gone), f"{told}{name}{MEND}")
    renamed = {**gone, "backbone__blocks__0__projection__weight": weight}
    unknown = "backbone.blocks.0.projection.weight"
    refuses(shell, damaged(path, **renamed), f"{told}{name}, not known {unknown}{MEND}")
    both = {**gone, "backbone__blocks__0__project__bias": None}
    bias = "backbone.blocks.0.project.bias"
    refuses(shell, damaged(path, **both), f"{told}{bias}, {name}{MEND}")


@pytest.mark.parametrize("name", ["logits.bias", "logits.weight", "backbone.stem.weight"])
def test_a_lone_number_is_no_weight(shell: Shell, tmp_path: Path, name: str) -> None:
    path = damaged(tmp_path / "x.safetensors", **{name.replace(".", "__"): torch.tensor(1.0)})
    told = f"looks like deeplab-lite, but is another network ({name} has shape (), a lone number)"
    refuses(shell, path, told + MEND)


def test_a_lone_number_in_a_backbone_of_half_width_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = mobile_backbone(tmp_path / "x.safetensors")
    stem = torch.zeros(16, 3, 3, 3)
    save_file({"backbone.stem.weight": stem, "backbone.stem.bias": torch.tensor(1.0)}, path)
    refuses(shell, path, "looks like deeplab-lite, but is another network (backbone.stem.bias has")


@pytest.mark.parametrize("depth", ["x", "6", ""])
def test_an_unknown_xception_is_refused(shell: Shell, tmp_path: Path, depth: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({f"xception_{depth}/entry_flow/conv1_1/weights": torch.zeros(3, 3, 3, 32)}, path)
    refuses(shell, path, "looks like tf-deeplab, but is another network (")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("x.json", b'{"a": 1}'),
        ("x.pth", b"<!DOCTYPE html>"),
        ("empty.pth", b""),
    ],
)
def test_other_files_are_no_files_of_weights(
    shell: Shell, tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    refuses(shell, tmp_path / name, "is no file of weights: give a .safetensors, .npz, .pth,")
