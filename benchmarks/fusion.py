"""Claims: DeeperLab fusion at 1441x1441 in 45 ms, on the stride-4 grid in 8, at 721x721 in 12.

With 50 instances; less than twice as long with 200 as with 10; a hundredth of what the
post-processing of Panoptic-DeepLab takes.

    python benchmarks/fusion.py [--panoptic-deeplab DIR] [--plain]

One core. A drawn scene of 65 classes, a fourth of it things; the maps are what a trained network
would answer, with noise. Fusion is all from the maps to the panoptic map but the classes of pixels,
which stand in a column of their own: votes, peaks, grouping, assignment, merge. The paper's fusion
takes 145 ms at 1441x1441 and 45 ms at 721x721.

--panoptic-deeplab  a checkout of github.com/bowenc0221/panoptic-deeplab; both get one scene of
                    1025x2049 with 50 instances. Its answer has no classes of pixels to find either
--plain             against the plain version of the tests too (stride-4 grid, 10 instances)
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from contest import contest, machine, on_one_core

from atrous.bench.scene import drawn, seen
from atrous.clock import timed
from atrous.instances.fuse import merge
from atrous.instances.keypoints import KeypointNumbers, locate, stages
from atrous.instances.merging import encoded, merged_keypoints
from atrous.labels import Label, LabelSpace
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.tensors import Grid, View
from atrous.types import Sample
from atrous.views.classes import classify

LABELS = LabelSpace(tuple(Label(f"class {i}", (0, 0, 0), i < 37, i + 1) for i in range(65)))
STAGES = ("classes", "votes", "peaks", "grouping", "assignment", "merge")
CPU = torch.device("cpu")


def system(decode_stride: int) -> DeeperLab:
    """DeeperLab without a network: fusion needs none."""
    numbers = KeypointNumbers(decode_stride=decode_stride, instances=255)
    with torch.device("meta"):
        return DeeperLab(DeeperLabNetwork(), LABELS, fusion=numbers)


def times(parse: Callable[[], Any], runs: int) -> tuple[dict[str, float], list[float]]:
    """Least milliseconds by stage, and milliseconds of fusion in each run."""
    rows, totals = [], []
    for _ in range(runs + 1):
        with timed() as seconds:
            begun = time.perf_counter()
            parse()
            whole = time.perf_counter() - begun
        rows.append(dict(seconds))
        totals.append(1000 * (whole - seconds["classes"]))
    return {s: 1000 * min(row[s] for row in rows[1:]) for s in STAGES}, totals[1:]


def table(runs: int) -> None:
    """Milliseconds by stage for sizes, grids and numbers of instances."""
    print(f"\n| size, grid, things found | fusion: least | median | {' | '.join(STAGES)} |")
    print("|---|" + "---:|" * (len(STAGES) + 2))
    for side in (721, 1441):
        for instances in (10, 50, 200):
            scene = drawn((side, side), instances, LABELS)
            for stride in (1, 4):
                fusing = system(stride)
                view = seen(fusing, scene, device=CPU)
                found = sum(s.is_thing for s in fusing.parse([view]).segments)
                least, totals = times(partial(fusing.parse, [view]), runs)
                cells = " | ".join(f"{least[s]:.1f}" for s in STAGES)
                print(
                    f"| {side}, {stride}, {found} | {min(totals):.1f} | "
                    f"{statistics.median(totals):.1f} | {cells} |",
                    flush=True,
                )


def against_plain() -> None:
    """The plain version of the tests on the same maps."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "instances"))
    import plain

    scene, fusing = drawn((721, 721), 10, LABELS), system(4)
    view = seen(fusing, scene, device=CPU)
    maps = encoded(merged_keypoints([view], fusing.fusion.joined))
    cells, _ = classify([view], Grid.of((721, 721), stride=4), labels=LABELS)
    semantic, confidence = classify([view], Grid.of((721, 721)), labels=LABELS)
    is_thing, at = LABELS.is_thing, np.arange(721) / 4

    def naive() -> Any:
        _, index = plain.decode(
            maps, is_thing[cells], stride=4, map_stride=4, numbers=fusing.fusion
        )
        pixels = plain.to_pixels(index, cells, semantic, is_thing=is_thing, rows=at, columns=at)
        return plain.fuse(semantic, confidence, pixels, labels=LABELS)

    contest(
        "Fusion at 721x721 on the stride-4 grid, 10 instances; ours with the classes of pixels",
        {"ours": lambda: fusing.parse([view]), "plain": naive},
        rounds=3,
    )


def against_panoptic_deeplab(folder: Path) -> None:
    """Its post-processing of centres and offsets, of the same scene."""
    post = folder / "segmentation" / "model" / "post_processing"
    if not post.is_dir():
        sys.exit(f"{folder}: no checkout of panoptic-deeplab: name one, or leave the option out")
    sys.path.insert(0, str(post.parent))
    from post_processing import get_panoptic_segmentation  # type: ignore[import-not-found]

    size = (1025, 2049)
    scene, fusing = drawn(size, 50, LABELS), system(1)
    view = seen(fusing, scene, device=CPU)
    theirs = _theirs(view, scene)
    things = np.flatnonzero(LABELS.is_thing).tolist()
    given = classify([view], Grid.of(size), labels=LABELS)
    contest(
        "Fusion at 1025x2049, 50 instances, classes of pixels given",
        {
            "ours, full resolution": lambda: _fused(fusing, view, given),
            "Panoptic-DeepLab": lambda: get_panoptic_segmentation(
                theirs["semantic"],
                theirs["centre"].clone(),
                theirs["offset"],
                thing_list=things,
                label_divisor=1000,
                stuff_area=2048,
                void_label=-1,
                threshold=0.1,
                nms_kernel=7,
                top_k=200,
            ),
        },
        rounds=3,
    )


def _fused(fusing: DeeperLab, view: View, given: tuple[Any, Any]) -> Any:
    """Our fusion where the classes of pixels and their confidence are there."""
    semantic, confidence = given
    maps = encoded(merged_keypoints([view], fusing.fusion.joined))
    scene = stages.prepare(
        maps, LABELS.is_thing[semantic], stride=1, map_stride=4, numbers=fusing.fusion
    )
    _, cells = stages.decode(scene)
    rows, columns = (np.arange(n, dtype=np.float64) for n in semantic.shape)
    return merge(
        *(cells, semantic, semantic, confidence), labels=LABELS, rows=rows, columns=columns
    )


def _theirs(view: View, scene: Sample) -> dict[str, torch.Tensor]:
    """Its inputs at full resolution: classes, offsets to the centre, and its kind of heatmap.

    That has a bell of 8 pixels around each centre, as it is trained; of our flat disks it finds
    no peak.
    """
    maps, ids = view.maps.keypoints, scene.truth.ids
    assert maps is not None
    things = [r.id for r in scene.truth.regions if LABELS.is_thing[r.class_id]]
    heat = np.zeros(ids.shape, np.float32)
    for y, x in locate(ids, np.array(things))[:, 4]:
        heat[round(y), round(x)] = 1
    heat = cv2.GaussianBlur(heat, (0, 0), 8) * np.float32(2 * np.pi * 8**2)
    offset = torch.nn.functional.interpolate(
        maps.long[:, 8:10], ids.shape, mode="bilinear", align_corners=True
    )
    classes, _ = classify([view], Grid.of((ids.shape[0], ids.shape[1])), labels=LABELS)
    return {
        "semantic": torch.from_numpy(classes.astype(np.int64))[None],
        "centre": torch.from_numpy(heat)[None, None],
        "offset": offset,
    }


def main() -> None:
    """Reads the options."""
    options = argparse.ArgumentParser(description="DeeperLab's fusion on one core")
    options.add_argument("--panoptic-deeplab", type=Path)
    options.add_argument("--plain", action="store_true")
    options.add_argument("--runs", type=int, default=9)
    asked = options.parse_args()
    on_one_core()
    torch.set_num_threads(1)
    print(machine())
    table(asked.runs)
    if asked.plain:
        against_plain()
    if asked.panoptic_deeplab:
        against_panoptic_deeplab(asked.panoptic_deeplab)


if __name__ == "__main__":
    main()
