"""Claim: any number of images is scored in bounded memory: 5,000 with two workers below 1 GiB.

    python benchmarks/many_images.py [--images 5000] [--workers 2]

Writes a data set of COCO's size (drawn, 640 x 480, 15 segments, 133 classes; each file stands for
many images), runs `atrous score` as a process of its own, and prints its time and its largest
resident memory, all processes together, sampled ten times a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from contest import machine
from drawn_maps import moved, scene
from numpy.typing import NDArray

from atrous.formats import write_panoptic

DRAWN, CLASSES = 50, 133


def annotation(place: int, ids: NDArray[np.int32]) -> dict[str, Any]:
    """One image; its PNG is shared with others."""
    found, areas = np.unique(ids[ids > 0], return_counts=True)
    info = [
        {"id": i, "category_id": 1 + i % CLASSES, "iscrowd": 0, "area": a, "bbox": [0, 0, 9, 9]}
        for i, a in zip(found.tolist(), areas.tolist(), strict=True)
    ]
    return {"image_id": place, "file_name": f"{place % DRAWN}.png", "segments_info": info}


def write(root: Path, images: int) -> None:
    """Truth and prediction."""
    categories = [{"id": i + 1, "name": str(i), "isthing": int(i < 80)} for i in range(CLASSES)]
    maps = [scene((480, 640), segments=15, seed=i) for i in range(DRAWN)]
    for side, change in (("gt", lambda ids: ids), ("pred", moved)):
        for place, ids in enumerate(maps):
            write_panoptic(root / side / f"{place}.png", change(ids))
        notes = [annotation(i, change(maps[i % DRAWN])) for i in range(images)]
        listed = [{"id": i, "file_name": f"{i}.jpg"} for i in range(images)]
        data = {"images": listed, "annotations": notes, "categories": categories}
        (root / f"{side}.json").write_text(json.dumps(data))


def resident_mib(pid: int) -> float:
    """Resident memory of a process and all below it."""
    total, open_pids = 0.0, [pid]
    while open_pids:
        one = open_pids.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            children = Path(f"/proc/{one}/task/{one}/children").read_text()
        except OSError:
            continue
        rss = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        total += int(rss[0]) / 1024 if rss else 0
        open_pids += map(int, children.split())
    return total


def main() -> None:
    """Writes, scores, watches."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--images", type=int, default=5000)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, given.images)
        program = [sys.executable, "-m", "atrous", "score", "--quiet"]
        sides = ["--gt", root / "gt.json", "--pred", root / "pred.json"]
        start, peak = time.perf_counter(), 0.0
        command = [*program, *map(str, sides), "--workers", str(given.workers)]
        scoring = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while scoring.poll() is None:
            peak = max(peak, resident_mib(scoring.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        answer = json.loads(scoring.communicate()[0])
    pace = f"{answer['images'] / seconds:.0f} images/s"
    print(
        f"{answer['images']} images, {given.workers} workers: {seconds:.1f} s, {pace}, all scores"
    )
    print(f"peak resident memory of all processes: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
