from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from atrous.nn.features import Features
from atrous.nn.resnet import STRIDES_AT, Bottleneck, ResNet, Unit, units
from atrous.weights.resnet import (
    semseg_pspnet,
    semseg_resnet,
    timm_deep_resnet,
    torchvision_resnet,
)
from networks import assert_near
from peers import timm, torchvision

COUNTS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 269: (3, 30, 48, 8)}
EVERY_STRIDE = pytest.mark.parametrize("stride_at", STRIDES_AT)
EVERY_ROOT = pytest.mark.parametrize("root", ["7x7", "deep"])


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def windows(
    network: nn.Module, image: torch.Tensor
) -> list[tuple[str, nn.Conv2d | nn.MaxPool2d, torch.Size]]:
    """Convolutions and poolings in the order of the forward pass: name, layer, answer's shape."""
    seen: list[tuple[str, nn.Conv2d | nn.MaxPool2d, torch.Size]] = []

    def note(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        def hook(layer: nn.Module, _: object, answer: torch.Tensor) -> None:
            assert isinstance(layer, nn.Conv2d | nn.MaxPool2d)
            seen.append((name, layer, answer.shape))

        return hook

    hooks = [
        layer.register_forward_hook(note(name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return seen


SIZES = [
    (50, "7x7", 23_508_032, 25_557_032, 4.089),
    (101, "7x7", 42_500_160, 44_549_160, 7.801),
    (152, "7x7", 58_143_808, 60_192_808, 11.514),
    (269, "7x7", 100_024_384, 102_073_384, 20.030),
    (50, "deep", 23_631_808, 25_680_808, 5.444),
    (101, "deep", 42_623_936, 44_672_936, 9.157),
    (152, "deep", 58_267_584, 60_316_584, 12.869),
    (269, "deep", 100_148_160, 102_197_160, 21.385),
]


@pytest.mark.parametrize(("depth", "root", "features", "classifying", "giga"), SIZES)
def test_sizes_are_those_that_were_published(
    depth: int, root: str, features: int, classifying: int, giga: float
) -> None:
    with torch.device("meta"):
        network = ResNet(depth=depth, root=root, output_stride=32, stride_at="first_3x3")
        head = nn.Linear(network.channels.high, 1000)
        seen = windows(network, torch.zeros(1, 3, 224, 224))
    assert parameters(network) == features
    assert parameters(network) + parameters(head) == classifying
    convs = [(layer, shape) for _, layer, shape in seen if isinstance(layer, nn.Conv2d)]
    multiply_adds = sum(layer.weight.numel() * shape[2:].numel() for layer, shape in convs)
    assert (multiply_adds + head.weight.numel()) / 1e9 == pytest.approx(giga, rel=0.0005)


@pytest.mark.parametrize(
    ("depth", "blocks", "count"),
    [
        (50, 5, 36_895_808),
        (50, 6, 50_283_584),
        (50, 7, 63_671_360),
        (101, 5, 55_887_936),
        (101, 6, 69_275_712),
        (101, 7, 82_663_488),
    ],
)
def test_a_copy_of_block_4_has_no_projection(depth: int, blocks: int, count: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth=depth, blocks=blocks)
    assert parameters(network) == count
    for block in range(4, blocks):
        shortcuts = [unit.get_submodule("shortcut") for unit in network.blocks[block].children()]
        assert [type(s) for s in shortcuts] == [nn.Identity] * 3


@pytest.mark.parametrize(("depth", "counts"), COUNTS.items())
def test_the_depth_is_the_number_of_layers(depth: int, counts: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = ResNet(depth=depth)
    assert tuple(len(list(block.children())) for block in network.blocks) == counts
    assert 3 * sum(counts) + 2 == depth


def spatial(network: ResNet) -> list[nn.Conv2d | nn.MaxPool2d]:
    """Windows that look at more than one cell or have a stride, without the shortcuts'."""
    device = network.root.get_parameter("0.conv.weight").device
    seen = windows(network, torch.zeros(1, 3, 33, 33, device=device))
    layers = [layer for name, layer, _ in seen if "shortcut" not in name]
    return [m for m in layers if m.kernel_size not in {1, (1, 1)} or m.stride not in {1, (1, 1)}]


def rates(network: ResNet) -> list[list[int]]:
    """Rates of the 3x3 of every block."""
    found: list[list[int]] = []
    for block in network.blocks:
        convs = [unit.get_submodule("conv.conv") for unit in block.children()]
        found.append([m.dilation[0] for m in convs if isinstance(m, nn.Conv2d)])
    return found


RATES = [
    (4, (1, 2, 4, 8, 16, 32, 64)),
    (8, (1, 1, 2, 4, 8, 16, 32)),
    (16, (1, 1, 1, 2, 4, 8, 16)),
    (32, (1, 1, 1, 1, 2, 4, 8)),
    (64, (1, 1, 1, 1, 1, 2, 4)),
    (128, (1, 1, 1, 1, 1, 1, 2)),
    (256, (1, 1, 1, 1, 1, 1, 1)),
]


@pytest.mark.parametrize(("output_stride", "wanted"), RATES)
@pytest.mark.parametrize(
    ("stride_at", "all_units"), [("last_3x3", False), ("first_1x1", False), ("first_3x3", True)]
)
def test_a_block_has_the_rate_of_the_strides_that_were_lost_before_it(
    output_stride: int, wanted: tuple[int, ...], stride_at: str, all_units: bool
) -> None:
    with torch.device("meta"):
        network = ResNet(
            depth=50,
            blocks=7,
            output_stride=output_stride,
            stride_at=stride_at,
            all_units=all_units,
        )
    found = rates(network)
    assert found == [[rate] * len(block) for rate, block in zip(wanted, found, strict=True)]


@pytest.mark.parametrize(("output_stride", "wanted"), RATES)
def test_a_first_3x3_that_loses_its_stride_keeps_the_rate_of_the_block_before(
    output_stride: int, wanted: tuple[int, ...]
) -> None:
    rows = units(output_stride, depth=50, stride_at="first_3x3", blocks=7)
    found = [[row.rate for row in rows if row.block == block] for block in range(1, 8)]
    before = (1, *wanted[:-1])
    assert [block[0] for block in found] == list(before)
    assert [set(block[1:]) for block in found] == [{rate} for rate in wanted]


@pytest.mark.parametrize("output_stride", [4, 8, 16])
@EVERY_STRIDE
def test_all_units_departs_from_the_rule_in_first_units_with_a_stride_in_the_3x3_only(
    output_stride: int, stride_at: str
) -> None:
    plain = units(output_stride, depth=50, stride_at=stride_at)
    departing = units(output_stride, depth=50, stride_at=stride_at, all_units=True)
    unlike = [i for i, rows in enumerate(zip(plain, departing, strict=True)) if rows[0] != rows[1]]
    lost = {4: [3, 7, 13], 8: [7, 13], 16: [13]}[output_stride]
    assert unlike == (lost if stride_at == "first_3x3" else [])
    for index in unlike:
        assert departing[index] == plain[index]._replace(rate=plain[index + 1].rate)


@pytest.mark.parametrize(
    ("output_stride", "wanted"), [(32, [1, 2, 4]), (16, [2, 4, 8]), (8, [4, 8, 16])]
)
def test_multi_grid_multiplies_the_rates_of_block_4_and_of_its_copies(
    output_stride: int, wanted: list[int]
) -> None:
    with torch.device("meta"):
        plain = rates(ResNet(depth=101, blocks=7, output_stride=output_stride))
        grid = rates(ResNet(depth=101, blocks=7, output_stride=output_stride, multi_grid=(1, 2, 4)))
    assert grid[3] == wanted
    assert grid[:3] == plain[:3]
    assert grid[4:] == [[b[0], 2 * b[1], 4 * b[2]] for b in plain[4:]]


def test_multi_grid_of_ones_fits_blocks_of_any_size() -> None:
    plain = units(8, depth=269)
    assert units(8, depth=269, multi_grid=(1, 1, 1)) == plain
    grid = (1, 2, 1, 2, 1, 2, 1, 2)
    assert [row.rate for row in units(16, depth=269, multi_grid=grid)[-8:]] == [2, 4] * 4


@EVERY_STRIDE
def test_strides_sit_where_they_are_said_to(stride_at: str) -> None:
    rows = units(32, depth=50, stride_at=stride_at)
    strided = [i for i, row in enumerate(rows) if row.stride > 1]
    assert strided == ([2, 6, 12] if stride_at == "last_3x3" else [3, 7, 13])
    at_1x1 = stride_at == "first_1x1"
    for index in strided:
        assert (rows[index].reduce_stride, rows[index].conv_stride) == (
            (2, 1)[:: 1 if at_1x1 else -1]
        )
    with torch.device("meta"):
        network = ResNet(depth=50, output_stride=32, stride_at=stride_at)
    names = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1}
    part = "reduce" if at_1x1 else "conv"
    places = ["0.2", "1.3", "2.5"] if stride_at == "last_3x3" else ["1.0", "2.0", "3.0"]
    wanted = {f"blocks.{place}.{part}.conv" for place in places} | {"root.0.conv"}
    if stride_at != "last_3x3":
        wanted |= {f"blocks.{place}.shortcut.conv" for place in places}
    assert names == wanted


def field_and_jump(network: ResNet) -> tuple[int, int]:
    """Receptive field and stride of the last map."""
    seen, jump = 1, 1
    for layer in spatial(network):
        kernel, stride, rate = (
            value if isinstance(value, int) else value[0]
            for value in (layer.kernel_size, layer.stride, layer.dilation)
        )
        seen += (kernel - 1) * rate * jump
        jump *= stride
    return seen, jump


@pytest.mark.parametrize(
    ("depth", "plain", "departing"),
    [(50, 427, 475), (101, 971, 1019), (152, 1451, 1499), (269, 2507, 2555)],
)
def test_receptive_fields_grow_only_where_all_units_departs_from_the_rule(
    depth: int, plain: int, departing: int
) -> None:
    for output_stride in (8, 32):
        with torch.device("meta"):
            network = ResNet(depth=depth, output_stride=output_stride, stride_at="first_3x3")
        assert field_and_jump(network) == (plain, output_stride)
    with torch.device("meta"):
        network = ResNet(depth=depth, output_stride=8, stride_at="first_3x3", all_units=True)
    assert field_and_jump(network) == (departing, 8)


def scatter(network: nn.Module) -> None:
    """Weights that keep the size of what they see, and norms none of which is the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.8, 1.4)
            nn.init.normal_(layer.bias, std=0.2)


def scattered(make: Callable[[], ResNet]) -> ResNet:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = make().eval()
    network.to_empty(device="cpu")
    scatter(network)
    return network


def like(network: nn.Module, make: Callable[[], ResNet]) -> ResNet:
    """Another layout with the same weights."""
    with torch.device("meta"):
        other = make().eval()
    other.load_state_dict(network.state_dict(), assign=True)
    return other


@EVERY_STRIDE
@EVERY_ROOT
@pytest.mark.parametrize(
    ("dense", "sparse", "blocks", "multi_grid"),
    [(8, 16, 4, ()), (4, 8, 4, ()), (8, 16, 5, (1, 2, 4)), (32, 64, 5, (1, 2, 4))],
)
def test_features_at_a_lower_stride_hold_those_at_a_higher_one(
    stride_at: str, root: str, dense: int, sparse: int, blocks: int, multi_grid: tuple[int, ...]
) -> None:
    size = 65 if blocks == 4 else 129

    def make(output_stride: int) -> Callable[[], ResNet]:
        return lambda: ResNet(
            depth=50,
            output_stride=output_stride,
            stride_at=stride_at,
            root=root,
            blocks=blocks,
            multi_grid=multi_grid,
        )

    coarse = scattered(make(sparse))
    fine = like(coarse, make(dense))
    image = torch.randn(1, 3, size, size - 16)
    with torch.no_grad():
        ours, theirs = fine(image), coarse(image)
    assert ours.high.shape[2:] == (size // dense + 1, (size - 16) // dense + 1)
    assert_near(ours.high[..., ::2, ::2], theirs.high, within=1e-5)
    assert torch.equal(ours.low, theirs.low)
    step = 2 if ours.mid.shape != theirs.mid.shape else 1
    assert_near(ours.mid[..., ::step, ::step], theirs.mid, within=1e-5)


def test_with_all_units_features_are_others() -> None:
    plain = scattered(lambda: ResNet(depth=50, output_stride=8, stride_at="first_3x3"))
    departing = like(
        plain, lambda: ResNet(depth=50, output_stride=8, stride_at="first_3x3", all_units=True)
    )
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        ours, theirs = departing(image).high, plain(image).high
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) > 0.01 * float(theirs.abs().max())


@EVERY_STRIDE
@pytest.mark.parametrize(
    ("output_stride", "blocks"),
    [(4, 4), (8, 4), (16, 4), (32, 4), (64, 5), (128, 6), (256, 7), (16, 7)],
)
def test_features_have_the_output_stride_and_the_tap_has_stride_four(
    stride_at: str, output_stride: int, blocks: int
) -> None:
    with torch.device("meta"):
        network = ResNet(
            depth=50, output_stride=output_stride, blocks=blocks, stride_at=stride_at
        ).eval()
        low, mid, high = network(torch.zeros(1, 3, 513, 257))
    middle = min(output_stride, 32 if stride_at == "last_3x3" else 16)
    assert network.channels == (256, 1024, 2048)
    assert low.shape == (1, 256, 129, 65)
    assert mid.shape == (1, 1024, 512 // middle + 1, 256 // middle + 1)
    assert high.shape == (1, 2048, 512 // output_stride + 1, 256 // output_stride + 1)


@pytest.mark.parametrize(("stride_at", "tap"), [("first_3x3", 2), ("last_3x3", 1)])
def test_taps_are_the_last_unit_at_stride_four_and_the_last_of_block_3(
    stride_at: str, tap: int
) -> None:
    network = scattered(lambda: ResNet(depth=50, stride_at=stride_at))
    answers: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, Bottleneck):
            module.register_forward_hook(lambda _, __, answer: answers.append(answer.clone()))
    with torch.no_grad():
        low, mid, high = network(torch.randn(1, 3, 33, 33))
    assert torch.equal(low, answers[tap])
    assert torch.equal(mid, answers[12])
    assert torch.equal(high, answers[15])


PLAIN = Unit(block=4, channels_in=32, width=8, reduce_stride=1, conv_stride=1, rate=1, dropout=0.0)


def bottleneck(row: Unit) -> Bottleneck:
    torch.manual_seed(0)
    unit = Bottleneck(row)
    scatter(unit)
    return unit


@pytest.mark.parametrize(("reduce_stride", "conv_stride"), [(2, 1), (1, 2)])
def test_an_identity_is_sampled_where_the_unit_has_a_stride(
    reduce_stride: int, conv_stride: int
) -> None:
    unit = bottleneck(PLAIN._replace(reduce_stride=reduce_stride, conv_stride=conv_stride)).eval()
    x = torch.randn(1, 32, 9, 6)
    with torch.no_grad():
        residual = unit.expand(unit.conv(unit.reduce(x)))
        assert torch.equal(unit(x), (residual + x[:, :, ::2, ::2]).relu())


def test_dropout_zeroes_values_of_the_residual_branch_in_training_only() -> None:
    unit = bottleneck(PLAIN._replace(dropout=0.5))
    x = torch.randn(2, 32, 9, 9)
    seen: list[torch.Tensor] = []
    unit.expand.register_forward_hook(lambda _, __, answer: seen.append(answer))
    unit.drop.register_forward_hook(lambda _, __, answer: seen.append(answer))
    with torch.no_grad():
        y = unit.train()(x)
        (expanded, dropped), seen[:] = tuple(seen), []
        still = unit.eval()(x)
    zeroed = dropped == 0
    assert 0.4 < float(zeroed.float().mean()) < 0.6
    torch.testing.assert_close(dropped[~zeroed], 2 * expanded[~zeroed])
    assert torch.equal(y, (x + dropped).relu())
    assert torch.equal(y[zeroed], x[zeroed].relu())
    assert torch.equal(still, (x + seen[0]).relu())


def test_dropout_stands_in_the_units_of_the_last_block_and_has_no_weights() -> None:
    with torch.device("meta"):
        plain = ResNet(depth=50, blocks=5)
        network = ResNet(depth=50, blocks=5, dropout=(0.0, 0.3, 0.5))
    assert network.state_dict().keys() == plain.state_dict().keys()
    found = {n: m.p for n, m in network.named_modules() if hasattr(m, "p")}
    assert found == {"blocks.4.1.drop": 0.3, "blocks.4.2.drop": 0.5}
    assert not any(hasattr(m, "p") for m in plain.modules())


def test_gradient_reaches_every_weight_through_taps_and_shortcuts() -> None:
    network = scattered(lambda: ResNet(depth=50, output_stride=16, dropout=(0.0, 0.3, 0.5)))
    image = torch.randn(2, 3, 33, 33, requires_grad=True)
    low, mid, high = network.train()(image)
    (low.mean() + mid.mean() + high.square().mean()).backward()
    assert image.grad is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad.abs().max() > 0 for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 34}, "depth is 34.*50, 101, 152, 269"),
        ({"root": "3x3"}, "root is '3x3'.*7x7, deep"),
        ({"stride_at": "last_1x1"}, "stride_at is 'last_1x1'.*first_1x1, first_3x3, last_3x3"),
        ({"blocks": 3}, "blocks is 3.*4, 5, 6, 7"),
        ({"blocks": 8}, "blocks is 8.*4, 5, 6, 7"),
        ({"output_stride": 2}, "output_stride is 2.*4, 8, 16, 32"),
        ({"output_stride": 12}, "output_stride is 12.*4, 8, 16, 32"),
        ({"output_stride": 64}, "output_stride is 64.*4, 8, 16, 32"),
        ({"output_stride": 512, "blocks": 7}, "128, 256"),
        ({"multi_grid": (1, 2)}, r"multi_grid is \(1, 2\).*3 rates"),
        ({"multi_grid": (1, 0, 2)}, r"multi_grid is \(1, 0, 2\).*3 rates"),
        ({"multi_grid": (1, 2, 4), "depth": 269}, "8 rates"),
        ({"dropout": (0.5,)}, r"dropout is \(0.5,\).*3 shares"),
        ({"dropout": (0.0, 0.3, 1.0)}, "below 1"),
        ({"dropout": (0.0, 0.3, -0.1)}, "at least 0"),
    ],
)
def test_impossible_networks_are_refused(settings: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        ResNet(**settings)  # type: ignore[arg-type]


MAPS = [torchvision_resnet, semseg_resnet, semseg_pspnet, timm_deep_resnet]


@pytest.mark.parametrize("key_map", MAPS)
@pytest.mark.parametrize("depth", COUNTS)
def test_key_maps_name_every_module_with_weights_once(
    key_map: Callable[[int], dict[str, str]], depth: int
) -> None:
    root = "7x7" if key_map is torchvision_resnet else "deep"
    with torch.device("meta"):
        network = ResNet(depth=depth, root=root)
    modules = [f"backbone.{key.rpartition('.')[0]}" for key in network.state_dict()]
    assert sorted(key_map(depth).values()) == sorted(set(modules))


@pytest.mark.parametrize("key_map", MAPS)
def test_maps_of_unknown_depths_are_refused(key_map: Callable[[int], dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"depth is 18.*50, 101, 152, 269"):
        key_map(18)


def test_semseg_numbers_the_layers_of_its_root() -> None:
    whole, plain = semseg_pspnet(50), semseg_resnet(50)
    root = {k.removeprefix("layer0."): v for k, v in whole.items() if k.startswith("layer0.")}
    names = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3"]
    assert [root[key] for key in "013467"] == [plain[name] for name in names]
    assert whole["layer4.2.bn3"] == "backbone.blocks.3.2.expand.norm"


def share_weights(network: ResNet, peer: nn.Module, names: dict[str, str]) -> None:
    """Gives the peer all weights of ours, none left over."""
    state, taken = network.state_dict(), dict[str, torch.Tensor]()
    for key in peer.state_dict():
        module, _, leaf = key.rpartition(".")
        if module in names:
            taken[key] = state.pop(f"{names[module].removeprefix('backbone.')}.{leaf}")
    assert not state
    missing, unexpected = peer.load_state_dict(taken, strict=False)
    assert (set(missing), unexpected) == ({"fc.weight", "fc.bias"}, [])


def assert_features_are_alike(network: ResNet, peer: nn.Module) -> None:
    blocks: dict[str, torch.Tensor] = {}
    for name in ("layer1", "layer3", "layer4"):
        layer = peer.get_submodule(name)
        layer.register_forward_hook(lambda _, __, y, name=name: blocks.update({name: y}))
    for height, width in ((65, 65), (64, 96)):
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            ours: Features = network(image)
            peer.eval()(image)
        assert_near(ours.low, blocks["layer1"], within=1e-4)
        assert_near(ours.mid, blocks["layer3"], within=1e-4)
        assert_near(ours.high, blocks["layer4"], within=1e-4)


@pytest.mark.parametrize("depth", [50, 101])
def test_features_are_those_of_torchvision(depth: int) -> None:
    peer = getattr(torchvision().models, f"resnet{depth}")(weights=None)
    ours = scattered(lambda: ResNet(depth=depth, output_stride=32, stride_at="first_3x3"))
    share_weights(ours, peer, torchvision_resnet(depth))
    assert_features_are_alike(ours, peer)


@pytest.mark.parametrize("replaced", [(False, False, True), (False, True, True)])
def test_torchvision_keeps_the_rate_of_a_first_unit_as_the_rule_does(
    replaced: tuple[bool, ...],
) -> None:
    peer = torchvision().models.resnet50(weights=None, replace_stride_with_dilation=replaced)
    stride = 32 >> sum(replaced)
    ours = scattered(lambda: ResNet(depth=50, output_stride=stride, stride_at="first_3x3"))
    share_weights(ours, peer, torchvision_resnet(50))
    assert_features_are_alike(ours, peer)


@pytest.mark.parametrize(
    ("name", "root", "names"),
    [
        ("resnet50", "7x7", torchvision_resnet(50)),
        ("resnet50s", "deep", timm_deep_resnet(50)),
        ("resnet101s", "deep", timm_deep_resnet(101)),
    ],
)
def test_features_are_those_of_timm(name: str, root: str, names: dict[str, str]) -> None:
    peer = timm().create_model(name, pretrained=False)
    depth = 101 if "101" in name else 50
    ours = scattered(
        lambda: ResNet(depth=depth, root=root, output_stride=32, stride_at="first_3x3")
    )
    share_weights(ours, peer, names)
    assert_features_are_alike(ours, peer)
