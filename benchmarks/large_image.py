"""Claim: a 4000 x 6000 image with 66 classes takes less than 4 GiB; labels are the naive route's.

    python benchmarks/large_image.py [--size 4000x6000]

DeeperLab Light with random weights sees the image at full size, in tiles. The naive route upsamples
the logits of all classes to the size of the image and takes the largest: 6.3 GB at this size. Both
read the same maps. The peak is that of a process of its own, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from contest import machine
from drawn_maps import scene

from atrous.bench import untrained
from atrous.nn.resample import resize
from atrous.parser import Parser, Way
from atrous.recipes import find
from atrous.types import Image

CLASSES = 66


def parser() -> Parser:
    """Light for images as they are, with random weights."""
    recipe = find("deeperlab-light")
    recipe = replace(recipe, input=replace(recipe.input, longest_side=0))
    return untrained(recipe, Way(), classes=CLASSES, device=torch.device("cpu"))


def photo(size_hw: tuple[int, int]) -> Image:
    """Textured polygons."""
    rng = np.random.default_rng(0)
    small = scene((size_hw[0] // 4, size_hw[1] // 4), segments=200, seed=0)
    colours = rng.integers(0, 256, (int(small.max()) + 1, 3), dtype=np.uint8)
    whole = cv2.resize(colours[small], size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    grain = rng.integers(0, 40, whole.shape, dtype=np.uint8)
    return np.minimum(np.asarray(whole, np.uint8), 215) + grain


def parse(size_hw: tuple[int, int], out: Path) -> None:
    """Parses in this process and says what it took."""
    image, ours = photo(size_hw), parser()
    begun = time.perf_counter()
    (views,) = ours.see([image])
    seen = time.perf_counter()
    result = ours.network.parse(views)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    np.save(out / "semantic.npy", result.semantic)
    torch.save(views[0].maps.semantic, out / "logits.pt")
    times = {"network": seen - begun, "fusion": ended - seen, "peak": peak}
    print(json.dumps({**times, "segments": len(result.segments)}))


def compare(size_hw: tuple[int, int]) -> None:
    """Both routes, and what ours takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--child",
            folder,
            "--size",
            "x".join(map(str, size_hw)),
        ]
        told = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        ours = np.load(Path(folder) / "semantic.npy")
        logits = torch.load(Path(folder) / "logits.pt", weights_only=True)
    input_hw = tuple(4 * (n - 1) + 1 for n in logits.shape[-2:])
    whole = resize(logits, (input_hw[0], input_hw[1]))[0, :, : size_hw[0], : size_hw[1]]
    best, naive = whole.max(dim=0)
    own = whole.gather(0, torch.from_numpy(ours.astype(np.int64))[None])[0]
    other = naive.numpy() != ours
    print(
        f"{size_hw[0]} x {size_hw[1]}, {CLASSES} classes: peak {told['peak'] / 2**30:.2f} GiB, "
        f"{told['network']:.0f} s of network and {told['fusion']:.1f} s of the rest, "
        f"{told['segments']} segments"
    )
    print(
        f"labels unlike the naive route's: {other.sum()} of {other.size} pixels, where two classes "
        f"are within {float((best - own).max()):.1e} of each other"
    )


def main() -> None:
    """Reads the options."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", default="4000x6000")
    options.add_argument("--child", help=argparse.SUPPRESS)
    asked = options.parse_args()
    height, width = (int(n) for n in asked.size.split("x"))
    if asked.child:
        parse((height, width), Path(asked.child))
        return
    print(machine())
    compare((height, width))


if __name__ == "__main__":
    main()
