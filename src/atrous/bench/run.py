"""The stages of a parser, timed: reading, resizing, network, fusion, writing."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from atrous.bench.scene import drawn, seen
from atrous.clock import stage, timed
from atrous.formats import read_image
from atrous.formats.files import id_png
from atrous.formats.panoptic import encode_ids
from atrous.labels import LabelSpace
from atrous.labels.space import Label
from atrous.parser import Parser, Way
from atrous.recipes.recipe import Recipe
from atrous.recipes.speeds import reported
from atrous.run.predict import Views
from atrous.tensors import View
from atrous.types import BadInput, Image, Sample

FUSION = ("votes", "peaks", "grouping", "assignment", "decode on the device", "merge")
"""The stages that DeeperLab's paper counts as fusion; FCRN's have the same names."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Milliseconds an image of one stage: the median of the runs, the fastest and the slowest."""

    name: str
    median_ms: float
    least_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What one size took.

    instances  things in the drawn scene, as many as had room; 0 with an image
    paper      what the paper reports of this network at this size; {} if it does not
    """

    model: str
    input_hw: tuple[int, int]
    batch: int
    instances: int
    stages: tuple[Stage, ...]
    images_per_second: float
    fusion_ms: float
    paper: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "model": self.model,
            "input_hw": list(self.input_hw),
            "batch": self.batch,
            "instances": self.instances,
            "stages": {
                s.name: {"median_ms": s.median_ms, "least_ms": s.least_ms, "most_ms": s.most_ms}
                for s in self.stages
            },
            "images_per_second": self.images_per_second,
            "fusion_ms": self.fusion_ms,
            "paper": self.paper,
        }


def untrained(recipe: Recipe, way: Way, *, classes: int, device: torch.device) -> Parser:
    """A parser of a recipe with random weights: it takes the time that a trained one does."""
    if classes < 2:
        raise BadInput(f"--classes {classes}: give 2 or more")
    names = (f"class {i}" for i in range(classes))
    labels = LabelSpace(
        tuple(Label(name, (0, 0, 0), i >= classes // 2, i + 1) for i, name in enumerate(names))
    )
    torch.manual_seed(0)
    system = recipe.build(labels)
    return Parser(system, recipe.input, header=recipe.header(labels), device=device, way=way)


def bench(
    parser: Parser,
    size_hw: tuple[int, int],
    *,
    model: str,
    runs: int = 5,
    batch: int = 1,
    instances: int = 50,
    image: Image | None = None,
) -> Timing:
    """Milliseconds of each stage at one size of the network's input, once warm.

    Network and fusion see a drawn scene: the network its picture, the fusion the maps that a
    trained network would answer to it. With an image both see that, resized to `size_hw`.

    Views are left out: what is timed is one look at an image.

    Raises: BadInput for a size without room for a scene.
    """
    whole = _as_is(parser)
    scene: Sample | None = None
    if image is None:
        scene = drawn(size_hw, instances, parser.labels)
        image = scene.image
    once = _once(whole, _fitted(image, size_hw), scene, batch)
    once()
    rows = [dict(_timed(once, whole.device)) for _ in range(runs)]
    stages = tuple(_stage(name, [row[name] / batch for row in rows]) for name in rows[0])
    input_hw = whole.input_hw(size_hw)
    said = reported(parser.network.network, parser.fusion, input_hw)
    total = sum(s.median_ms for s in stages)
    return Timing(
        model=model,
        input_hw=input_hw,
        batch=batch,
        instances=_things(scene, parser.labels) if scene else 0,
        stages=stages,
        images_per_second=round(1000 / total, 3),
        fusion_ms=round(sum(s.median_ms for s in stages if s.name in FUSION), 3),
        paper={} if said is None else _told(said),
    )


def _things(scene: Sample, labels: LabelSpace) -> int:
    return sum(bool(labels.is_thing[region.class_id]) for region in scene.truth.regions)


def _told(said: Any) -> dict[str, float]:
    return {"cpu_fps": said.cpu_fps, "gpu_fps": said.gpu_fps, "fusion_ms": said.fusion_ms}


def _as_is(parser: Parser) -> Parser:
    """The parser for images that are as large as its input shall be."""
    rule = replace(parser.input, longest_side=0, square=False)
    way = replace(parser.way, views=Views())
    return Parser(parser.network, rule, header=parser.header, device=parser.device, way=way)


def _fitted(image: Image, size_hw: tuple[int, int]) -> Image:
    small = Pillow.fromarray(image).resize(size_hw[::-1], Pillow.Resampling.BILINEAR)
    return np.asarray(small)


def _once(parser: Parser, picture: Image, scene: Sample | None, batch: int) -> Callable[[], None]:
    """One run of all stages over a batch."""
    file = io.BytesIO()
    Pillow.fromarray(picture).save(file, "JPEG", quality=90)
    view = None if scene is None else seen(parser.network, scene, device=parser.device)

    def once() -> None:
        with stage("decode"):
            images = [read_image(io.BytesIO(file.getvalue())) for _ in range(batch)]
        views: Sequence[Sequence[View]] = parser.see(images)
        if view is not None:
            views = [[view]] * batch
        for parse in parser.network.parse_all(views):
            with stage("encode"):
                id_png(encode_ids(parse.panoptic))

    return once


def _timed(once: Callable[[], None], device: torch.device) -> Iterator[tuple[str, float]]:
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with timed(settle) as seconds:
        once()
    yield from seconds.items()


def _stage(name: str, seconds: list[float]) -> Stage:
    ms = [1000 * s for s in seconds]
    return Stage(name, round(statistics.median(ms), 3), round(min(ms), 3), round(max(ms), 3))
