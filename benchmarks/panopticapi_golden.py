"""Writes tests/metrics/panopticapi.json: small drawn images with what panopticapi says of them.

    git clone https://github.com/cocodataset/panopticapi
    python benchmarks/panopticapi_golden.py --panopticapi panopticapi

The images have void, crowds (several of one class too), single pixels, classes that are absent,
and some have stuff alone. Tests hold our scores to the numbers without needing panopticapi.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.formats import write_panoptic

GOLDEN = Path(__file__).parents[1] / "tests" / "metrics" / "panopticapi.json"
IMAGES, HEIGHT, WIDTH = 100, 8, 10
CATEGORIES = {i: {"id": i, "isthing": int(i < 4)} for i in range(1, 7)}


def drawn(random: np.random.Generator, *, segments: int) -> NDArray[np.int32]:
    """Rectangles over each other, some pixels single, some void."""
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    for segment in range(1, segments + 1):
        y, x = random.integers(HEIGHT), random.integers(WIDTH)
        ids[y : y + random.integers(1, HEIGHT), x : x + random.integers(1, WIDTH)] = segment
    noise = random.random(ids.shape) < random.choice([0, 0, 0.05, 0.3])
    ids[noise] = random.integers(0, segments + 1, noise.sum())
    return ids


def listed(ids: NDArray[np.int32], random: np.random.Generator, *, truth: bool) -> list[Any]:
    """`segments_info` in no order, of a few classes, with crowds among the truth's things."""
    classes = list(CATEGORIES)[3:] if random.random() < 0.1 else list(CATEGORIES)[:5]
    entries = []
    for segment in random.permutation(np.unique(ids[ids > 0])).tolist():
        category = int(random.choice(classes))
        is_crowd = int(truth and category < 3 and random.random() < 0.4)
        area = int((ids == segment).sum())
        entries.append({"id": segment, "category_id": category, "iscrowd": is_crowd, "area": area})
    return entries


def shaken(truth: NDArray[np.int32], random: np.random.Generator) -> NDArray[np.int32]:
    """The truth moved, cut and partly replaced, so that about half of it matches."""
    moved = np.roll(truth, random.integers(-1, 2, 2), (0, 1))
    other = drawn(random, segments=int(random.integers(1, 7)))
    return np.where(random.random(truth.shape) < random.choice([0, 0, 0.1, 0.5]), other, moved)


def example(number: int) -> dict[str, Any]:
    """One image: both maps and both lists; the prediction often keeps the truth's classes."""
    random = np.random.default_rng(number)
    truth = drawn(random, segments=int(random.integers(1, 9)))
    prediction = shaken(truth, random).astype(np.int32)
    true = listed(truth, random, truth=True)
    classes = {e["id"]: e["category_id"] for e in true}
    predicted = listed(prediction, random, truth=False)
    for entry in predicted:
        if random.random() < 0.95:
            entry["category_id"] = classes.get(entry["id"], entry["category_id"])
    return {
        "truth": {"ids": digits(truth), "segments_info": true},
        "prediction": {"ids": digits(prediction), "segments_info": predicted},
    }


def digits(ids: NDArray[np.int32]) -> list[str]:
    """A row a text: all ids are below ten."""
    return ["".join(map(str, row)) for row in ids.tolist()]


def judged(examples: list[dict[str, Any]], api: Any, folder: Path) -> Any:
    """Panopticapi's counts over some images."""
    annotations = []
    for place, image in enumerate(examples):
        both = []
        for side in ("truth", "prediction"):
            ids = np.array([list(row) for row in image[side]["ids"]]).astype(np.int32)
            write_panoptic(folder / side / f"{place}.png", ids)
            info = [dict(entry) for entry in image[side]["segments_info"]]
            both.append({"image_id": place, "file_name": f"{place}.png", "segments_info": info})
        annotations.append(both)
    with contextlib.redirect_stdout(io.StringIO()):
        return api.pq_compute_single_core(
            0, annotations, str(folder / "truth"), str(folder / "prediction"), CATEGORIES
        )


def main() -> None:
    """Draws, asks, writes."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--panopticapi", required=True, help="folder of a checkout")
    sys.path.insert(0, options.parse_args().panopticapi)
    from panopticapi import evaluation as api

    examples = [example(number) for number in range(IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        for image in examples:
            counts = judged([image], api, Path(folder)).pq_per_cat
            image["counts"] = {
                c: [x.iou, x.tp, x.fp, x.fn] for c, x in sorted(counts.items()) if c in CATEGORIES
            }
        whole = judged(examples, api, Path(folder))
    parts = {"all": None, "things": True, "stuff": False}
    means = {n: whole.pq_average(CATEGORIES, isthing=t)[0] for n, t in parts.items()}
    golden = {"categories": list(CATEGORIES.values()), "images": examples, "means": means}
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    found = [sum(x[i] for e in examples for x in e["counts"].values()) for i in (1, 2, 3)]
    print(f"{GOLDEN}: {IMAGES} images, matches, false alarms, misses {found}, {means}")


if __name__ == "__main__":
    main()
