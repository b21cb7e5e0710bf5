from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import product

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from atrous.nn.synchronised import SynchronisedNorm, synchronise
from ranks import ranks

Found = dict[str, Tensor]

SPLITS = {"equal": (2, 2), "unequal": (1, 3)}
"""Images of the whole batch in each of two processes."""
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5}
CASES = list(product(SPLITS, CLOSE, [False, True]))
"""Split, type, and whether the network is wrapped in DistributedDataParallel."""
MAPS = {
    "unequal maps": ((2, 3, 4, 5), (1, 3, 7, 2)),
    "none in one": ((0, 3, 4, 4), (2, 3, 4, 4)),
    "one value in each": ((1, 3, 1, 1), (1, 3, 1, 1)),
}


class Cell(nn.Module):
    """Norms of many kinds; `pooled` sees one value of each image and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        )
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.cumulative = nn.BatchNorm2d(6, momentum=None, eps=1e-3)
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6, affine=False)
        )
        self.frozen = nn.BatchNorm2d(6)
        self.untaught = nn.BatchNorm2d(6).requires_grad_(False)
        self.untracked = nn.BatchNorm2d(6, track_running_stats=False)
        self.classifier = nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.cumulative(self.depthwise(x)) + self.pooled(x)
        y: Tensor = self.classifier(self.untracked(self.untaught(self.frozen(x).relu_()) * x))
        return y


def cell(kind: torch.dtype) -> Cell:
    torch.manual_seed(0)
    made = Cell().train()
    for parameter in made.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    made.frozen.eval()
    return made.to(kind)


def batches(kind: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Four images, and the gradient that comes back for them, of two steps."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        images = torch.randn(4, 3, 9, 11, generator=generator, dtype=torch.float64)
        images += torch.arange(1, 13).reshape(4, 3, 1, 1) % 5  # colours of their own
        back = torch.randn(4, 6, 7, 9, generator=generator, dtype=torch.float64)
        yield images.to(kind), back.to(kind)


def learn(network: nn.Module, kind: torch.dtype, slots: slice) -> Found:
    """Answers and gradients of two steps on some slots of each batch, and buffers after them."""
    found: Found = {}
    for step, (images, back) in enumerate(batches(kind)):
        x = images[slots].requires_grad_()
        y = network(x)
        y.backward(back[slots])
        assert x.grad is not None
        found |= {f"{step} answer": y.detach(), f"{step} to image": x.grad}
    found |= {f"to {k}": p.grad for k, p in network.named_parameters() if p.grad is not None}
    return found | {f"kept {k}": buffer for k, buffer in network.named_buffers()}


def learn_part(rank: int, split: str, kind: torch.dtype, wrapped: bool) -> Found:
    network = cell(kind)
    keys = network.state_dict().keys()
    synchronise(network)
    assert network.state_dict().keys() == keys
    first = sum(SPLITS[split][:rank])
    slots = slice(first, first + SPLITS[split][rank])
    if not wrapped:
        return learn(network, kind, slots)
    found = learn(DistributedDataParallel(network), kind, slots)
    return {name.replace("module.", ""): value for name, value in found.items()}


def pass_maps(norm: nn.BatchNorm2d, x: Tensor) -> Found:
    """One norm, back from a loss that is a sum over values."""
    x = x.detach().requires_grad_()
    y = norm(x)
    (y.float() ** 2 * x.detach().float().cos()).sum().backward()
    assert x.grad is not None
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None
    ends = {"y": y.detach(), "x": x.grad}
    sums = {"to weight": norm.weight.grad, "to bias": norm.bias.grad}
    return {k: as_row(v) for k, v in ends.items()} | sums | dict(norm.named_buffers())


def as_row(maps: Tensor) -> Tensor:
    """(1, c, 1, values): a norm does not care where a value lies."""
    return maps.movedim(1, 0).flatten(1)[None, :, None]


def some_maps(case: str, rank: int) -> Tensor:
    generator = torch.Generator().manual_seed(rank)
    return 3 + torch.randn(MAPS[case][rank], generator=generator)


def refusal(norm: nn.BatchNorm2d, x: Tensor) -> str:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") as refused:
        norm(x)
    return str(refused.value)


def in_two(rank: int) -> dict[object, Found | str]:
    """What one of two processes finds in every case: it is their start that costs."""
    found: dict[object, Found | str] = {case: learn_part(rank, *case) for case in CASES}
    for case in MAPS:
        found[case] = pass_maps(SynchronisedNorm(3), some_maps(case, rank))
    striped = some_maps("unequal maps", rank).to(memory_format=torch.channels_last)
    found["channels last"] = pass_maps(SynchronisedNorm(3), striped)
    found["half"] = pass_maps(SynchronisedNorm(3), striped.bfloat16())
    found["refusal"] = refusal(SynchronisedNorm(3), torch.ones(1 - rank, 3, 1, 1))
    return found


@pytest.fixture(scope="module")
def found() -> list[dict[object, Found | str]]:
    return ranks(2, in_two)


def parts(found: list[dict[object, Found | str]], case: object) -> list[Found]:
    both = [each[case] for each in found]
    return [each for each in both if isinstance(each, dict)]


@pytest.mark.parametrize(("split", "kind", "wrapped"), CASES)
def test_parts_of_a_batch_are_learnt_from_as_the_whole(
    found: list[dict[object, Found | str]], split: str, kind: torch.dtype, wrapped: bool
) -> None:
    whole = learn(cell(torch.float64), torch.float64, slice(None))
    one, other = parts(found, (split, kind, wrapped))
    assert one.keys() == other.keys() == whole.keys()
    for name, expected in whole.items():
        if "answer" in name or "image" in name:
            got = torch.cat([one[name], other[name]])
        elif name.startswith("kept"):
            assert torch.equal(one[name], other[name])
            got = one[name]
        else:  # DistributedDataParallel averages, and gives all processes the same
            got = one[name] * 2 if wrapped else one[name] + other[name]
        size = max(1.0, float(expected.abs().max()))
        assert got.dtype in (kind, torch.int64)
        assert (got - expected).abs().max() <= CLOSE[kind] * size, name


def whole_maps(case: str) -> Tensor:
    return torch.cat([as_row(some_maps(case, rank)) for rank in range(2)], dim=-1)


@pytest.mark.parametrize(
    ("case", "maps"), [*zip(MAPS, MAPS, strict=True), ("channels last", "unequal maps")]
)
def test_each_value_counts_once_wherever_it_is(
    found: list[dict[object, Found | str]], case: str, maps: str
) -> None:
    whole = pass_maps(nn.BatchNorm2d(3), whole_maps(maps))
    one, other = parts(found, case)
    assert_whole(one, other, whole, close=1e-5)


def test_half_precision_is_summed_in_float32(found: list[dict[object, Found | str]]) -> None:
    values = whole_maps("unequal maps").bfloat16()
    whole = pass_maps(nn.BatchNorm2d(3), values)
    one, other = parts(found, "half")
    assert_whole(one, other, whole, close=2**-7)
    exact = 0.1 * values.double().mean(dim=(0, 2, 3))
    assert (one["running_mean"] - exact).abs().max() < 1e-6


def assert_whole(one: Found, other: Found, whole: Found, *, close: float) -> None:
    assert one.keys() == other.keys() == whole.keys()
    for name, expected in whole.items():
        if name in ("y", "x"):
            got = torch.cat([one[name], other[name]], dim=-1)
        else:
            got = one[name] + other[name] if name.startswith("to ") else one[name]
        assert got.dtype == expected.dtype
        assert (got - expected).abs().max() <= close * max(1.0, float(expected.abs().max())), name


def test_one_value_in_the_whole_batch_is_refused_by_all(
    found: list[dict[object, Found | str]],
) -> None:
    assert "got 1 in all" in str(found[0]["refusal"])
    assert found[0]["refusal"] == found[1]["refusal"]
    assert "Expected more than 1 value" in refusal(SynchronisedNorm(3), torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize("group", [False, True])
def test_a_process_alone_has_torchs_own_norm(group: bool) -> None:
    network = cell(torch.float32)
    plain = learn(deepcopy(network), torch.float32, slice(None))
    synchronise(network)
    if group:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        found = learn(network, torch.float32, slice(None))
    finally:
        if group:
            dist.destroy_process_group()
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize("on_cuda", [False, True])
def test_a_network_keeps_all_that_it_had(monkeypatch: pytest.MonkeyPatch, on_cuda: bool) -> None:
    network, norm = cell(torch.float32), nn.BatchNorm2d(6, momentum=0.01, eps=1e-3)
    network.stem[1] = network.pooled[2] = norm
    calls: list[nn.Module] = []
    norm.register_forward_hook(lambda module, _, __: calls.append(module))
    before = dict(network.named_modules()), network.state_dict(keep_vars=True)
    modes = [module.training for module in network.modules()]
    monkeypatch.setattr(torch.Tensor, "is_cuda", on_cuda)
    synchronise(network)
    synchronise(network)
    after = dict(network.named_modules()), network.state_dict(keep_vars=True)
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        assert all(old[key] is new[key] for key in old)
    assert modes == [module.training for module in network.modules()]
    network(torch.randn(2, 3, 9, 9))
    assert calls == [norm, norm]
    assert (norm.momentum, norm.eps) == (0.01, 1e-3)


def test_on_cuda_norms_are_what_torch_would_make_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    network = cell(torch.float32)
    theirs = nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(network))
    plain = learn(deepcopy(network), torch.float32, slice(None))
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "is_cuda", True)
        synchronise(network)
    for name, norm in theirs.named_modules():
        if isinstance(norm, nn.SyncBatchNorm):
            ours = network.get_submodule(name)
            assert isinstance(ours, nn.SyncBatchNorm)
            assert isinstance(ours, nn.BatchNorm2d)
            assert ours.process_group is norm.process_group
            for setting in ("momentum", "eps", "affine", "track_running_stats", "training"):
                assert getattr(ours, setting) == getattr(norm, setting)
    found = learn(network, torch.float32, slice(None))
    assert all(torch.equal(found[key], plain[key]) for key in plain)
