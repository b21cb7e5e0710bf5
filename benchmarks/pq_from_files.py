"""Claim: PQ from label PNGs is several times as fast as panopticapi on one thread.

    git clone https://github.com/cocodataset/panopticapi
    python benchmarks/pq_from_files.py --panopticapi panopticapi
    python benchmarks/pq_from_files.py --panopticapi panopticapi --gt gt.json --gt-dir gt

Reads PNG and JSON, checks that they agree, scores. With --gt also on files of your own, whose
prediction is the truth moved by some pixels. The scores of both are compared to the last digit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from contest import contest, machine, on_one_core
from drawn_maps import CLASSES, moved, scene
from numpy.typing import NDArray
from PIL import Image

from atrous.formats import encode_ids, read_ids, read_index
from atrous.metrics.panoptic import PanopticQuality
from atrous.score import Place, Rules, open_prediction, open_truth
from atrous.score.compare import Job, both_sides, keep_freed_memory, scored
from atrous.score.pairing import pairs
from atrous.types import refuse

IMAGES = 8


def written(folder: Path, maps: list[NDArray[np.int32]], classes: dict[int, int]) -> Path:
    """A COCO panoptic JSON and its PNGs, written by Pillow as panopticapi's users do."""
    folder.mkdir()
    notes: list[dict[str, Any]] = []
    for place, ids in enumerate(maps):
        Image.fromarray(encode_ids(ids)).save(folder / f"{place}.png")
        found, areas = np.unique(ids[ids > 0], return_counts=True)
        info = [
            {"id": i, "category_id": classes.get(i, i % CLASSES), "iscrowd": 0, "area": a}
            for i, a in zip(found.tolist(), areas.tolist(), strict=True)
        ]
        notes.append({"image_id": place, "file_name": f"{place}.png", "segments_info": info})
    names = sorted({e["category_id"] for note in notes for e in note["segments_info"]})
    data = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(len(maps))],
        "annotations": notes,
        "categories": [{"id": i, "name": str(i), "isthing": 1} for i in names],
    }
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(data))
    return path


def compete(title: str, maps: list[NDArray[np.int32]], classes: dict[int, int], api: Any) -> None:
    """Both on the same files, after a check that they say the same."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        paths = (
            written(root / "gt", maps, classes),
            written(root / "pred", [*map(moved, maps)], classes),
        )
        truth = open_truth(Place(paths[0]))
        prediction = open_prediction(Place(paths[1]), truth)
        job = Job(truth, prediction, Rules(), pairs(truth.entries, prediction.entries, refuse))
        notes = [json.loads(path.read_text())["annotations"] for path in paths]
        categories = {x.file_id: {"id": x.file_id, "isthing": 1} for x in truth.labels.labels}

        def ours() -> PanopticQuality:
            keep_freed_memory()
            quality = PanopticQuality(truth.labels)
            for pair in job.pairs:
                both = both_sides(job, pair, refuse)
                assert both is not None
                quality.add(both.comparison)
            return quality

        def theirs() -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                return api.pq_compute_single_core(
                    0, list(zip(*notes, strict=True)), root / "gt", root / "pred", categories
                )

        wanted, _ = theirs().pq_average(categories, isthing=None)
        assert abs(ours().compute().all.pq - wanted["pq"]) < 1e-12
        contenders = {
            "atrous, PQ": ours,
            "atrous, all of its scores": lambda: scored(job),
            "panopticapi": theirs,
        }
        contest(f"PQ from files, {title}, one image", contenders, units=len(maps))


def main() -> None:
    """Drawn scenes of two sizes, then files of your own."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--panopticapi", required=True, help="folder of a checkout")
    options.add_argument("--gt", type=Path, help="a COCO panoptic JSON")
    options.add_argument("--gt-dir", type=Path, help="its PNGs")
    given = options.parse_args()
    sys.path.insert(0, given.panopticapi)
    from panopticapi import evaluation as api

    on_one_core()
    print(machine())
    for size, segments in (((480, 640), 15), ((480, 640), 60), ((1024, 2048), 60)):
        maps = [scene(size, segments=segments, seed=i) for i in range(IMAGES)]
        compete(f"{size[1]} x {size[0]}, {segments} segments drawn", maps, {}, api)
    if given.gt:
        records = read_index(given.gt).records[:IMAGES]
        classes = {r[0]: r[1] for record in records for r in record.segments.tolist()}
        read = [read_ids(given.gt_dir / record.png) for record in records]
        maps = [*islice(cycle(read), IMAGES)]
        compete(f"{len(read)} files of {given.gt.name}", maps, classes, api)


if __name__ == "__main__":
    main()
