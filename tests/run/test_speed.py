"""A quick network answers what its system does; what makes it slower is told in a line."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import atrous.run.speed as module
from atrous.nn.layers import ConvNorm, classifier
from atrous.nn.packedconv import can_pack
from atrous.run.speed import SHAPES, Speed, has_bf16, quick
from atrous.tensors import Maps
from atrous.types import BadInput
from networks import assert_near

CPU = torch.device("cpu")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=NEEDS_CUDA)]
HALF_ROUNDING = 2**-6
OFFSETS = torch.full((5,), 500.5)


class Small(nn.Module):
    """A network that answers maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.classifier = ConvNorm(3, 16, kernel=3, stride=4), classifier(16, 5)
        nn.init.normal_(self.classifier.weight)

    def forward(self, image: Tensor) -> Maps:
        return Maps(self.classifier(self.conv(image)), 4)


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    network = Small()
    network(torch.randn(4, 3, 33, 33))  # norms see data
    return network.eval()


def images(side: int = 33, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def plain(network: nn.Module, batch: Tensor) -> Tensor:
    with torch.inference_mode():
        maps: Maps = network(batch)
    return maps.semantic


class Uncompiled:
    """Stands in for `torch.compile`: counts the shapes that it would compile for."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []

    def __call__(self, network: nn.Module, *, dynamic: bool) -> module.Run:
        assert not dynamic

        def run(batch: Tensor) -> Maps:
            self.shapes.append(batch.shape)
            maps: Maps = network(batch)
            return maps

        return run


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> Uncompiled:
    stand_in = Uncompiled()
    monkeypatch.setattr(torch, "compile", stand_in)
    return stand_in


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_answers_what_the_system_does(
    small: Small, device: torch.device, precision: str
) -> None:
    run = quick(small, Speed(precision), device, tell=lambda _: None)
    ours = run(images()).semantic
    assert ours.device.type == device.type
    within = 2e-6 if precision == "fp32" and device == CPU else HALF_ROUNDING
    assert_near(ours.cpu(), plain(small, images()), within=within)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_maps_are_float32_and_lie_pixel_by_pixel(small: Small, precision: str) -> None:
    ours = quick(small, Speed(precision), CPU, tell=lambda _: None)(images()).semantic
    assert ours.dtype == torch.float32
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_the_system_stays_what_it_is(small: Small) -> None:
    truth, kinds = plain(small, images()), [type(x) for x in small.modules()]
    quick(small, Speed("bf16"), CPU, tell=lambda _: None)(images())
    assert [type(x) for x in small.modules()] == kinds
    assert torch.equal(plain(small, images()), truth)


def test_bf16_that_is_slower_works_and_is_told_of(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_bf16", lambda _: False)
    told: list[str] = []
    quick(small, Speed("bf16"), CPU, tell=told.append)(images())
    assert len(told) == 1
    assert "fp32 would be faster" in told[0]


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_bf16_where_the_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(module, "has_bf16", lambda _: there)
    assert Speed().dtype(CPU) == (torch.bfloat16 if there else torch.float32)


CAPABILITIES = [
    ({"amx_bf16": True, "avx512_bf16": True, "avx512_fp16": True}, True),
    ({"amx_bf16": False, "avx512_bf16": True, "avx512_fp16": True}, False),
    ({"amx_bf16": False, "avx512_bf16": True, "avx512_fp16": False}, True),
    ({"avx512_bf16": True}, True),
    ({"bf16": True}, True),
    ({"bf16": False}, False),
    ({}, False),
]


@pytest.mark.parametrize(("told", "is_fast"), CAPABILITIES)
def test_a_cpu_has_bf16_if_what_torch_names_is_faster_than_fp32(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, bool], is_fast: bool
) -> None:
    monkeypatch.setattr(module, "can_pack", lambda _: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", told.copy, raising=False)
    assert has_bf16(CPU) == is_fast


@pytest.mark.parametrize("there", [True, False])
def test_a_torch_that_lists_nothing_is_asked_for_amx(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(module, "can_pack", lambda _: True)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: there, raising=False)
    assert has_bf16(CPU) == there


def test_another_precision_is_refused() -> None:
    with pytest.raises(BadInput, match="auto, fp32, bf16"):
        Speed("fp8")


def test_without_onednn_it_runs_folded(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "can_pack", lambda _: False)
    ours = quick(small, Speed("fp32"), CPU)(images()).semantic
    assert_near(ours, plain(small, images()), within=2e-6)


def test_few_shapes_are_compiled_and_the_others_run_all_the_same(
    small: Small, uncompiled: Uncompiled
) -> None:
    told: list[str] = []
    run = quick(small, Speed("fp32", compile=True), CPU, tell=told.append)
    sides = [17 + 4 * n for n in range(SHAPES + 2)]
    for side in (*sides, *sides):
        assert_near(run(images(side)).semantic, plain(small, images(side)), within=2e-6)
    assert len(set(uncompiled.shapes)) == SHAPES
    assert len(told) == 1
    assert f"{SHAPES} shapes" in told[0]


def test_threads_share_what_is_compiled(small: Small, uncompiled: Uncompiled) -> None:
    run = quick(small, Speed("fp32", compile=True), CPU)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: run(images()).semantic, range(16)))
    truth = plain(small, images())
    for ours in found:
        assert_near(ours, truth, within=2e-6)
    assert len(uncompiled.shapes) == 16 + 1  # the first is run where it is compiled, too


def test_errors_that_are_not_the_compiler_s_are_not_hidden(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Tensor) -> Maps:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        quick(small, Speed("fp32", compile=True), CPU)(images())


COMPILES = """
import sys, torch
sys.path.insert(0, {folder!r})
from test_speed import Small, images, plain
from atrous.run.speed import Speed, quick
torch.manual_seed(0)
network, told = Small().eval(), []
device = torch.device({device!r})
run = quick(network, Speed("fp32", compile=True), device, tell=told.append)
for _ in range(3):
    ours = run(images()).semantic.cpu()
truth = plain(network.cpu(), images())
print(float((ours - truth).abs().max()) < {within}, told)
"""


def compiled(device: str = "cpu", within: float = 1e-5, **settings: str) -> str:
    """What a process of its own says of a network that it compiles."""
    folder = os.path.dirname(__file__)
    words = COMPILES.format(folder=folder, device=device, within=within)
    path = os.pathsep.join((folder, os.path.dirname(folder), os.environ.get("PYTHONPATH", "")))
    answer = subprocess.run(
        [sys.executable, "-c", words],
        env={**os.environ, "PYTHONPATH": path, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


@pytest.mark.study
def test_compiled_it_answers_the_same() -> None:
    assert compiled() == "True []"


@pytest.mark.study
def test_without_a_compiler_it_runs_all_the_same_and_says_so(tmp_path: object) -> None:
    said = compiled(CXX="no-such-compiler", TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert said.startswith("True ")
    assert "--compile: torch.compile failed (InvalidCxxCompiler" in said
    assert "install a C++ compiler" in said


@NEEDS_CUDA
@pytest.mark.study
def test_compiled_on_cuda_it_answers_the_same() -> None:
    assert compiled("cuda", within=0.05) == "True []"


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="needs a oneDNN that knows bf16")
def test_offsets_of_hundreds_of_pixels_are_finer_than_bf16(small: Small) -> None:
    with torch.no_grad():
        small.classifier.weight.zero_()
        small.classifier.load_state_dict({**small.classifier.state_dict(), "bias": OFFSETS})
    ours = quick(small, Speed("bf16"), CPU, tell=lambda _: None)(images()).semantic
    assert not torch.equal(OFFSETS.bfloat16().float(), OFFSETS)
    assert (ours == 500.5).all()
