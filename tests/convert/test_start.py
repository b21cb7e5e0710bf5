from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from atrous.convert import Start, adopt, read_start
from atrous.labels import Label, LabelSpace, unnamed
from atrous.nn.layers import ConvNorm
from atrous.nn.mobilenet import MobileNetV2, units
from atrous.nn.statistics import unfold
from atrous.run.checkpoint import half
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.systems.fcrn import FCRN, FCRNNetwork, Tower
from atrous.types import BadInput
from atrous.weights import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

IMAGENET = "mobilenet_v2_1.0_224.imagenet.safetensors"
PASCAL = "deeplabv3_mnv2_pascal.safetensors"
HALF_WIDTH = "deeplabv3_mnv2_dm05_pascal.safetensors"


def network(backbone: str = "mobilenet-v2-wide5", *, classes: int = 3) -> DeeperLab:
    torch.manual_seed(0)
    small = DeeperLabNetwork(backbone, decoder_width=8, instance_width=8, kernel=3)
    return DeeperLab(small, unnamed(classes)).eval()


def stem(system: DeeperLab) -> ConvNorm:
    assert isinstance(system.backbone, MobileNetV2)
    return system.backbone.stem


def scatter_norms(block: ConvNorm) -> None:
    """Statistics and scales unlike those of a new network; small variances, so that eps counts."""
    state = block.norm.state_dict()
    nn.init.normal_(state["running_mean"], std=0.2)
    nn.init.uniform_(state["running_var"], 0.001, 0.02)
    nn.init.uniform_(state["weight"], 0.05, 0.1)
    nn.init.normal_(state["bias"], std=0.2)


def synthetic(layout: str, path: Path) -> Path:
    """A file in a foreign layout with random weights and kernels of 3."""
    system = network("mobilenet-v2")
    for block in system.backbone.modules():
        if isinstance(block, ConvNorm):
            scatter_norms(block)
    state = system.state_dict()
    file: dict[str, torch.Tensor] = {}
    if layout == "torchvision":
        for there, here in TORCHVISION_MOBILENET_V2.items():
            leaves = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            found = {f"{there}.{leaf}": state.get(f"{here}.{leaf}") for leaf in leaves}
            file |= {k: v for k, v in found.items() if v is not None}
        file["classifier.1.weight"] = torch.zeros(5, 1280)
    else:
        for there, here in DEEPLAB_LITE.items():
            if f"{here}.conv.weight" in state:
                file[f"{there}.weight"] = state[f"{here}.conv.weight"]
                file[f"{there}.bias"] = 0.1 * torch.randn(len(state[f"{here}.conv.weight"]))
    save_file(file, path)
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


def folded_features(file: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """MobileNetV2's 320-channel features at output stride 16, from convolutions with biases."""

    def block(x: torch.Tensor, name: str, *, stride: int = 1, rate: int = 1) -> torch.Tensor:
        weight, bias = file[f"backbone.{name}.weight"], file[f"backbone.{name}.bias"]
        padding = rate * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, bias, stride, padding, rate, x.shape[1] // weight.shape[1])

    x = F.relu6(block(image, "stem", stride=2))
    for index, unit in enumerate(units(16)):
        name, y = f"blocks.{index}", x
        if unit.expansion > 1:
            y = F.relu6(block(y, f"{name}.expand"))
        y = F.relu6(block(y, f"{name}.depthwise", stride=unit.stride, rate=unit.rate))
        y = block(y, f"{name}.project")
        same = unit.stride == 1 and unit.channels_in == unit.channels_out
        x = x + y if same else y
    return x


def same_folded_features(path: Path) -> None:
    ours = network()
    adopt(ours, read_start(path))
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        features, plain = ours.backbone(image).high, folded_features(load_file(path), image)
    near = 1e-5 * float(plain.abs().max())
    torch.testing.assert_close(features, plain, rtol=0, atol=near)


def test_folded_norms_become_biases(tmp_path: Path) -> None:
    same_folded_features(synthetic("deeplab-lite", tmp_path / "x.safetensors"))


def test_the_public_voc_weights_give_their_own_features(shared: Path) -> None:
    same_folded_features(shared / "weights" / PASCAL)


def unfolding_changes_nothing(path: Path) -> None:
    ours, start = network(), read_start(path)
    adopt(ours, start)
    image = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        before = ours(image).semantic
        unfold(ours, [torch.randn(2, 3, 65, 65) for _ in range(2)])
        after = ours(image).semantic
    near = 1e-5 * float(before.abs().max())
    torch.testing.assert_close(before, after, rtol=0, atol=near)
    # 51 convolutions of the backbone, two of ASPP's branches; the join of the branches is another
    blocks = [name for name in start.folded if name != "context.project"]
    assert len(blocks) == 53
    for name in blocks:
        norm = ours.get_submodule(name).get_submodule("norm").state_dict()
        assert bool(norm["running_mean"].any())
        assert float(norm["running_var"].std()) > 0


def test_unfolding_norms_leaves_the_answer_unchanged(tmp_path: Path) -> None:
    unfolding_changes_nothing(synthetic("deeplab-lite", tmp_path / "x.safetensors"))


def test_unfolding_the_public_voc_weights_leaves_the_answer_unchanged(shared: Path) -> None:
    unfolding_changes_nothing(shared / "weights" / PASCAL)


def test_unfolded_norms_hold_the_moments_of_the_photos(tmp_path: Path) -> None:
    ours = network()
    start = read_start(synthetic("deeplab-lite", tmp_path / "x.safetensors"))
    adopt(ours, start)
    photos = [torch.randn(n, 3, 33, 33) for n in (1, 3)]
    unfold(ours, photos)
    with torch.no_grad():
        answers = stem(ours).conv(torch.cat(photos)).transpose(0, 1).flatten(1)
    norm = stem(ours).norm.state_dict()
    torch.testing.assert_close(norm["running_mean"], answers.mean(dim=1))
    torch.testing.assert_close(norm["running_var"], answers.var(dim=1, correction=0))


def test_unfolded_norms_normalise_in_training_as_in_evaluation(tmp_path: Path) -> None:
    ours = network()
    start = read_start(synthetic("deeplab-lite", tmp_path / "x.safetensors"))
    adopt(ours, start)
    image = torch.randn(4, 3, 33, 33)
    unfold(ours, [image])
    with torch.no_grad():
        told = ours.backbone.eval()(image).high
        learnt = ours.backbone.train()(image).high
    near = 1e-3 * float(told.abs().max())
    torch.testing.assert_close(learnt, told, rtol=0, atol=near)


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
        return FCRN(small, unnamed(3))

    path = synthetic("torchvision", tmp_path / "x.safetensors")
    first = fcrn()
    adopt(first, read_start(path))
    towers = [dict(tower.backbone.named_parameters()) for tower in (first.category, second(first))]
    assert all(torch.equal(towers[0][name], towers[1][name]) for name in towers[0])
    category = {k: v for k, v in first.state_dict().items() if k.startswith("category.")}
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
    ours, start = FCRN(small, labels), FCRN(small, labels).category.state_dict()
    fitted = adopt(ours, Start("atrous", {f"category.{k}": v for k, v in start.items()}))
    assert "category.classifier.weight" in fitted
    assert "localisation.classifier.weight" not in fitted


def test_another_backbone_is_refused_though_the_classifier_fits() -> None:
    there = DeepLabv3(DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_width=8), unnamed(3))
    ours = DeepLabv3(DeepLabv3Network("resnet-50", multi_grid=(), aspp_width=8), unnamed(3))
    with pytest.raises(BadInput, match=r"another backbone.*network\.backbone"):
        adopt(ours, Start("atrous", dict(there.state_dict())))
