"""Claim: on a GPU, fusion costs less than the network, for a whole batch and without a wait.

    python benchmarks/fusion_cuda.py --out results.json [--things 50] [--rounds 20]

Decodes and fuses drawn scenes at the sizes of the papers, on the grid of stride 4 and at full
resolution, one image and eight at a time. Stages are timed one by one, with a wait after each;
images/s are of the whole, which waits once, for the answer on the host.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import machine
from drawn_maps import scene
from torch import Tensor

from atrous.instances import keypoints as kp
from atrous.instances.batched import decoding, fusing
from atrous.instances.batched import votes as voting
from atrous.instances.batched.votes import Grids
from atrous.labels import unnamed
from atrous.tensors import KeypointMaps, mapped
from atrous.types import Labelled, Region

SIZES, BATCHES, STRIDES = ((721, 721), (1441, 1441), (1025, 2049)), (1, 8), (4, 1)
MAP_STRIDE, CLASSES = 4, 19
STAGES = ("votes", "peaks", "grouping", "assignment", "pixels", "merge", "to host")
NUMBERS = kp.KeypointNumbers()
LABELS = unnamed(CLASSES)


def drawn(size_hw: tuple[int, int], *, batch: int, things: int) -> tuple[KeypointMaps, Tensor]:
    """Maps of stride 4 as a good network answers them, and classes (b, h, w) of all pixels."""
    answers, classes = [], []
    for seed in range(batch):
        ids = scene(size_hw, segments=things, seed=seed)
        truth = Labelled(ids, tuple(Region(int(i), int(i) % 8) for i in np.unique(ids) if i))
        is_thing = np.arange(CLASSES) < 8
        maps, _, _ = kp.encode(truth, is_thing, stride=MAP_STRIDE, numbers=NUMBERS)
        random = np.random.default_rng(seed)
        heat = maps.heatmap * random.uniform(0.5, 1, maps.heatmap.shape)
        short, middle, long = (
            torch.from_numpy(x + random.normal(0, 0.5, x.shape)).float().flatten(0, 1)
            for x in (maps.short, maps.middle, maps.long)
        )
        answers.append((torch.from_numpy(heat).float(), short, middle, long))
        classes.append(torch.from_numpy(np.where(ids > 0, ids % 8, 8)))
    return KeypointMaps(*(torch.stack(x) for x in zip(*answers, strict=True))), torch.stack(classes)


def stages(maps: KeypointMaps, semantic: Tensor, *, stride: int) -> Iterator[Any]:
    """Does the stages one by one, as `decoding.decode` and `fusing` do; yields the answers."""
    size_hw = (semantic.shape[1], semantic.shape[2])
    cell_class = semantic[:, ::stride, ::stride]
    grids = Grids((cell_class.shape[1], cell_class.shape[2]), stride, MAP_STRIDE)
    goals, short, votes = decoding.vote(maps, cell_class < 8, grids=grids, numbers=NUMBERS)
    yield votes
    cells, real = voting.peaks(votes, threshold=NUMBERS.peak_threshold, most=NUMBERS.peaks)
    starts = voting.centroid(votes, cells) * stride
    yield starts
    found = decoding.group(maps, short, (starts, real), grids=grids, numbers=NUMBERS)
    yield found
    index = decoding.assign(goals, found.points / MAP_STRIDE, found.count)
    yield index
    rows, columns = (
        torch.arange(n, device=index.device, dtype=torch.float64) / stride for n in size_hw
    )
    is_thing = torch.arange(CLASSES, device=index.device) < 8
    pixels = fusing.to_pixels(
        index, cell_class, semantic, is_thing=is_thing, rows=rows, columns=columns
    )
    yield pixels
    sure = torch.ones(semantic.shape, device=index.device)
    places = found.points.shape[1]
    whole = fusing.panoptic(semantic, sure, pixels, classes=CLASSES, instances=places)
    yield whole
    yield fusing.parses(whole, semantic, sure, labels=LABELS)


def by_stage(run: Callable[[], Iterator[Any]]) -> dict[str, float]:
    """Milliseconds of each stage."""
    spent, work = {}, run()
    for name in STAGES:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        next(work)
        torch.cuda.synchronize()
        spent[name] = 1000 * (time.perf_counter() - begun)
    return spent


def whole(run: Callable[[], Iterator[Any]]) -> float:
    """Milliseconds of all stages without a wait between them."""
    begun = time.perf_counter()
    for _ in run():
        pass
    return 1000 * (time.perf_counter() - begun)


def row(maps: KeypointMaps, semantic: Tensor, *, stride: int, rounds: int) -> dict[str, Any]:
    """What one size, grid and batch costs: medians of all rounds but the first, which warm up."""

    def run() -> Iterator[Any]:
        return stages(maps, semantic, stride=stride)

    torch.cuda.reset_peak_memory_stats()
    parts = [by_stage(run) for _ in range(rounds + 2)][2:]
    times = [whole(run) for _ in range(rounds + 2)][2:]
    return {
        "size_hw": list(semantic.shape[1:]),
        "stride": stride,
        "batch": len(semantic),
        "images_per_s": 1000 * len(semantic) / statistics.median(times),
        "ms": statistics.median(times),
        "ms_least_most": [min(times), max(times)],
        "ms_by_stage": {name: statistics.median(x[name] for x in parts) for name in STAGES},
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


def shown(found: dict[str, Any]) -> str:
    """A line of the table."""
    size = "x".join(map(str, found["size_hw"]))
    parts = " | ".join(f"{found['ms_by_stage'][name]:.2f}" for name in STAGES)
    head = f"| {size} | {found['stride']} | {found['batch']} | {found['images_per_s']:.0f} "
    return f"{head}| {found['ms']:.1f} | {parts} | {found['peak_mib']:.0f} |"


def main() -> int:
    """All sizes, grids and batches; 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="where the JSON goes")
    parser.add_argument("--things", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: this benchmark needs one", file=sys.stderr)
        return 2
    print("| size | stride | batch | images/s | ms | " + " | ".join(STAGES) + " | peak MiB |")
    print("|---" * (6 + len(STAGES)) + "|")
    rows = []
    for size_hw in SIZES:
        for batch in BATCHES:
            maps, semantic = drawn(size_hw, batch=batch, things=asked.things)
            maps, semantic = mapped(maps, Tensor.cuda), semantic.cuda()
            for stride in STRIDES:
                rows.append(row(maps, semantic, stride=stride, rounds=asked.rounds))
                print(shown(rows[-1]), flush=True)
    about = {"machine": f"{torch.cuda.get_device_name()}; {machine()}", "torch": torch.__version__}
    record = {"schema": 1, **about, "things": asked.things, "rows": rows}
    asked.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
