"""Claims: data are waited for less than 5 % of a step; two processes scale; memory of each recipe.

    python benchmarks/training.py [--data camvid=PATH] [--init FILE] [--steps 24]
    python benchmarks/training.py --memory [RECIPE ...]

Trains the recipe `deeplabv3-mobilenet-v2-camvid`, batch, crop and all, on two cores: one process
with two threads and a reading process beside it, then one process and two under torchrun with a
thread each. Without --data it learns from drawn scenes. With --memory nothing is trained: it is
what --dry-run reckons for each recipe at its paper's crop and batch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from contest import machine

from atrous.data.shapes import Shapes
from atrous.recipes import RECIPES, Recipe
from atrous.run.memory import GIB, need
from atrous.training.beginning import stream_of

RECIPE = "deeplabv3-mobilenet-v2-camvid"
SETTLED = 4
"""Steps that warm up: reading processes begin, kernels are chosen."""


def trained(words: list[str], steps: int, *, processes: int, threads: int) -> dict[str, float]:
    """Medians over the steps of a run of its own."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run(
            [
                *(sys.executable, *(launch if processes > 1 else ()), "-m", "atrous", "train"),
                *(RECIPE, "--out", str(out), "--device", "cpu", "--quiet", *words),
                *("--set", f"train.iterations={steps}"),
            ],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    late = rows[SETTLED:]
    return {name: statistics.median(row[name] for row in late) for name in rows[0]}


def speed(words: list[str], steps: int) -> None:
    """One run after the other: machines are noisy, ratios of one hour are not."""
    print("\n| processes x threads | images/s | data wait | peak GiB a process |")
    print("|---|---:|---:|---:|")
    found = {}
    for processes, threads in ((1, 2), (1, 1), (2, 1)):
        row = trained(words, steps, processes=processes, threads=threads)
        found[processes, threads] = row["images_per_second"]
        told = (
            f"{row['images_per_second']:.2f} | {row['wait']:.1%} | {row['memory_mib'] / 1024:.1f}"
        )
        print(f"| {processes} x {threads} | {told} |", flush=True)
    print(f"\ntwo processes are {found[2, 1] / found[1, 1]:.2f} times as fast as one")


def memory(names: list[str]) -> None:
    """What a step of each recipe takes on a GPU at its paper's crop and batch, in one process."""
    print("\n| recipe | batch | crop | GiB | of it activations |\n|---|---:|---:|---:|---:|")
    data = Shapes("train", size_hw=(129, 129), count=4)
    for name in names or sorted(RECIPES):
        for stage in RECIPES[name].stages:
            with torch.device("meta"):
                system = stage.build(data.labels)
            taken = need(
                system, stream_of(stage, data, system)[0], stage.train, images=_at_once(stage)
            )
            told = f"{taken.total / GIB:.1f} | {taken.activations / GIB:.1f}"
            print(
                f"| {stage.name} | {stage.train.batch} | {stage.train.crop} | {told} |", flush=True
            )


def _at_once(stage: Recipe) -> int:
    return stage.train.batch // stage.train.accumulate


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--init", default="")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--memory", nargs="*", metavar="RECIPE")
    asked = parser.parse_args()
    print(machine())
    if asked.memory is not None:
        memory(asked.memory)
        return
    words = ["--data", asked.data, *(["--init", asked.init] if asked.init else [])]
    speed(words, asked.steps)


if __name__ == "__main__":
    main()
