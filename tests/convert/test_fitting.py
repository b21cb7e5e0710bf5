"""What of a file finds a place in a network, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import blank, hollow
from safetensors.torch import load_file, save_file
from starts import HALF_WIDTH, network, stem, synthetic

from atrous.convert import Start, adopt, read_start
from atrous.labels import Label, LabelSpace, unnamed
from atrous.run.checkpoint import half
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.systems.fcrn import FCRN, FCRNNetwork, Tower
from atrous.types import BadInput


def test_a_file_for_another_width_gives_nothing(shared: Path) -> None:
    with pytest.raises(BadInput, match="choose another --init") as error:
        adopt(network(), read_start(shared / "weights" / HALF_WIDTH))
    assert "\n" not in str(error.value)


def test_a_norm_is_left_out_with_its_convolution(tmp_path: Path) -> None:
    path = synthetic("deeplab-lite", tmp_path / "x.safetensors")
    file = load_file(path)
    file["backbone.stem.weight"] = file["backbone.stem.weight"][:, :1].contiguous()
    save_file(file, path)
    ours = network()
    before = stem(ours).norm.bias.detach().clone()
    found = adopt(ours, read_start(path))
    assert not [name for name in found if name.startswith("backbone.stem")]
    assert torch.equal(stem(ours).norm.bias, before)


def test_a_packaged_model_in_16_bits_is_a_start_in_32(tmp_path: Path) -> None:
    other = network()
    save_file(half(other.state_dict()), tmp_path / "x.safetensors")
    ours = network()
    adopt(ours, read_start(tmp_path / "x.safetensors"))
    weights = ours.state_dict()
    assert {v.dtype for v in weights.values()} == {torch.float32, torch.int64}
    rounded = {k: v.half().float() for k, v in other.state_dict().items() if v.ndim}
    assert all(torch.equal(weights[k], v) for k, v in rounded.items())


def test_a_model_for_other_classes_gives_all_but_its_classifier(tmp_path: Path) -> None:
    save_file(network(classes=5).state_dict(), tmp_path / "x.safetensors")
    ours = network()
    classifier = ours.state_dict()["semantic.1.weight"].fill_(7)
    found = adopt(ours, read_start(tmp_path / "x.safetensors"))
    missing = {n for n in ours.state_dict() if "num_batches" not in n} - set(found)
    assert missing == {"semantic.1.weight", "semantic.1.bias"}
    assert bool((classifier == 7).all())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "no such file"),
        ("folder", "not a safetensors file"),
        ("text", "not a safetensors file"),
        ("broken", "not a safetensors file"),
        ("unknown", "unknown layout"),
        ("nothing", "unknown layout"),
    ],
)
def test_files_that_are_no_start_are_refused_in_one_line(
    tmp_path: Path, kind: str, told: str
) -> None:
    path = tmp_path / "x.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no weights\nat all\n")
    elif kind != "missing":
        save_file({} if kind == "nothing" else {"a": torch.zeros(9)}, path)
    if kind == "broken":
        path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadInput, match=told) as error:
        read_start(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_both_networks_of_fcrn_take_a_backbone_and_the_second_that_of_the_first(
    tmp_path: Path,
) -> None:
    def fcrn() -> FCRN:
        small = FCRNNetwork("mobilenet-v2", stride_at="last_3x3", kernel=3, localisation=True)
        return blank(lambda: FCRN(small, unnamed(3)))

    path = synthetic("torchvision", tmp_path / "x.safetensors")
    first = fcrn()
    adopt(first, read_start(path))
    towers = [dict(tower.backbone.named_parameters()) for tower in (first.category, second(first))]
    assert all(torch.equal(towers[0][name], towers[1][name]) for name in towers[0])
    state = {k: v.nan_to_num() for k, v in first.state_dict().items()}  # some are not set
    category = {k: v for k, v in state.items() if k.startswith("category.")}
    save_file(category, tmp_path / "category.safetensors")
    later = fcrn()
    fitted = adopt(later, read_start(tmp_path / "category.safetensors"))
    assert "localisation.backbone.stem.conv.weight" in fitted
    assert "localisation.classifier.weight" not in fitted
    kept = later.category.state_dict()
    assert all(torch.equal(v, category[f"category.{k}"]) for k, v in kept.items() if "num" not in k)


def second(system: FCRN) -> Tower:
    assert system.localisation is not None
    return system.localisation


def test_boxes_never_begin_from_the_classifier_of_the_categories() -> None:
    labels = LabelSpace(tuple(Label(str(i), (i, i, i), i == 0, i) for i in range(4)))
    small = FCRNNetwork("mobilenet-v2", stride_at="last_3x3", kernel=3, localisation=True)
    ours = blank(lambda: FCRN(small, labels))
    start = hollow(lambda: FCRN(small, labels).category)
    fitted = adopt(ours, Start("atrous", {f"category.{k}": v for k, v in start.items()}))
    assert "category.classifier.weight" in fitted
    assert "localisation.classifier.weight" not in fitted


def test_another_backbone_is_refused_though_the_classifier_fits() -> None:
    def deeplab(backbone: str) -> DeepLabv3:
        return DeepLabv3(DeepLabv3Network(backbone, multi_grid=(), aspp_width=8), unnamed(3))

    there = hollow(lambda: deeplab("mobilenet-v2"))
    ours = blank(lambda: deeplab("resnet-50"))
    with pytest.raises(BadInput, match=r"another backbone.*network\.backbone"):
        adopt(ours, Start("atrous", there))
