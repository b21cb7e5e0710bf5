"""What COCO calls a `segmentation`, compressed runs, plain runs or polygons, and our runs.

A file's masks are kept small, as `Stored`, and become runs one image at a time.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.formats.outlines import MAX_COORDINATE
from atrous.formats.rle import check_runs, runs_to_text, text_to_runs
from atrous.types import BadInput, Runs

Polygons = tuple[NDArray[np.float64], ...]
"""The outlines of one mask, each x, y, x, y, ... in pixels."""
Stored = bytes | Polygons
"""A mask as an opened file holds it: compressed text, or polygons."""

_MEND = "give runs {size, counts} or polygons"


def stored_text(segmentation: object, size_hw: tuple[int, int]) -> bytes:
    """The compressed text of a `segmentation` of runs; whether they sum up shows in `runs_of`.

    Raises: BadInput if it is none, of another size than its image, or holds damaged polygons.
    """
    if not segmentation:
        raise BadInput(f"no segmentation: {_MEND}")
    if isinstance(segmentation, dict):
        return _text(segmentation, size_hw)
    if not isinstance(segmentation, list):
        raise BadInput(f"segmentation is a {type(segmentation).__name__}: {_MEND}")
    for outline in segmentation:
        require_outline(outline)
    raise BadInput(f"polygons are no runs: {_MEND}")


def runs_of(mask: Stored, size_hw: tuple[int, int]) -> Runs:
    """The runs of a stored mask; polygons are filled by COCO's own rule.

    Raises: BadInput if a text is damaged or runs do not sum up to the pixels of the size.
    """
    if isinstance(mask, tuple):
        return _filled(mask, size_hw)
    runs = text_to_runs(mask)
    check_runs(runs, size_hw)
    return runs


def segmentation_json(runs: Runs, size_hw: tuple[int, int]) -> dict[str, object]:
    """Runs as JSON holds them, compressed."""
    return {"size": [int(size_hw[0]), int(size_hw[1])], "counts": runs_to_text(runs)}


def require_coco(source: object) -> None:
    """Raises BadInput, which names `source`, if pycocotools is not there to fill polygons."""
    if find_spec("pycocotools") is None:
        mend = "pip install 'atrous[coco]', or give runs"
        raise BadInput(f"{source}: masks are polygons, which need pycocotools: {mend}")


def require_outline(outline: object) -> None:
    """Raises BadInput if this is no x, y, x, y, ... of three corners or more in pixels."""
    if not isinstance(outline, list) or not all(type(v) in (int, float) for v in outline):
        raise BadInput("a polygon is no list of numbers: give [x, y, x, y, ...] for each outline")
    if len(outline) < 6 or len(outline) % 2:
        what = f"a polygon has {len(outline)} numbers"
        raise BadInput(f"{what}: give x and y of three corners at least")
    worst = next((v for v in outline if not abs(v) <= MAX_COORDINATE), None)  # nan is not, either
    if worst is not None:
        what = f"a polygon's corner lies at {worst}"
        raise BadInput(f"{what}: give pixels, up to {MAX_COORDINATE}")


def _text(segmentation: dict[str, Any], size_hw: tuple[int, int]) -> bytes:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(size_hw):
        wanted = f"the image is {list(size_hw)} (height, width)"
        raise BadInput(f"the mask's size is {size} but {wanted}: encode it again")
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    if isinstance(counts, list) and all(type(n) is int and 0 <= n < 2**32 for n in counts):
        return runs_to_text(np.array(counts, np.uint32)).encode()
    raise BadInput("counts are neither text nor a list of whole numbers: encode the mask again")


def _filled(polygons: Polygons, size_hw: tuple[int, int]) -> Runs:
    from pycocotools import mask

    parts = mask.frPyObjects([outline.tolist() for outline in polygons], *size_hw)
    return text_to_runs(mask.merge(parts)["counts"])
