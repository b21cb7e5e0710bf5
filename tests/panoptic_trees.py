"""Small COCO panoptic trees on disk: drawn truths, and predictions that are partly wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.formats import write_panoptic

CATEGORIES = [
    {"id": 3, "name": "cat", "isthing": 1},
    {"id": 5, "name": "dog", "isthing": 1},
    {"id": 9, "name": "sky", "isthing": 0},
]
SIZE = (20, 30)


def drawn(seed: int) -> NDArray[np.int32]:
    """Four rectangles over a sky of id 40, some pixels void."""
    random = np.random.default_rng(seed)
    ids = np.full(SIZE, 40, np.int32)
    for segment in (7, 300, 70000, 11):
        y, x = random.integers(0, 14), random.integers(0, 22)
        ids[y : y + 6, x : x + 8] = segment
    ids[-2:] = 0
    return ids


def annotation(place: int, ids: NDArray[np.int32], *, scores: bool = False) -> dict[str, Any]:
    categories = {40: 9, 7: 3, 300: 5, 70000: 3, 11: 5}
    info = [
        {
            "id": i,
            "category_id": categories[i],
            "area": int((ids == i).sum()),
            "iscrowd": int(i == 11 and not scores and place % 2 == 0),
        }
        | ({"score": round(0.9 - i / 100000, 3)} if scores else {})
        for i in np.unique(ids).tolist()
        if i
    ]
    return {"image_id": place, "file_name": f"{place}.png", "segments_info": info}


def write_side(root: Path, maps: list[NDArray[np.int32]], *, scores: bool = False) -> Path:
    """A JSON, and its PNGs in the folder of the same name."""
    for place, ids in enumerate(maps):
        write_panoptic(root.with_suffix("") / f"{place}.png", ids)
    data = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(len(maps))],
        "annotations": [annotation(i, ids, scores=scores) for i, ids in enumerate(maps)],
        "categories": CATEGORIES,
    }
    return rewrite(root.with_suffix(".json"), data)


def rewrite(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def two_sides(root: Path, images: int = 3) -> tuple[Path, Path]:
    """Truth, and a prediction that is moved by two pixels."""
    truth = [drawn(i) for i in range(images)]
    moved = [np.roll(ids, 2, axis=1) for ids in truth]
    return write_side(root / "gt", truth), write_side(root / "pred", moved, scores=True)
