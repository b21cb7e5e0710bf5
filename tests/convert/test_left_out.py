"""Every tensor that does not fit is named: an error where it is ours, else told as left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from foreign import hollow, mobile_deeplab
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from atrous.convert import LAYOUTS, convert, read_start
from atrous.convert.naming import grouped, named, whole_parts
from atrous.labels import unnamed
from atrous.nn.backbone import Layout, build_backbone
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.systems.pspnet import PSPNet, PSPNetNetwork
from atrous.types import BadInput
from atrous.weights.heads import SEMSEG_HEAD, TORCHVISION_DEEPLABV3, TORCHVISION_FCN
from atrous.weights.mobilenet import (
    DEEPLAB_LITE,
    DEEPLAB_LITE_HEAD,
    TORCHVISION_MOBILENET_V2,
    timm_mobilenet_v2,
)
from atrous.weights.resnet import semseg_pspnet, semseg_resnet, timm_deep_resnet, torchvision_resnet
from atrous.weights.tensorflow import LEAVES, tensorflow_mobilenet_v2, tensorflow_xception
from atrous.weights.xception import timm_xception
from conftest import Shell

File = dict[str, Tensor]
Make = Callable[[], nn.Module]
MOBILE = DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_rates=())
TORCHVISION = DeepLabv3Network("resnet-50", multi_grid=(), extra_conv=True)


def backbone(name: str, root: str = "7x7") -> Make:
    return lambda: nn.ModuleDict({"backbone": build_backbone(name, Layout(root=root))})


def deeplab(network: DeepLabv3Network) -> Make:
    return lambda: DeepLabv3(network, unnamed(3))


def foreign(make: Make, modules: Mapping[str, str]) -> File:
    """A network of ours under the names of a key map, without numbers."""
    ours = hollow(make)
    names = {f"{here}.{leaf}": there for there, here in modules.items() for leaf in ALL}
    return {f"{names[k]}.{k.rpartition('.')[2]}": v for k, v in ours.items()}


ALL = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def folded() -> File:
    ours = hollow(deeplab(MOBILE))
    file = {there: ours[here] for there, here in DEEPLAB_LITE_HEAD.items()}
    for there, here in DEEPLAB_LITE.items():
        if f"{here}.conv.weight" in ours:
            file[f"{there}.weight"] = ours[f"{here}.conv.weight"]
            file[f"{there}.bias"] = ours[f"{here}.norm.bias"]
    return file


def tensorflow(make: Make, scopes: Mapping[str, str]) -> File:
    """The same in TensorFlow's layout."""
    there = {here: scope for scope, here in scopes.items()}
    file: File = {"global_step": torch.zeros(())}
    for name, value in hollow(make).items():
        module, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        if value.ndim != 4:
            known = {ours: theirs for theirs, ours in LEAVES.items() if theirs != "biases"}
            known["bias"] = "biases" if module == "classifier" else "beta"
            file[f"{there[module]}/{known[leaf]}"] = value
        elif "depthwise" in module:
            file[f"{there[module]}/depthwise_weights"] = value.permute(2, 3, 0, 1)
        else:
            file[f"{there[module]}/weights"] = value.permute(2, 3, 1, 0)
    return file


def torchvision_segmenter(make: Make, head: Mapping[str, str]) -> File:
    rows = {f"backbone.{there}": here for there, here in torchvision_resnet(50).items()}
    return foreign(make, {**rows, **head})


def fcn() -> nn.Module:
    return PSPNet(PSPNetNetwork(root="7x7", bins=(), reduction=False), unnamed(3))


def semseg() -> nn.Module:
    return PSPNet(PSPNetNetwork(bins=(1, 2, 3, 6)), unnamed(3))


FILES: dict[str, tuple[str, Callable[[], File]]] = {
    "deeplab-lite": ("deeplab-lite", folded),
    "deeplabv3": (
        "torchvision",
        lambda: torchvision_segmenter(deeplab(TORCHVISION), TORCHVISION_DEEPLABV3),
    ),
    "fcn": ("torchvision", lambda: torchvision_segmenter(fcn, TORCHVISION_FCN)),
    "torchvision-mobilenet": (
        "torchvision-mobilenet",
        lambda: foreign(backbone("mobilenet-v2"), TORCHVISION_MOBILENET_V2),
    ),
    "semseg": ("semseg", lambda: foreign(semseg, semseg_pspnet(50) | SEMSEG_HEAD)),
    "semseg-resnet": (
        "semseg-resnet",
        lambda: foreign(backbone("resnet-50", "deep"), semseg_resnet(50)),
    ),
    "timm-resnets": (
        "timm-resnets",
        lambda: foreign(backbone("resnet-50", "deep"), timm_deep_resnet(50)),
    ),
    "resnet-50": (
        "torchvision-resnet",
        lambda: foreign(backbone("resnet-50"), torchvision_resnet(50)),
    ),
    "resnet-152": (
        "torchvision-resnet",
        lambda: foreign(backbone("resnet-152"), torchvision_resnet(152)),
    ),
    "xception-41": ("timm-xception", lambda: foreign(backbone("xception-41"), timm_xception(41))),
    "xception-71": ("timm-xception", lambda: foreign(backbone("xception-71"), timm_xception(71))),
    "timm-mobilenet": (
        "timm-mobilenet",
        lambda: foreign(backbone("mobilenet-v2"), timm_mobilenet_v2()),
    ),
    "tensorflow-mobilenet": (
        "tf-deeplab",
        lambda: tensorflow(deeplab(MOBILE), tensorflow_mobilenet_v2()),
    ),
    "tensorflow-xception": (
        "tf-deeplab",
        lambda: tensorflow(backbone("xception-65"), tensorflow_xception(65)),
    ),
}
"""Name -> layout, and a file in it whose tensors hold nothing but zeros."""
EVERY = pytest.mark.parametrize("name", FILES)


def test_there_is_a_file_for_every_layout_but_ours() -> None:
    assert {layout for layout, _ in FILES.values()} == set(LAYOUTS) - {"atrous"}


def refusal(path: Path, file: File) -> str:
    """What `convert` says, in one line, to a file that it does not take."""
    torch.save(file, path)
    with pytest.raises(BadInput) as error:
        convert(path, path.with_suffix(".safetensors"))
    assert "\n" not in str(error.value)
    return str(error.value)


@EVERY
def test_a_tensor_that_is_missing_renamed_or_of_another_shape_is_named(
    tmp_path: Path, name: str
) -> None:
    file, path = FILES[name][1](), tmp_path / "x.pth"
    torch.save(file, path)
    theirs = [name for name in read_start(path).sources.values() if name in file]
    first, middle, last = theirs[0], theirs[len(theirs) // 2], theirs[-1]
    rest = {k: v for k, v in file.items() if k != first}
    told = refusal(path, {**rest, last: file[last][..., :0]})
    assert f"missing {first}, " in told
    assert f"of another shape {last}: " in told
    rest = {k: v for k, v in file.items() if k != middle}
    told = refusal(path, {**rest, f"{middle}_2": file[middle]})
    assert f"missing {middle}, not known {middle}_2: " in told or f"lacks {middle}: " in told


@EVERY
def test_tensors_with_no_name_among_ours_are_left_out_by_name(tmp_path: Path, name: str) -> None:
    counters = {"odd.num_batches_tracked": torch.zeros(()), "global_step": torch.zeros(())}
    file = {**FILES[name][1](), "odd.weight": torch.zeros(2), "more/odd": torch.zeros(2)}
    torch.save({**file, **counters}, tmp_path / "x.pth")
    start = read_start(tmp_path / "x.pth")
    assert start.left_out == ("more/odd", "odd.weight")
    assert {*set(start.sources.values()) & set(file), *start.left_out} == {
        k for k in file if "num_batches" not in k and k != "global_step"
    }


def test_convert_says_on_one_line_what_it_left_out(shell: Shell, tmp_path: Path) -> None:
    path = mobile_deeplab(tmp_path / "x.safetensors")
    file = {**load_file(path), "aspp0.num_batches_tracked": torch.zeros(())}
    save_file(file, path)
    code, told, err = shell("convert", path, "--out", tmp_path / "plain.safetensors")
    assert (code, told, err.count("\n")) == (0, "", 1)
    save_file({**file, "odd.a": torch.zeros(1), "odd.b": torch.zeros(1)}, path)
    code, told, err = shell("convert", path, "--out", tmp_path / "more.safetensors")
    assert (code, told) == (0, "")
    assert err.splitlines()[1:] == [f"{path}: left out 2 of its tensors: odd.a, odd.b"]
    plain, more = (tmp_path / f"{name}.safetensors" for name in ("plain", "more"))
    assert plain.read_bytes() == more.read_bytes()


def test_of_a_head_that_a_backbone_has_no_place_for_the_names_in_the_file_are_told(
    tmp_path: Path,
) -> None:
    make, scopes = FILES["tensorflow-mobilenet"][1], ("aspp0", "logits", "image_pooling", "concat")
    file = {**make(), "decoder/odd/weights": torch.zeros(1, 1, 1, 1)}
    torch.save(file, tmp_path / "x.pth")
    done = convert(tmp_path / "x.pth", tmp_path / "ours.safetensors")
    assert done.system is None
    assert set(done.left_out) == {k for k in file if k.startswith((*scopes, "decoder"))}


def test_a_classifier_for_no_class_is_refused(tmp_path: Path) -> None:
    file = folded()
    told = refusal(tmp_path / "x.pth", {**file, "logits.bias": torch.zeros(0)})
    assert "of another shape logits.bias" in told
    empty = {"logits.bias": torch.zeros(0), "logits.weight": torch.zeros(0, 256, 1, 1)}
    assert str(tmp_path) in refusal(tmp_path / "x.pth", {**file, **empty})


def test_long_lists_are_short() -> None:
    assert named([], 2) == ""
    assert named(["a", "b"], 2) == "a, b"
    assert named(["a", "b", "c"], 2) == "a, b and 1 more"
    few = grouped(["fc.bias", "aux.0", "aux.1", "aux.2"])
    assert few == "aux.0, aux.1 and 1 more of aux; fc.bias"
    assert grouped(["a/b/c", "a/b/d", "a/c", "b"]) == "a/b/c, a/b/d and 1 more of a; b"
    many = grouped(f"{i}.{j}" for i in range(9) for j in range(5))
    assert many.endswith("5.0, 5.1 and 3 more of 5; and 15 more")


def test_parts_are_the_outermost_that_hold_none_of_the_others() -> None:
    assert whole_parts([], ["a.x"]) == ()
    assert whole_parts(["a.b.x", "a.b.y", "c.x"], ["a.d.x"]) == ("a.b", "c")
    assert whole_parts(["a.b.x"], ["a.b.y"]) == ("a.b.x",)
    assert whole_parts(["a.x", "ab.x"], ["a.y"]) == ("a.x", "ab")
