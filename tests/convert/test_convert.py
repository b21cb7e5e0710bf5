"""The verb `convert`: what it makes of public files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import agree, folded_features, mobile_backbone, mobile_deeplab, picture
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import load_file

from atrous import load
from atrous.convert import convert, read_start
from atrous.data.shapes import Shapes
from atrous.run.checkpoint import read_header
from atrous.systems.deeplabv3 import DeepLabv3
from atrous.training import train
from conftest import TINY_NETWORK as TINY
from conftest import Shell

PASCAL = "deeplabv3_mnv2_pascal.safetensors"
HALF_WIDTH = "deeplabv3_mnv2_dm05_pascal.safetensors"
IMAGENET = "mobilenet_v2_1.0_224.imagenet.safetensors"


def test_a_public_model_parses_as_its_makers_did(
    shell: Shell, shared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "voc.safetensors"
    code, told, err = shell("convert", shared / "weights" / PASCAL, "--out", out)
    assert (code, told, err.count("\n")) == (0, "", 1)
    assert "deeplab-lite, now deeplabv3, 21 classes" in err
    parser, folder = load(out, device="cpu"), shared / "data" / "voc2007_seg44"
    agreeing, right, known = [], 0, 0
    for path in sorted((folder / "public_model_prediction").glob("*.png")):
        ours = parser(folder / "JPEGImages" / f"{path.stem}.jpg").semantic
        truth = np.asarray(Pillow.open(folder / "SegmentationClass" / path.name))
        agreeing.append(float((ours == np.asarray(Pillow.open(path))).mean()))
        right += int(((ours == truth) & (truth != 255)).sum())
        known += int((truth != 255).sum())
    assert len(agreeing) == 20
    assert np.mean(agreeing) >= 0.99
    assert min(agreeing) >= 0.97
    assert right / known == pytest.approx(0.957, abs=0.005)


def test_a_public_model_of_half_width_parses(
    shell: Shell, shared: Path, tmp_path: Path, photo: Path
) -> None:
    out = tmp_path / "half.safetensors"
    assert shell("convert", shared / "weights" / HALF_WIDTH, "--out", out)[0] == 0
    assert read_header(out)["network"]["backbone"] == "mobilenet-v2-half"
    words = ("parse", photo, "--model", out, "--out", tmp_path / "parsed", "--json")
    code, told, _ = shell(*words)
    assert code == 0
    assert "photo" in told


@pytest.mark.parametrize("name", [PASCAL, HALF_WIDTH])
def test_a_public_model_has_the_features_of_its_file(
    shared: Path, tmp_path: Path, name: str
) -> None:
    source, out = shared / "weights" / name, tmp_path / "ours.safetensors"
    convert(source, out)
    ours, width = load(out, device="cpu").network, 0.5 if name == HALF_WIDTH else 1.0
    assert isinstance(ours, DeepLabv3)
    for size in ((65, 97), (33, 33)):
        with torch.no_grad():
            theirs = folded_features(load_file(source), picture(*size), width=width)
            agree(ours.backbone(picture(*size)).high, theirs)


def test_classes_are_named_by_their_number(tmp_path: Path) -> None:
    for count, first, last in ((21, "background", "tvmonitor"), (19, "road", "bicycle")):
        mobile_deeplab(tmp_path / f"{count}.safetensors", classes=count)
        convert(tmp_path / f"{count}.safetensors", tmp_path / f"ours{count}.safetensors")
        labels = load(tmp_path / f"ours{count}.safetensors").labels
        assert (len(labels), labels[0].name, labels[-1].name) == (count, first, last)
        assert (labels[0].is_thing, labels[-1].is_thing) == (False, True)


def test_equal_files_become_equal_bytes(tmp_path: Path) -> None:
    for name, make in (("whole", mobile_deeplab), ("backbone", mobile_backbone)):
        source = make(tmp_path / f"{name}.safetensors")
        outs = [tmp_path / f"{name}{i}" / "x.safetensors" for i in range(2)]
        for out in outs:
            before = torch.random.get_rng_state()
            convert(source, out)
            torch.random.set_rng_state(before)
            torch.rand(1)
        assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_converted_backbone_starts_a_training(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "ours.safetensors"
    code, _, err = shell("convert", mobile_backbone(tmp_path / "x.safetensors"), "--out", out)
    assert code == 0
    assert "now a backbone, for --init" in err
    data = Shapes("train", size_hw=(65, 65), count=4)
    settings = (*TINY, "train.iterations=1", "network.backbone=mobilenet-v2", "train.lr=0")
    train("deeperlab-light", data=data, out=tmp_path / "run", init=out, settings=settings)
    learnt = load(tmp_path / "run", device="cpu").network.state_dict()
    kernels = {k: v for k, v in load_file(out).items() if v.ndim == 4}
    assert kernels
    assert all(torch.equal(learnt[k], v) for k, v in kernels.items())


def test_a_converted_backbone_is_no_model(shell: Shell, tmp_path: Path, photo: Path) -> None:
    out = tmp_path / "ours.safetensors"
    convert(mobile_backbone(tmp_path / "x.safetensors"), out)
    with safe_open(out, framework="pt") as file:
        assert "mobilenet-v2" in file.metadata()["backbone"]
    parse = ("parse", photo, "--model", out, "--out", tmp_path / "parsed")
    package = ("package", out, "--out", tmp_path / "packed.safetensors")
    for words in (parse, ("info", out), package):
        shell.refuses(*words, naming="no atrous model: start from it by --init")
    assert not (tmp_path / "parsed").exists()


def test_public_imagenet_weights_become_a_backbone(
    shell: Shell, shared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ours.safetensors"
    assert shell("convert", shared / "weights" / IMAGENET, "--out", out)[0] == 0
    start = read_start(out)
    assert (start.layout, start.eps, start.folded) == ("atrous", None, ())
    assert all(name.startswith("backbone.") for name in start.weights)
