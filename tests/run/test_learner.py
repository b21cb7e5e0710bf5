"""One step of descent: in parts, in short precision, compiled, and from a state on."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrous.data.shapes import Shapes
from atrous.nn.dropout import Dropout
from atrous.nn.layers import ConvNorm, classifier
from atrous.run.batches import Item
from atrous.run.guard import one_line, reproducible
from atrous.run.learner import Learner
from atrous.run.settings import TrainSettings
from atrous.run.states import last_state, write_state
from atrous.run.world import CPU, World
from atrous.semantic import SemanticLoss, semantic_terms
from atrous.tensors import LossTerm, Maps, Targets
from atrous.training import train
from atrous.types import Failed, Sample
from conftest import TINY_NETWORK

ALONE = World(0, 1, CPU)
VOID, CLASSES, SIDE = 255, 3, 17
PLAIN = TrainSettings(10, 8, 33, lr=0.05, norms="frozen", weight_decay=0.0)
COMPILER = os.environ.get("CXX", "g++")
FOREIGN = pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning", "ignore:The .grad attribute:UserWarning"
)
"""What torch.compile itself uses."""


class Small(nn.Module):
    """Two convolutions with norms and dropout; three losses that count different pixels.

    weight  of the first loss
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = weight
        self.first, self.drop = ConvNorm(3, 6, kernel=3, stride=2), Dropout(0.2)
        self.second = ConvNorm(6, 8, kernel=3)
        self.last, self.aside = classifier(8, CLASSES), classifier(6, CLASSES)

    def forward(self, image: Tensor) -> Maps:
        low = self.first(image)
        return Maps(self.last(self.drop(self.second(low))), 2, auxiliary=self.aside(low))

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        semantic, aside = semantic_terms(maps, targets, SemanticLoss(), void=VOID)
        first = (targets.semantic == 0)[:, ::2, ::2]
        total = torch.where(first, maps.semantic.float().square().sum(dim=1), 0).sum()
        only = LossTerm("first", 0.5, total, first.sum().to(total.dtype))
        return (replace(semantic, weight=self.weight), aside, only)


def batch(parts: int, *, images: int = 8) -> list[Item]:
    """The same images in so many parts; later ones have more void and less of the first class."""
    random = torch.Generator().manual_seed(7)
    pixels = torch.randn((images, 3, SIDE, SIDE), generator=random)
    classes = torch.randint(0, CLASSES, (images, SIDE, SIDE), generator=random)
    for index in range(images):
        classes[index, : 2 * index] = VOID
        if index >= images // 2:
            classes[index][classes[index] == 0] = 1
    whole = Targets(classes, torch.ones(classes.shape))
    size = images // parts
    cuts = [slice(i, i + size) for i in range(0, images, size)]
    return [(pixels[c], Targets(whole.semantic[c], whole.weight[c])) for c in cuts]


def learner(settings: TrainSettings = PLAIN, system: nn.Module | None = None) -> Learner:
    anchor = Small().eval() if settings.anchor else None
    if anchor:
        nn.init.normal_(anchor.last.weight)  # it must differ, or there is nothing to hold to
    return Learner(system or Small(), settings, ALONE, seed=0, anchor=anchor)


def made(of: Learner, steps: int = 3) -> list[dict[str, float]]:
    parts = batch(of.settings.accumulate)
    return [of.learn(parts) for _ in range(steps)]


def weights(of: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in of.system.state_dict().items()}


def vector(of: Learner) -> Tensor:
    """All weights in a row."""
    return torch.cat([p.detach().flatten() for p in of.system.parameters()])


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("more", [{}, {"anchor": 2.0}, {"clip": 0.1}, {"optimiser": "adam"}])
@pytest.mark.parametrize("parts", [2, 8])
def test_a_batch_in_parts_makes_the_step_of_the_whole(parts: int, more: dict[str, Any]) -> None:
    whole, cut = (learner(replace(PLAIN, accumulate=n, **more)) for n in (1, parts))
    start = weights(whole)
    for one, other in zip(made(whole), made(cut), strict=True):
        assert {"semantic", "auxiliary", "first"} < one.keys()
        assert ("anchor" in one) == ("anchor" in more)
        assert other == pytest.approx(one, rel=2e-5)
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(cut)[name], rtol=1e-4, atol=1e-6), name
    assert not torch.allclose(start["last.weight"], weights(cut)["last.weight"], atol=1e-4)


def test_norms_take_in_each_part_once() -> None:
    settings = replace(PLAIN, norms="batch", accumulate=4, norm_momentum=0.25)
    cut, twin = learner(settings), Small().train()
    twin.first.norm.momentum = 0.25
    for pixels, _ in batch(4):
        twin.first(pixels)
    made(cut, steps=1)
    assert int(cut.system.get_buffer("first.norm.num_batches_tracked")) == 4
    mean = cut.system.get_buffer("first.norm.running_mean")
    assert torch.allclose(mean, twin.get_buffer("first.norm.running_mean"), atol=1e-6)


def test_no_part_repeats_the_masks_of_another() -> None:
    seen: list[Tensor] = []
    cut = learner(replace(PLAIN, accumulate=2))
    drop = cut.system.get_submodule("drop")
    drop.register_forward_hook(lambda _, inputs, answer: seen.append(answer == 0))
    made(cut, steps=1)
    alone = learner(replace(PLAIN, accumulate=1))
    alone.system.get_submodule("drop").register_forward_hook(
        lambda _, inputs, answer: seen.append(answer == 0)
    )
    made(alone, steps=1)
    first, second, whole = seen  # counting made no pass of its own
    assert torch.equal(torch.cat([first, second]), whole)
    assert not torch.equal(first, second)


def test_clipping_bounds_the_step_and_tells_the_whole_length() -> None:
    settings = replace(PLAIN, momentum=0.0, lr=0.1)
    lengths = []
    for clip in (0.0, 0.01, 1e6):
        one = learner(replace(settings, clip=clip))
        before = vector(one)
        told = one.learn(batch(1))["gradient"]
        lengths.append((told, float((vector(one) - before).norm()) / 0.1))
    (free, went), (told, clipped), high = lengths
    assert free == told == high[0]
    assert went == pytest.approx(free, rel=1e-3)
    assert high[1] == pytest.approx(went, rel=1e-4)
    assert clipped == pytest.approx(0.01, rel=1e-3)


def test_memory_layouts_differ_by_rounding_alone() -> None:
    near, far = (learner(replace(PLAIN, channels_last=last)) for last in (True, False))
    assert near.system.get_parameter("second.conv.weight").is_contiguous(
        memory_format=torch.channels_last
    )
    assert far.system.get_parameter("second.conv.weight").is_contiguous()
    for one, other in zip(made(near), made(far), strict=True):
        assert one == pytest.approx(other, rel=2e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_short_precision_learns_nearly_what_full_precision_does(precision: str) -> None:
    half, full = learner(replace(PLAIN, precision=precision)), learner()
    short, long = ([row["loss"] for row in made(x, steps=5)] for x in (half, full))
    assert short != long
    assert short == pytest.approx(long, rel=0.02)
    assert short[-1] < short[0]
    assert {p.dtype for p in half.system.parameters()} == {torch.float32}


def test_a_gradient_beyond_fp16_skips_the_step_and_halves_the_scale() -> None:
    one = learner(replace(PLAIN, precision="fp16"), Small(weight=1e3))
    scales = [one.state({}).counters["scaler"]["scale"]]
    before = weights(one)
    told = one.learn(batch(1))
    scales.append(one.state({}).counters["scaler"]["scale"])
    assert scales == [65536.0, 32768.0]
    assert not changed(before, weights(one))
    assert isfinite(told["loss"])
    assert not isfinite(told["gradient"])
    assert one.step == 1
    made(one, steps=12)
    assert "last.weight" in changed(before, weights(one))  # the scale has come down


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_state_holds_all_that_the_next_steps_need(tmp_path: Path, precision: str) -> None:
    settings = replace(PLAIN, precision=precision, norms="batch", average=0.9, optimiser="adam")
    whole = learner(settings)
    made(whole, steps=3)
    write_state(tmp_path, whole.state({"seconds": 1.0}), keep=1)
    state = last_state(tmp_path, tell=print)
    assert state is not None
    resumed = learner(settings)
    resumed.restore(state)
    assert made(resumed) == made(whole)
    ends = [x.state({}) for x in (resumed, whole)]
    assert ends[0].counters == ends[1].counters
    assert (precision == "fp16") == ("scaler" in ends[0].counters)
    for one, other in (
        (getattr(ends[0], part), getattr(ends[1], part))
        for part in ("weights", "optimiser", "average")
    ):
        assert one
        assert one.keys() == other.keys()
        assert not changed(one, other)


def test_without_affine_no_norm_learns_scale_or_shift() -> None:
    one = learner(replace(PLAIN, affine=False, norms="batch"))
    before = weights(one)
    made(one)
    moved = changed(before, weights(one))
    assert {"first.conv.weight", "first.norm.running_mean", "second.conv.weight"} <= moved
    assert not {n for n in moved if n.endswith(("norm.weight", "norm.bias"))}
    assert not [n for n in one.state({}).optimiser if ".norm." in n]


def test_a_frozen_part_stays_with_its_statistics() -> None:
    one = learner(replace(PLAIN, freeze=("first",), norms="batch"))
    before = weights(one)
    made(one)
    moved = {name.split(".")[0] for name in changed(before, weights(one))}
    assert moved == {"second", "last", "aside"}


def test_the_average_follows_with_a_ramp() -> None:
    one = Learner(Small(), replace(PLAIN, average=0.3), ALONE, seed=0, first=4)
    mean = weights(one)["last.weight"]
    for made_so_far, decay in ((1, 2 / 11), (2, 3 / 12), (3, 0.3), (4, 0.3)):
        one.learn(batch(1))
        mean = decay * mean + (1 - decay) * weights(one)["last.weight"]
        found = one.model.get_parameter("last.weight")
        assert torch.allclose(found, mean, atol=1e-7), made_so_far
        assert not torch.equal(found, one.system.get_parameter("last.weight"))


def test_the_average_takes_the_statistics_of_norms_as_they_are() -> None:
    one = learner(replace(PLAIN, average=0.9, norms="batch"))
    made(one)
    for name in ("first.norm.running_mean", "first.norm.num_batches_tracked"):
        assert torch.equal(one.model.get_buffer(name), one.system.get_buffer(name))
    assert not any(p.requires_grad for p in one.model.parameters())


@FOREIGN
@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        pytest.param("inductor", marks=pytest.mark.study),
    ],
)
def test_a_compiled_network_learns_the_same_and_is_compiled_once(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    if backend == "inductor" and shutil.which(COMPILER) is None:
        pytest.skip(f"needs a C++ compiler: {COMPILER}")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    plain = learner(replace(PLAIN, norms="batch"))
    compiled = learner(replace(PLAIN, norms="batch", compile=True))
    rows, frames = made(compiled, steps=2), counters["frames"]["total"]
    rows += made(compiled, steps=10)  # more than what torch compiles anew before it gives up
    assert counters["frames"]["total"] == frames > 0
    for one, other in zip(rows, made(plain, steps=12), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


@FOREIGN
def test_without_a_compiler_one_line_says_what_to_do(tmp_path: Path) -> None:
    from torch._inductor import config

    with (
        config.patch({"cpp.cxx": (None, "/nowhere/c++"), "force_disable_caches": True}),
        pytest.raises(Failed, match=r"C\+\+.*train\.compile=false") as caught,
        one_line(tmp_path, ALONE),
    ):
        learner(replace(PLAIN, compile=True)).learn(batch(1))
    assert "\n" not in str(caught.value)


def set_up() -> tuple[object, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


class Watched:
    """Drawn scenes that note how torch is set up when they are read."""

    def __init__(self) -> None:
        self.drawn, self.seen = Shapes("train", size_hw=(65, 65), count=4), set[object]()
        self.labels, self.name = self.drawn.labels, self.drawn.name

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> Sample:
        self.seen.add(set_up())
        return self.drawn[index]


def test_a_deterministic_run_sets_torch_up_and_puts_it_back(tmp_path: Path) -> None:
    before = set_up()
    for wanted, meant in (("false", before), ("true", (True, True, ":4096:8"))):
        data = Watched()
        settings = (*TINY_NETWORK, "train.iterations=1", f"train.deterministic={wanted}")
        train("deeperlab-light", data=data, out=tmp_path / wanted, settings=settings, quiet=True)
        assert data.seen == {meant}
        assert set_up() == before


def test_an_operation_that_is_never_deterministic_is_named_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(Failed, match=r"train\.deterministic: put_ .*deterministic=false") as caught,
        one_line(tmp_path, ALONE),
        reproducible(wanted=True),
    ):
        torch.zeros(3).put_(torch.tensor([1]), torch.ones(1))
    assert "\n" not in str(caught.value)
    assert not torch.are_deterministic_algorithms_enabled()
