from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.nn.features import Features
from atrous.nn.layers import ConvNorm
from atrous.nn.mobilenet import MobileNetV2
from atrous.nn.xception import Separable, Xception, XceptionModule, units
from atrous.weights.tensorflow import (
    LEAVES,
    TENSORFLOW_HEAD,
    from_tensorflow,
    tensorflow_mobilenet_v2,
    tensorflow_xception,
)
from atrous.weights.xception import timm_xception
from networks import assert_near
from peers import timm

DEPTHS = pytest.mark.parametrize("depth", [41, 65, 71])
COUNTERS = "num_batches_tracked"


def convolutions(network: nn.Module, image: torch.Tensor) -> list[tuple[nn.Conv2d, torch.Size]]:
    """All convolutions in the order of the forward pass, with the shape of their answer."""
    seen: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        m.register_forward_hook(lambda layer, _, answer: seen.append((layer, answer.shape)))
        for m in network.modules()
        if isinstance(m, nn.Conv2d)
    ]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("depth", "features", "classifying", "giga"),
    [
        (41, 24_920_560, 26_969_560, 9.20),
        (65, 37_867_312, 39_916_312, 13.85),
        (71, 40_289_736, 42_338_736, 17.95),
    ],
)
def test_sizes_are_those_that_were_published(
    depth: int, features: int, classifying: int, giga: float
) -> None:
    with torch.device("meta"):
        network = Xception(depth=depth, output_stride=32)
        head = nn.Linear(network.channels.high, 1000)
        seen = convolutions(network, torch.zeros(1, 3, 299, 299))
    count = sum(p.numel() for p in network.parameters())
    assert count == features
    assert count + sum(p.numel() for p in head.parameters()) == classifying
    multiply_adds = sum(layer.weight.numel() * shape[2:].numel() for layer, shape in seen)
    assert multiply_adds / 1e9 == pytest.approx(giga, rel=0.005)


@DEPTHS
def test_the_depth_is_the_number_of_convolutions_where_a_separable_one_counts_once(
    depth: int,
) -> None:
    with torch.device("meta"):
        network = Xception(depth=depth)
    separable = sum(isinstance(m, Separable) for m in network.modules())
    assert len(network.root) + separable == depth


@pytest.mark.parametrize(
    ("depth", "output_stride", "entry", "middle", "exits"),
    [
        (41, 32, [1] * 3, 1, [1, 1]),
        (41, 16, [1] * 3, 1, [1, 2]),
        (41, 8, [1] * 3, 2, [2, 4]),
        (65, 4, [1, 1, 2], 4, [4, 8]),
        (65, 8, [1] * 3, 2, [2, 4]),
        (71, 32, [1] * 5, 1, [1, 1]),
        (71, 16, [1] * 5, 1, [1, 2]),
        (71, 8, [1] * 5, 2, [2, 4]),
        (71, 4, [1, 1, 1, 2, 2], 4, [4, 8]),
    ],
)
def test_a_module_that_loses_its_stride_keeps_its_rate_and_later_ones_double_it(
    depth: int, output_stride: int, entry: list[int], middle: int, exits: list[int]
) -> None:
    with torch.device("meta"):
        network = Xception(depth=depth, output_stride=output_stride)
        seen = convolutions(network, torch.zeros(1, 3, 33, 33))
    rates = [layer.dilation[0] for layer, _ in seen if layer.groups > 1]
    modules = [*entry, *[middle] * {41: 8, 65: 16, 71: 16}[depth], *exits]
    assert rates == [rate for rate in modules for _ in range(3)]
    assert all(layer.dilation == (1, 1) for layer, _ in seen if layer.groups == 1)


def test_the_stride_sits_in_the_third_convolution_and_in_the_shortcut() -> None:
    with torch.device("meta"):
        module = Xception(depth=71, output_stride=32).units[2]
    strided = {n for n, m in module.named_modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1}
    assert strided == {"separable.2.depthwise.conv", "shortcut.conv"}


def test_multi_grid_multiplies_the_rates_of_the_last_module_only() -> None:
    plain, grid = units(16, depth=65), units(16, depth=65, multi_grid=(1, 2, 4))
    assert grid[-1].rates == (2, 4, 8)
    assert grid[:-1] == plain[:-1]
    with torch.device("meta"):
        seen = convolutions(Xception(depth=65, multi_grid=(1, 2, 4)), torch.zeros(1, 3, 33, 33))
    assert [layer.dilation[0] for layer, _ in seen if layer.groups > 1][-3:] == [2, 4, 8]


@DEPTHS
@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
def test_features_have_the_output_stride_and_the_tap_has_stride_four(
    depth: int, output_stride: int
) -> None:
    with torch.device("meta"):
        network = Xception(depth=depth, output_stride=output_stride).eval()
        low, mid, high = network(torch.zeros(1, 3, 97, 65))
    middle = min(output_stride, 16)
    assert network.channels == (256, 728, 2048)
    assert low.shape == (1, 256, 25, 17)
    assert mid.shape == (1, 728, 96 // middle + 1, 64 // middle + 1)
    assert high.shape == (1, 2048, 96 // output_stride + 1, 64 // output_stride + 1)


def scatter(network: nn.Module) -> None:
    """Weights that keep the size of what they see, and norms none of which is the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.8, 1.4)
            nn.init.normal_(layer.bias, std=0.2)


def scattered(depth: int, *, output_stride: int) -> Xception:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = Xception(depth=depth, output_stride=output_stride).eval()
    network.to_empty(device="cpu")
    scatter(network)
    return network


@DEPTHS
def test_features_at_a_lower_stride_hold_those_at_a_higher_one_up_to_the_border(
    depth: int,
) -> None:
    coarse = scattered(depth, output_stride=16)
    with torch.device("meta"):
        fine = Xception(depth=depth, output_stride=8).eval()
    fine.load_state_dict(coarse.state_dict(), assign=True)
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        ours, theirs = fine(image), coarse(image)
    assert_near(ours.high[..., ::2, ::2], theirs.high, within=1e-5)
    assert_near(ours.mid[..., ::2, ::2], theirs.mid, within=1e-5)
    assert torch.equal(ours.low, theirs.low)


@pytest.mark.parametrize(("depth", "block"), [(41, 2), (65, 2), (71, 3)])
def test_the_tap_is_the_second_separable_convolution_of_its_entry_block(
    depth: int, block: int
) -> None:
    network = scattered(depth, output_stride=16)
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        def hook(_: nn.Module, __: object, answer: torch.Tensor) -> None:
            kept[name] = answer.clone()

        return hook

    tapped = f"units.{block - 1}.separable.1"
    network.get_submodule(f"{tapped}.pointwise.norm").register_forward_hook(keep("norm"))
    network.get_submodule(tapped).register_forward_hook(keep("whole"))
    with torch.no_grad():
        low = network(torch.randn(1, 3, 33, 33)).low
    assert torch.equal(low, kept["norm"])
    assert torch.equal(low, kept["whole"])
    assert float(low.min()) < 0  # no ReLU has been at it, not even in place, afterwards


def test_mid_is_the_answer_of_the_middle_flow_untouched_by_what_follows() -> None:
    network = scattered(41, output_stride=16)
    answers: list[torch.Tensor] = []
    for unit in network.units:
        unit.register_forward_hook(lambda _, __, answer: answers.append(answer[0].clone()))
    with torch.no_grad():
        mid = network(torch.randn(1, 3, 33, 33)).mid
    assert torch.equal(mid, answers[-3])
    assert float(mid.min()) < 0


def plain_module(module: XceptionModule, x: torch.Tensor, *, inside: bool) -> torch.Tensor:
    """The order of operations, written out: SPEC's sentence as a loop."""
    y = x
    for separable in module.separable:
        assert isinstance(separable, Separable)
        y = y if inside else F.relu(y)
        for block in (separable.depthwise, separable.pointwise):
            y = block.norm(block.conv(y))
            y = F.relu(y) if inside else y
    if isinstance(module.shortcut, ConvNorm):
        x = module.shortcut.norm(module.shortcut.conv(x))
    return y if inside else y + x


@pytest.mark.parametrize(("unit", "inside"), [(0, False), (5, False), (11, False), (12, True)])
def test_a_module_activates_before_its_convolutions_and_the_last_one_inside(
    unit: int, inside: bool
) -> None:
    module = scattered(41, output_stride=32).units[unit]
    assert isinstance(module, XceptionModule)
    x = torch.randn(1, module.separable[0].get_parameter("depthwise.conv.weight").shape[0], 9, 7)
    with torch.no_grad():
        assert torch.equal(module(x)[0], plain_module(module, x, inside=inside))


def test_gradient_flows_through_tap_and_shortcut() -> None:
    torch.manual_seed(0)
    network = Xception(depth=41, output_stride=16).train()
    image = torch.randn(2, 3, 33, 33, requires_grad=True)
    low, mid, high = network(image)
    (low.square().mean() + mid.square().mean() + high.square().mean()).backward()
    assert image.grad is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    shortcuts = [p for n, p in network.named_parameters() if n.endswith("shortcut.conv.weight")]
    assert len(shortcuts) == 4
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in shortcuts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 50}, "41, 65, 71"),
        ({"output_stride": 64}, "4, 8, 16, 32"),
        ({"output_stride": 2}, "4, 8, 16, 32"),
        ({"multi_grid": (1, 2)}, "three rates"),
        ({"multi_grid": (1, 0, 1)}, "three rates"),
    ],
)
def test_impossible_networks_are_refused(settings: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        Xception(**settings)  # type: ignore[arg-type]


def test_maps_of_unknown_depths_are_refused() -> None:
    for make in (timm_xception, tensorflow_xception):
        with pytest.raises(ValueError, match="41, 65, 71"):
            make(50)


def timm_pair(depth: int) -> tuple[Xception, nn.Module]:
    """Ours and timm's with the same random weights."""
    ours = scattered(depth, output_stride=32)
    theirs: nn.Module = timm().create_model(f"xception{depth}", pretrained=False, num_classes=0)
    state, taken = ours.state_dict(), dict[str, torch.Tensor]()
    names = timm_xception(depth)
    for key in theirs.state_dict():
        module, _, leaf = key.rpartition(".")
        taken[key] = state.pop(f"{names[module].removeprefix('backbone.')}.{leaf}")
    assert not state
    theirs.load_state_dict(taken)
    return ours, theirs.eval()


@DEPTHS
def test_features_are_those_of_timm(depth: int) -> None:
    ours, theirs = timm_pair(depth)
    for height, width in ((65, 65), (64, 96)):
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            features: Features = ours(image)
            wanted = theirs.forward_features(image)  # type: ignore[operator]
        assert_near(features.high, wanted, within=1e-4)


def tensorflow_names(network: nn.Module) -> list[str]:
    """What the modules of a network would be called by TensorFlow's leaves: 'units.0...conv'."""
    names = (n.rpartition(".") for n in network.state_dict() if not n.endswith(COUNTERS))
    return sorted(f"backbone.{module}|{leaf}" for module, _, leaf in names)


def filled(scopes: dict[str, str]) -> list[str]:
    """What the variables of a checkpoint fill: a kernel for a convolution, four for a norm."""
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    rows = []
    for scope, module in scopes.items():
        depthwise = scope.endswith("depthwise")
        kernel = ("depthwise_weights" if depthwise else "weights",)
        leaves = norm if scope.endswith("BatchNorm") else kernel
        rows += [f"{module}|{LEAVES[leaf]}" for leaf in leaves]
    return sorted(row for row in rows if row.startswith("backbone."))


@DEPTHS
def test_tensorflow_fills_every_tensor_of_xception_once(depth: int) -> None:
    with torch.device("meta"):
        network = Xception(depth=depth)
    assert filled(tensorflow_xception(depth)) == tensorflow_names(network)


def test_tensorflow_fills_every_tensor_of_mobilenet_once() -> None:
    with torch.device("meta"):
        network = MobileNetV2()
    assert filled(tensorflow_mobilenet_v2()) == tensorflow_names(network)
    assert TENSORFLOW_HEAD.items() <= tensorflow_mobilenet_v2().items()


@pytest.mark.parametrize(
    ("scopes", "scope", "module"),
    [
        (
            tensorflow_xception(65),
            "xception_65/entry_flow/block1/unit_1/xception_module/separable_conv1_depthwise",
            "backbone.units.0.separable.0.depthwise.conv",
        ),
        (
            tensorflow_xception(65),
            "xception_65/middle_flow/block1/unit_16/xception_module/separable_conv3_pointwise"
            "/BatchNorm",
            "backbone.units.18.separable.2.pointwise.norm",
        ),
        (
            tensorflow_xception(71),
            "xception_71/exit_flow/block1/unit_1/xception_module/shortcut",
            "backbone.units.21.shortcut.conv",
        ),
        (tensorflow_xception(41), "xception_41/entry_flow/conv1_2", "backbone.root.1.conv"),
        (
            tensorflow_mobilenet_v2(),
            "MobilenetV2/expanded_conv_3/depthwise",
            "backbone.units.3.depthwise.conv",
        ),
        (
            tensorflow_mobilenet_v2(),
            "MobilenetV2/expanded_conv/project/BatchNorm",
            "backbone.units.0.project.norm",
        ),
        (tensorflow_mobilenet_v2(), "MobilenetV2/Conv", "backbone.stem.conv"),
        (tensorflow_mobilenet_v2(), "image_pooling/BatchNorm", "context.pool.norm"),
    ],
)
def test_tensorflow_scopes_lead_to_our_modules(
    scopes: dict[str, str], scope: str, module: str
) -> None:
    assert scopes[scope] == module


def by_hand(image: np.ndarray, kernel: np.ndarray, *, depthwise: bool) -> np.ndarray:
    """A valid convolution in TensorFlow's layout: image (h, w, in), kernel (h, w, in, out)."""
    size = kernel.shape[0]
    rows = []
    for y in range(image.shape[0] - size + 1):
        for x in range(image.shape[1] - size + 1):
            window = image[y : y + size, x : x + size, :, None] * kernel
            rows.append(window.sum(axis=(0, 1) if depthwise else (0, 1, 2)).ravel())
    return np.stack(rows, axis=1)


@pytest.mark.parametrize(
    ("leaf", "multiplier"), [("weights", 5), ("depthwise_weights", 1), ("depthwise_weights", 2)]
)
def test_a_kernel_of_tensorflow_answers_in_torch_what_it_answers_there(
    leaf: str, multiplier: int
) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(4, 5, 3)), rng.normal(size=(3, 3, 3, multiplier))
    wanted = by_hand(image, kernel, depthwise=leaf == "depthwise_weights")
    weight = torch.from_numpy(from_tensorflow(f"a/b/{leaf}", kernel))
    groups = 3 if leaf == "depthwise_weights" else 1
    assert weight.shape == (multiplier * groups, 3 // groups, 3, 3)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    answer = F.conv2d(planes, weight, groups=groups)[0].flatten(1)
    np.testing.assert_allclose(answer.numpy(), wanted, atol=1e-12)


def test_a_whole_tensorflow_checkpoint_loads_into_our_network() -> None:
    network = scattered(41, output_stride=16)
    leaves = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean"}
    leaves["running_var"] = "moving_variance"
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith(COUNTERS)}
    loaded: dict[str, torch.Tensor] = {}
    for scope, module in tensorflow_xception(41).items():
        ours = module.removeprefix("backbone.")
        if scope.endswith("BatchNorm"):
            file = {v: wanted[f"{ours}.{k}"].numpy() for k, v in leaves.items()}
        elif scope.endswith("_depthwise"):
            file = {"depthwise_weights": wanted[f"{ours}.weight"].permute(2, 3, 0, 1).numpy()}
        else:
            file = {"weights": wanted[f"{ours}.weight"].permute(2, 3, 1, 0).numpy()}
        for leaf, value in file.items():
            tensor = torch.from_numpy(from_tensorflow(f"{scope}/{leaf}", value))
            assert f"{ours}.{LEAVES[leaf]}" not in loaded
            loaded[f"{ours}.{LEAVES[leaf]}"] = tensor
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[k], wanted[k]) for k in wanted)


def test_other_variables_and_kernels_of_other_shapes_are_refused() -> None:
    vector = np.arange(3.0)
    assert from_tensorflow("logits/semantic/biases", vector) is vector
    with pytest.raises(ValueError, match="Momentum"):
        from_tensorflow("aspp0/weights/Momentum", vector)
    with pytest.raises(ValueError, match="h, w, in, out"):
        from_tensorflow("aspp0/weights", vector)
