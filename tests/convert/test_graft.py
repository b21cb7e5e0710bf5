from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from foreign import blank, mobile_deeplab
from safetensors.torch import load_file, save
from starts import PASCAL
from torch import nn

from atrous.convert import adopt, begin, convert, graft, read_start
from atrous.convert.graft import VOC_CLASSES, head_of
from atrous.labels import Label, LabelSpace
from atrous.nn.context import ASPP
from atrous.nn.statistics import calibrate, unfold
from atrous.run.checkpoint import write_model
from atrous.systems import described
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network


def system(*names: str, width: int = 48, kernel: int = 3, output_stride: int = 16) -> DeeperLab:
    torch.manual_seed(0)
    network = DeeperLabNetwork(
        decoder_width=width,
        instance_width=8,
        kernel=kernel,
        output_stride=output_stride,
    )
    labels = LabelSpace(tuple(Label(n, (i, i, i), True, i + 1) for i, n in enumerate(names)))
    return DeeperLab(network, labels).eval()


def head() -> dict[str, torch.Tensor]:
    """A head on the context's two branches with random weights."""
    return {
        "concat_projection.weight": torch.randn(256, 512, 1, 1) / 20,
        "concat_projection.bias": torch.randn(256) / 10,
        "logits.weight": torch.randn(21, 256, 1, 1) / 4,
        "logits.bias": torch.randn(21),
    }


def plain(ours: DeeperLab, head: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """DeepLabv3's logits on our backbone and branches, at stride 4, in the order of VOC_CLASSES."""
    high = ours.backbone(image).high
    assert ours.context.pool is not None
    pooled = ours.context.pool(high.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *high.shape[2:])
    both = torch.cat([pooled, ours.context.point(high)], dim=1)
    features = F.conv2d(both, head["concat_projection.weight"], head["concat_projection.bias"])
    logits = F.conv2d(features.relu(), head["logits.weight"], head["logits.bias"])
    size = [(n - 1) // 4 + 1 for n in image.shape[2:]]
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)


def centred(logits: torch.Tensor) -> torch.Tensor:
    return logits - logits.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("names", [VOC_CLASSES, ("road", "cat", "person")])
def test_a_grafted_network_answers_deeplabs_logits_but_for_their_mean(
    names: tuple[str, ...], kernel: int
) -> None:
    ours, public = system(*names, kernel=kernel), head()
    known = [name for name in VOC_CLASSES if name in names]
    with torch.no_grad():
        assert list(graft(ours, public)) == known
        image = torch.randn(2, 3, 65, 97)
        wanted = plain(ours, public, image)[:, [VOC_CLASSES.index(n) for n in known]]
        answer = ours(image).semantic[:, [names.index(n) for n in known]]
    torch.testing.assert_close(answer, centred(wanted), rtol=0, atol=1e-4)


def test_calibrating_and_unfolding_leave_a_grafted_answer_as_it_is() -> None:
    ours, image = system(*VOC_CLASSES, width=96), torch.randn(2, 3, 65, 65)
    calibrate(ours, torch.randn(4, 3, 33, 33))  # backbone and branches are not new from here on
    with torch.no_grad():
        graft(ours, head())
        before = ours(image).semantic
        for block in (ours.decoder.second.pointwise, ours.semantic.large.pointwise):
            new = block.norm.weight.numel() // 2
            block.norm.running_mean[-new:], block.norm.running_var[-new:] = 0, 1  # type: ignore[index]
        calibrate(ours, torch.randn(4, 3, 33, 33))
        calibrated = ours(image).semantic
        unfold(ours, [torch.randn(2, 3, 33, 33)])
        unfolded = ours(image).semantic
    torch.testing.assert_close(calibrated, before, rtol=0, atol=1e-3)
    torch.testing.assert_close(unfolded, before, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("names", "width"), [(("road", "sky"), 48), (VOC_CLASSES, 40)])
def test_where_no_class_is_known_or_the_decoder_is_narrow_nothing_changes(
    names: tuple[str, ...], width: int
) -> None:
    ours = system(*names, width=width)
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    assert graft(ours, head()) == ()
    assert all(torch.equal(v, before[k]) for k, v in ours.state_dict().items())


@pytest.mark.parametrize("width", [16, 256])
def test_a_head_that_does_not_fit_changes_nothing(tmp_path: Path, width: int) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors", classes=21 if width == 16 else 19)
    labels = system(*VOC_CLASSES).labels
    small = DeeperLabNetwork(aspp_width=width, decoder_width=48, instance_width=8, kernel=3)
    assert begin(DeeperLab(small, labels), read_start(path)).grafted == ()


def starts_alike(path: Path, *, names: tuple[str, ...]) -> None:
    """A public file and what `convert` makes of it begin a training with equal bytes."""
    converted = path.with_name("converted.safetensors")
    convert(path, converted)
    begun = []
    for file in (path, converted):
        ours = system(*names)
        told = begin(ours, read_start(file))
        begun.append((told.grafted, told.left_out, told.new, save(ours.state_dict())))
    assert begun[0] == begun[1]
    assert begun[0][0] == tuple(name for name in VOC_CLASSES if name in names)
    assert begun[0][2] == ("context.atrous", "heatmap", "long", "short", "middle")


def test_a_converted_file_begins_a_training_as_the_public_one_does(tmp_path: Path) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors", classes=21)
    starts_alike(path, names=("road", "person", "cat"))


def test_the_converted_voc_model_begins_a_training_as_the_public_one_does(
    shared: Path, tmp_path: Path
) -> None:
    path = tmp_path / PASCAL
    path.write_bytes((shared / "weights" / PASCAL).read_bytes())
    starts_alike(path, names=VOC_CLASSES)


def test_a_head_whose_norm_has_learnt_is_folded_into_a_bias() -> None:
    torch.manual_seed(0)
    context = ASPP(6, width=4, rates=(), output_stride=16, separable=False).eval()
    for name, value in context.project.norm.state_dict().items():
        if value.ndim:
            nn.init.uniform_(value, 0.5, 2.0 + (name == "bias"))
    weights = {f"context.{k}": v for k, v in context.state_dict().items()}
    both = {"classifier.weight": torch.zeros(1), "classifier.bias": torch.zeros(1)}
    folded, joined = head_of({**weights, **both}), torch.randn(1, 8, 3, 3)
    kernel, bias = folded["concat_projection.weight"], folded["concat_projection.bias"]
    with torch.no_grad():
        torch.testing.assert_close(F.conv2d(joined, kernel, bias).relu(), context.project(joined))


@pytest.mark.parametrize(
    ("names", "choice"),
    [
        (tuple(f"class {i}" for i in range(21)), {}),
        (VOC_CLASSES, {"padding": "same"}),
        (VOC_CLASSES, {"extra_conv": True}),
        (VOC_CLASSES, {"aspp_rates": (6,)}),
    ],
)
def test_a_model_of_ours_with_other_classes_or_another_end_brings_no_head(
    tmp_path: Path, names: tuple[str, ...], choice: dict[str, Any]
) -> None:
    plain = DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_rates=(), aspp_width=8)
    network = replace(plain, **choice)
    labels = system(*names).labels
    state = blank(lambda: DeepLabv3(network, labels)).state_dict()
    state = {name: torch.zeros_like(value) for name, value in state.items()}
    header = {"network": described(network), "labels": labels.to_json()}
    write_model(tmp_path / "x.safetensors", state, header)
    assert read_start(tmp_path / "x.safetensors").head == {}
    header = {"network": described(plain), "labels": system(*VOC_CLASSES).labels.to_json()}
    write_model(tmp_path / "x.safetensors", state, header)
    assert read_start(tmp_path / "x.safetensors").head


def test_the_public_voc_model_keeps_its_answer_in_deeperlab(shared: Path) -> None:
    start = read_start(shared / "weights" / PASCAL)
    ours = system(*VOC_CLASSES, width=128)
    adopt(ours, start)
    file = load_file(shared / "weights" / PASCAL)
    with torch.no_grad():
        graft(ours, start.head)
        image = torch.rand(1, 3, 129, 161) * 2 - 1
        wanted, answer = plain(ours, file, image), ours(image).semantic
    torch.testing.assert_close(answer, centred(wanted), rtol=0, atol=1e-3)
    assert torch.equal(answer.argmax(dim=1), wanted.argmax(dim=1))
