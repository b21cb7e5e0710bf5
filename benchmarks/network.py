"""Claim: on a CPU a network runs 1.4 times as fast as eager fp32, and answers the same classes.

    python benchmarks/network.py [--device cuda] [--large] [--threads 1] [--json FILE]

Our own plain networks against `run.speed.quick` of them, in turn in one run: DeepLabv3-ResNet50 at
513, DeeperLab Wider's backbone at 721 (Light has the same one), all of Light at 721; with --large
DeeperLab Xception-71 at 1441. Times are the best of several rounds; classes are compared on noise,
cell by cell; memory is what one call takes above what is held before it. Then Light end to end on
images of 721 x 721, from pixels to parse, on two cores. Weights are random but for Light's.

What bf16 can give is said first: the pace of a large matrix product in both precisions. bf16 runs
wherever the library has it, also where it is slower and `--precision auto` would not take it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from contest import machine
from jaxtyping import Float
from torch import Tensor, nn

from atrous.data.shapes import Shapes
from atrous.labels import NAMED
from atrous.nn.packedconv import can_pack
from atrous.parser import Parser, load
from atrous.recipes import find
from atrous.run.speed import Run, Speed, has_bf16, quick
from atrous.systems import build
from atrous.systems.deeplabv3 import DeepLabv3Network
from atrous.tensors import Maps

LIGHT, MIB = "deeperlab-light", 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One contender; `first_s` is what its first call took, compiling included."""

    network: str
    contender: str
    ms: float
    ratio: float
    same_classes: float
    peak_mib: float
    first_s: float


class Features(nn.Module):
    """A backbone whose last map counts as logits."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """The map at the output stride."""
        return Maps(self.backbone(image).high, 16)


def networks(*, large: bool) -> Iterator[tuple[str, nn.Module, int]]:
    """What it is, the network and the side of its input."""
    labels = NAMED["voc"]
    torch.manual_seed(0)
    resnet = DeepLabv3Network("resnet-50")
    yield "DeepLabv3-ResNet50", build(resnet, labels, fusion=None), 513
    wider = find("deeperlab-wider")
    system = build(wider.network, labels, fusion=wider.fusion)
    yield "Wider's 5x5 backbone", Features(system.backbone), 721  # type: ignore[arg-type]
    yield "Light", load(LIGHT, precision="fp32").network, 721
    if large:
        xception = find("deeperlab-x71")
        yield "Xception-71", build(xception.network, labels, fusion=xception.fusion), 1441


def contenders(network: nn.Module, device: torch.device) -> dict[str, Callable[[], Run]]:
    """Each is made where it is first needed."""
    ways = {"folded, packed" if device.type == "cpu" else "folded": Speed("fp32")}
    ways["compiled"] = Speed("fp32", compile=True)
    if (device.type == "cpu" and can_pack(torch.bfloat16)) or has_bf16(device):
        ways |= {"bf16": Speed("bf16"), "bf16, compiled": Speed("bf16", compile=True)}

    def maker(speed: Speed) -> Callable[[], Run]:
        return lambda: quick(network, speed, device)

    return {"eager fp32": lambda: plain(network), **{name: maker(x) for name, x in ways.items()}}


def plain(network: nn.Module) -> Run:
    """The network as it is written."""

    def run(batch: Tensor) -> Maps:
        with torch.inference_mode():
            maps: Maps = network(batch)
            return maps

    return run


def compare(
    name: str, network: nn.Module, side: int, device: torch.device, rounds: int
) -> list[Row]:
    """All contenders in turn."""
    network = network.eval().requires_grad_(False).to(device)
    batch = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    runs, first, classes = {}, {}, {}
    for way, make in contenders(network, device).items():
        begun = time.perf_counter()
        runs[way] = make()
        classes[way] = runs[way](batch).semantic.argmax(dim=1).cpu()
        first[way] = time.perf_counter() - begun
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for way, run in runs.items():
            best[way] = min(best[way], seconds(lambda run=run: run(batch), device))  # type: ignore[misc]
    eager = "eager fp32"
    return [
        Row(
            f"{name}, {side}x{side}",
            way,
            1000 * best[way],
            best[eager] / best[way],
            float((classes[way] == classes[eager]).float().mean()),
            peak_mib(lambda run=run: run(batch), device),  # type: ignore[misc]
            first[way],
        )
        for way, run in runs.items()
    ]


def products(device: torch.device, rounds: int) -> dict[torch.dtype, float]:
    """Billions of multiplications a second in a product of 1024 x 1024 matrices, by precision."""
    runs: dict[torch.dtype, Callable[[], Tensor]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(1024, 1024, device=device, dtype=dtype)
        runs[dtype] = lambda matrix=matrix: matrix @ matrix  # type: ignore[misc]
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(5 * rounds):
        for dtype, run in runs.items():
            best[dtype] = min(best[dtype], seconds(run, device))
    return {dtype: 1024**3 / best[dtype] / 1e9 for dtype in runs}


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """How long one call takes."""
    settle(device)
    begun = time.perf_counter()
    run()
    settle(device)
    return time.perf_counter() - begun


def settle(device: torch.device) -> None:
    """Waits for what runs aside."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_mib(run: Callable[[], object], device: torch.device) -> float:
    """Memory of one call above what was held before it; nan where the system does not say."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = resident_kib("VmRSS")
        run()
        return (resident_kib("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def resident_kib(field: str) -> int:
    """A line of what Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def end_to_end(device: torch.device, rounds: int) -> dict[str, float]:
    """Images a second through Light's parser: one after the other, and two at a time."""
    light = load(LIGHT, device=str(device))
    rule = replace(light.input, longest_side=721, enlarge=True)
    parser = Parser(light.network, rule, header=light.header, device=light.device, way=light.way)
    scenes = Shapes("val", size_hw=(721, 721), count=4)
    images = [np.asarray(scenes[place].image) for place in range(4)]
    torch.set_num_threads(2)
    parser(images[0])
    one = min(seconds(lambda: [parser(x) for x in images], device) for _ in range(rounds))
    torch.set_num_threads(1)
    with ThreadPoolExecutor(2) as pool:
        two = min(seconds(lambda: [*pool.map(parser, images)], device) for _ in range(rounds))
    return {"one at a time, two threads": 4 / one, "two at a time, a thread each": 4 / two}


def table(rows: list[Row]) -> None:
    """One network's rows."""
    print(f"\n{rows[0].network}")
    print("| | ms | times as fast | same classes | peak MiB above start | first call s |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        numbers = f"{row.same_classes:.4%} | {row.peak_mib:.0f} | {row.first_s:.1f}"
        print(f"| {row.contender} | {row.ms:.1f} | {row.ratio:.2f} | {numbers} |", flush=True)


def main() -> None:
    """Prints tables in Markdown."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--large", action="store_true")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(given.threads)
    where = f"{machine()}, {device}, {given.threads} threads"
    pace = products(device, given.rounds)
    single, half = (f"{pace[dtype]:.0f}" for dtype in (torch.float32, torch.bfloat16))
    print(f"{where}\nBillions of multiplications a second: fp32 {single}, bf16 {half}; ", end="")
    print(f"--precision auto is {str(Speed().dtype(device)).removeprefix('torch.')}")
    rows: list[Row] = []
    for name, network, side in networks(large=given.large):
        rows += (found := compare(name, network, side, device, given.rounds))
        table(found)
    ends = end_to_end(device, given.rounds)
    for how, images in ends.items():
        print(f"\nLight end to end, 721x721, {how}: {images:.2f} images/s")
    if given.json:
        whole = {"schema": 1, "machine": where, "rows": [asdict(row) for row in rows], **ends}
        given.json.write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
