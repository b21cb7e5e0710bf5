"""How a network runs: as fast as the machine can, or compiled, with the same answers.

On a CPU with oneDNN the folded network runs packed (see `nn.packing`), elsewhere as it is. Compiled
networks are made for one size of batch each: one graph for all sizes would be slower, and takes
minutes to compile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.folding import folded
from atrous.nn.packedconv import can_pack
from atrous.nn.packing import packed
from atrous.tensors import Maps, mapped
from atrous.types import BadInput

PRECISIONS = ("auto", "fp32", "bf16")
SHAPES = 4
"""How many shapes of batches a network is compiled for; all others run without."""
COMPILERS = ("torch._dynamo.", "torch._inductor.")
HARDWARE = ("amx_bf16", "sve_bf16", "bf16")
"""Names of what lets a CPU multiply bf16 faster than fp32, as torch tells them."""
VECTORS, SLOW_VECTORS = "avx512_bf16", "avx512_fp16"
"""Vectors of bf16 are fast, but on cores that have vectors of fp16 too (Intel's since Sapphire
Rapids): there their products take four times as long as those of fp32 and are twice as many, since
such cores have AMX for bf16. Where a virtual machine hides AMX, networks ran at half the speed.
"""
GRAPHS_AT_MOST = 1 << 12
"""For torch's limit on how often one function is compiled: ours holds, network by network."""

Run = Callable[[Tensor], Maps]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Speed:
    """What is given for speed.

    precision  "fp32"; "bf16", which is faster where the hardware has it; or "auto", bf16 there and
               fp32 elsewhere
    compile    whether torch.compile makes the network faster still, after the better part of a
               minute for each shape of batch

    Raises: BadInput for another precision.
    """

    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BadInput(f"--precision {self.precision}: it can be {', '.join(PRECISIONS)}")

    def dtype(self, device: torch.device) -> torch.dtype:
        """The type that a network's convolutions run in on a device."""
        wanted = self.precision == "bf16" or (self.precision == "auto" and has_bf16(device))
        return torch.bfloat16 if wanted else torch.float32


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware itself multiplies bf16 faster than fp32; emulated, it is slower.

    Told by names, not measured: so "auto" gives the same answers in every run on a machine.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not can_pack(torch.bfloat16):
        return False
    told: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", _older)()
    has_vectors = bool(told.get(VECTORS)) and not told.get(SLOW_VECTORS)
    return has_vectors or any(told.get(name) for name in HARDWARE)


def _older() -> Mapping[str, object]:
    """What a torch says that does not list capabilities; of vectors it does not say enough."""
    return {"amx_bf16": getattr(torch.cpu, "_is_amx_tile_supported", bool)()}


def quick(
    system: nn.Module, speed: Speed, device: torch.device, *, tell: Tell | None = None
) -> Run:
    """What answers a system's maps for a batch of normalised images (b, 3, h, w), float32.

    The system stays what it is; tensors that need not change are shared with it. The maps are
    float32, and belong to who asked. May be called from several threads.

    tell  hears of what makes it slower than was asked for, a line each; stderr, once, if None
    """
    tell = tell or tell_once
    dtype = speed.dtype(device)
    if dtype == torch.bfloat16 and not has_bf16(device):
        tell(f"--precision bf16: this {device.type} is slower in it: fp32 would be faster")
    network = folded(system, dtype=dtype).to(device)
    if speed.compile:
        return _Compiled(network, device, tell)
    return _Plain(network, device)


class _Plain:
    """A folded network on its device, packed on a CPU that can."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        dtypes = {tensor.dtype for tensor in network.parameters()}
        can = device.type == "cpu" and all(can_pack(dtype) for dtype in dtypes)
        self._network, self._device = packed(network) if can else network, device

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        """The maps of a batch."""
        with torch.inference_mode():
            batch = images.to(self._device, memory_format=torch.channels_last)
            maps: Maps = self._network(batch)
            return mapped(maps, _own)


class _Compiled:
    """A folded network, compiled for the first shapes that come; then, or if it fails, plain."""

    def __init__(self, network: nn.Module, device: torch.device, tell: Tell) -> None:
        self._network, self._device, self._tell = network, device, tell
        self._run: Run = torch.compile(network, dynamic=False)
        self._shapes: dict[torch.Size, Run] = {}
        self._plain: _Plain | None = None
        self._lock, self._may_compile = Lock(), True

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        """The maps of a batch."""
        with torch.inference_mode():
            batch = images.to(self._device, memory_format=torch.channels_last)
            run = self._shapes.get(batch.shape)
            if run is None:
                with self._lock:
                    run = self._shapes.get(batch.shape) or self._made(batch)
            return mapped(run(batch), _own)

    def _made(self, batch: Tensor) -> Run:
        """What runs batches of a new shape: compiled, while that works and they are few."""
        if self._may_compile and len(self._shapes) < SHAPES:
            try:
                self._shapes[batch.shape] = self._compiled(batch)
            except Exception as error:
                if not type(error).__module__.startswith(COMPILERS):
                    raise
                self._stop(f"torch.compile failed ({_first_line(error)}): install a C++ compiler")
            else:
                return self._shapes[batch.shape]
        elif self._may_compile:
            height, width = batch.shape[-2:]
            self._stop(f"{SHAPES} shapes of batches are compiled, and {height}x{width} is another")
        return self._fallback()

    def _compiled(self, batch: Tensor) -> Run:
        with _freezing():
            self._run(batch)
        if self._device.type != "cuda":
            return self._run
        try:
            return _Recorded(self._run, batch)
        except RuntimeError as error:
            self._tell(f"--compile: no CUDA graph of {tuple(batch.shape)}: {_first_line(error)}")
            return self._run

    def _stop(self, why: str) -> None:
        self._may_compile = False
        self._tell(f"--compile: {why}; what is not compiled runs without, with the same answers")

    def _fallback(self) -> Run:
        self._plain = self._plain or _Plain(self._network, self._device)
        return self._plain


class _Recorded:
    """A run on CUDA as one graph, launched at once; one caller at a time, from any thread.

    Torch's own graphs ("reduce-overhead") can be replayed by the thread alone that recorded them.
    """

    def __init__(self, run: Run, batch: Tensor) -> None:
        self._batch, self._lock = batch.clone(memory_format=torch.preserve_format), Lock()
        with torch.cuda.device(batch.device):
            self._done = torch.cuda.Event()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                run(self._batch)  # kernels are chosen before they are recorded
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._maps = run(self._batch)
            self._done.record()

    def __call__(self, batch: Tensor) -> Maps:
        with self._lock, torch.cuda.device(batch.device):
            self._done.wait()  # whoever came before may still be copying on another stream
            self._batch.copy_(batch)
            self._graph.replay()
            maps = mapped(self._maps, Tensor.clone)
            self._done.record()
        return maps


@contextmanager
def _freezing() -> Iterator[None]:
    """Weights become constants of what is compiled in this thread, within this block."""
    import torch._dynamo.config as dynamo  # seconds: only for who compiles
    import torch._inductor.config as inductor

    limits = {"recompile_limit": GRAPHS_AT_MOST, "accumulated_recompile_limit": GRAPHS_AT_MOST}
    with inductor.patch(freezing=True), dynamo.patch(limits):
        yield


def _own(values: Tensor) -> Tensor:
    return values.to(torch.float32, memory_format=torch.channels_last)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@cache
def tell_once(line: str) -> None:
    """A line on stderr, but for one that was told: a run may make several networks."""
    print(line, file=sys.stderr)
