"""Drawn scenes with exact labels and no files: things of four shapes lying on textured stuff."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, FloatMap, Labelled, Region, Sample

LABELS = LabelSpace(
    (
        Label("sky", (70, 130, 180), False, 1),
        Label("grass", (84, 150, 60), False, 2),
        Label("sand", (214, 178, 112), False, 3),
        Label("disc", (220, 60, 60), True, 4),
        Label("box", (160, 100, 50), True, 5),
        Label("star", (240, 190, 40), True, 6),
        Label("ring", (90, 80, 220), True, 7),
    )
)
SKY, GRASS, SAND, DISC, BOX, STAR, RING = range(7)
COUNTS = {"train": 2000, "val": 200, "test": 200}
TRIES = 40
"""Places that are tried for a thing before it is left out."""

# Hue around which most things of a class lie; a third of all things have any hue.
HUES = {DISC: 0.98, BOX: 0.08, STAR: 0.14, RING: 0.68}
FINE = 4
"""Steps a pixel is cut into to measure how much of it a thing covers."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """A panoptic data set drawn on the fly: discs, boxes, stars and rings on sky, grass and sand.

    Sample i is a pure function of i and the fields below; splits share no random numbers. There is
    no void, and labels are hard: only the image has smooth edges. Colours of classes overlap, so
    that it takes shape and texture to tell them apart.

    split      "train", "val" or "test"
    size_hw    size of every sample
    count      number of samples; None = 2000 for training, else 200
    instances  fewest and most things in a sample, evenly drawn
    area_px    least and greatest area of a thing as drawn, log-uniform; the greatest is never
               more than a quarter of the image

    A thing may hide part of others and reach beyond the frame, but the visible part of each is
    at least `area_px[0]`: a place where that would fail is drawn again, up to 40 times, then the
    thing is left out. In crowded scenes there may so be fewer things than `instances[0]`.

    Raises: BadInput if a number makes no sense.
    """

    split: str = "train"
    _: KW_ONLY
    size_hw: tuple[int, int] = (257, 257)
    count: int | None = None
    seed: int = 0
    instances: tuple[int, int] = (1, 5)
    area_px: tuple[int, int] = (256, 6400)

    def __post_init__(self) -> None:
        if self.split not in COUNTS:
            raise BadInput(f"shapes has no split {self.split!r}: use one of {', '.join(COUNTS)}")
        if not 0 <= self.instances[0] <= self.instances[1]:
            raise BadInput(f"instances is {self.instances}: give the fewest, then the most")
        if not 16 <= self.area_px[0] <= self.area_px[1]:
            raise BadInput(f"area_px is {self.area_px}: give the least, 16 or more, then the most")
        if math.prod(self.size_hw) < 4 * self.area_px[0]:
            raise BadInput(
                f"things of {self.area_px[0]} pixels are too large for images of"
                f" {self.size_hw[0]}x{self.size_hw[1]}: at most a quarter of the image"
            )

    @property
    def labels(self) -> LabelSpace:
        """Three classes of stuff, four of things."""
        return LABELS

    def __len__(self) -> int:
        return COUNTS[self.split] if self.count is None else self.count

    def name(self, index: int) -> str:
        """The name of sample `index`."""
        return f"shapes-{self.split}-{index:06d}"

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"no sample {index} among {len(self)}: count from 0")
        key = self.seed % 2**64 + (list(COUNTS).index(self.split) << 64)
        rng = np.random.Generator(np.random.Philox(key=key, counter=index << 192))
        scene = _ground(rng, self.size_hw)
        _scatter(rng, self, scene)
        planes = np.clip(scene.canvas, 0, 255, out=scene.canvas).astype(np.uint8)
        image = np.asarray(cv2.merge(list(planes)), dtype=np.uint8)
        return Sample(self.name(index), image, _labelled(scene))


def _labelled(scene: _Scene) -> Labelled:
    """Numbers what is left to see 1, 2, ...: stuff may lie hidden altogether."""
    seen = np.flatnonzero(np.bincount(scene.ids.ravel()))
    table = np.zeros(seen[-1] + 1, dtype=np.int32)
    table[seen] = np.arange(1, len(seen) + 1)
    classes = (scene.classes[old - 1] for old in seen)
    return Labelled(table[scene.ids], tuple(map(Region, range(1, len(seen) + 1), classes)))


def _ground(rng: np.random.Generator, size_hw: tuple[int, int]) -> _Scene:
    """A scene of stuff only: grass and sand, mostly below a sky."""
    broad, small = _waves(rng, size_hw, 4), _waves(rng, size_hw, 20)
    down = np.linspace(0, 1, size_hw[0], dtype=np.float32)[:, None]
    meadow = broad[0] + 0.2 * small[0] > rng.normal(0, 0.5)
    heaven = down + 0.08 * broad[1] + 0.015 * small[1] < rng.uniform(-0.1, 0.55)
    classes = np.full(size_hw, SAND, dtype=np.intp)
    classes[meadow] = GRASS
    classes[heaven] = SKY
    grain = _grain(rng, size_hw)
    blades = _resized(grain[::7], size_hw, cv2.INTER_LINEAR)
    ripples = np.sin(size_hw[0] / rng.uniform(1.5, 4) * down + 3 * broad[2])
    cloud = np.clip(broad[3] + 0.5 * small[2], 0, 2)
    light = np.where(meadow, 1 + 0.7 * blades, 1 + 0.06 * ripples + 0.25 * grain)
    light = np.where(heaven, 0.5 * down + 0.25 * cloud + 0.1 * grain, light)
    canvas = np.empty((3, *size_hw), dtype=np.float32)
    for plane, dark, bright in zip(canvas, *_stuff_colours(rng), strict=True):
        np.multiply((bright - dark)[classes], light, out=plane)
        plane += dark[classes]
    return _Scene(canvas, classes + 1, [SKY, GRASS, SAND], np.zeros(0, dtype=np.int64))


def _waves(rng: np.random.Generator, size_hw: tuple[int, int], cells: int) -> list[FloatMap]:
    """Four maps (h, w) of smooth noise, about `cells` bumps along a side."""
    grids = rng.standard_normal((4, cells, cells), dtype=np.float32)
    fine = (_resized(grid, (4 * cells, 4 * cells), cv2.INTER_CUBIC) for grid in grids)
    return [_resized(grid, size_hw, cv2.INTER_LINEAR) for grid in fine]


def _grain(rng: np.random.Generator, size_hw: tuple[int, int]) -> FloatMap:
    """(h, w) noise without any smoothness, evenly in [-0.5, 0.5]."""
    octets = np.frombuffer(rng.bytes(size_hw[0] * size_hw[1]), dtype=np.uint8).reshape(size_hw)
    return octets * np.float32(1 / 255) - np.float32(0.5)


def _resized(grid: FloatMap | NDArray[np.uint8], size_hw: tuple[int, int], how: int) -> FloatMap:
    return np.asarray(cv2.resize(grid, size_hw[::-1], interpolation=how), dtype=np.float32)


def _stuff_colours(rng: np.random.Generator) -> tuple[FloatMap, FloatMap]:
    """Colours (rgb, class) of sky, grass and sand where their light is 0, and where it is 1."""
    hue = rng.choice([0.57, 0.6, 0.06]) + rng.normal(0, 0.03)
    sky = _colour(hue, rng.uniform(0.15, 0.6), 0.8)
    grass = _colour(rng.normal(0.26, 0.06), rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.7))
    sand = _colour(rng.normal(0.11, 0.04), rng.uniform(0.15, 0.5), rng.uniform(0.5, 0.85))
    black, white = np.zeros(3, dtype=np.float32), np.full(3, 235, dtype=np.float32)
    return np.stack([sky, black, black], axis=1), np.stack([white, grass, sand], axis=1)


def _colour(hue: float, saturation: float, value: float) -> FloatMap:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32) * 255


@dataclass(slots=True)
class _Scene:
    """What has been drawn so far.

    canvas   (3, h, w) RGB in [0, 255]
    ids      (h, w): 1, 2, 3 = the classes of stuff, 4, 5, ... = things in the order of drawing
    classes  of each id, from id 1
    visible  pixels of each thing, from id 4
    """

    canvas: FloatMap
    ids: NDArray[np.intp]
    classes: list[int]
    visible: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A thing by itself, on a square of odd sides (n, n).

    cover   how much of each pixel it covers, in [0, 1]
    paint   (3, n, n) its colours
    shadow  how much of the light it takes from what lies below
    """

    cover: FloatMap
    paint: FloatMap
    shadow: FloatMap


def _scatter(rng: np.random.Generator, shapes: Shapes, scene: _Scene) -> None:
    """Draws things into the scene, the later over the earlier."""
    least, most = shapes.area_px[0], min(shapes.area_px[1], math.prod(shapes.size_hw) // 4)
    for _ in range(rng.integers(shapes.instances[0], shapes.instances[1] + 1)):
        class_id = int(rng.choice([DISC, BOX, STAR, RING]))
        sprite = _sprite(rng, class_id, least * (most / least) ** rng.random())
        centres = rng.integers(0, shapes.size_hw, (TRIES, 2))
        if any(_placed(scene, sprite, centre, least) for centre in centres):
            scene.classes.append(class_id)


def _placed(scene: _Scene, sprite: _Sprite, centre: NDArray[np.int64], floor: int) -> bool:
    """Draws the sprite, unless it or a thing below it would show less than `floor` pixels."""
    reach = len(sprite.cover) // 2
    start, end = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, scene.ids.shape)
    there = slice(start[0], end[0]), slice(start[1], end[1])
    start, end = start - centre + reach, end - centre + reach
    here = slice(start[0], end[0]), slice(start[1], end[1])
    cover, ids, canvas = sprite.cover[here], scene.ids[there], scene.canvas[:, *there]
    solid = cover > 0.5
    hidden = np.bincount(ids[solid], minlength=4 + len(scene.visible))[4:]
    left = scene.visible - hidden
    if solid.sum() < floor or (left < floor).any():
        return False
    scene.visible = np.append(left, solid.sum())
    ids[solid] = len(scene.visible) + 3
    canvas *= 1 - sprite.shadow[here] * (1 - cover)
    canvas += (sprite.paint[:, *here] - canvas) * cover
    return True


def _sprite(rng: np.random.Generator, class_id: int, area: float) -> _Sprite:
    """A thing of about `area` pixels, turned, coloured and shaded by chance."""
    lines = _lines(rng, class_id)
    unit = cv2.contourArea(lines[0]) - sum(cv2.contourArea(line) for line in lines[1:])
    scale, angle = float(np.sqrt(area / unit)), rng.uniform(0, 2 * np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turn: FloatMap = np.array([[cos, sin], [-sin, cos]], dtype=np.float32)
    reach = int(scale * max(np.linalg.norm(line, axis=1).max() for line in lines)) + 8
    cover = _cover([line @ (scale * turn) for line in lines], reach)
    x = np.arange(-reach, reach + 1, dtype=np.float32) / scale
    y = x[:, None]
    shade = _shade(class_id, cos * x + sin * y, cos * y - sin * x, -0.5 * x - 0.6 * y)
    shade += 0.08 * _grain(rng, (len(x), len(x)))
    hue = rng.normal(HUES[class_id], 0.06) if rng.random() < 0.67 else rng.random()
    base = _colour(hue, rng.uniform(0.45, 0.95), rng.uniform(0.5, 0.9))
    shadow = 0.5 * np.roll(cv2.GaussianBlur(cover, (0, 0), 2.5), (3, 3), axis=(0, 1))
    gloss = np.maximum(shade - 1.1, 0) * 255
    return _Sprite(cover, base[:, None, None] * shade + gloss, shadow)


def _cover(lines: Iterable[FloatMap], reach: int) -> FloatMap:
    """Share of each pixel inside the lines (x, y) around the centre of a square, even-odd."""
    side = 2 * reach + 1
    fine = np.zeros((FINE * side, FINE * side), dtype=np.uint8)
    points = [np.round(16 * (FINE * (line + reach + 0.5) - 0.5)).astype(np.int32) for line in lines]
    cv2.fillPoly(fine, points, 255, cv2.LINE_8, 4)
    return _resized(fine, (side, side), cv2.INTER_AREA) / np.float32(255)


def _lines(rng: np.random.Generator, class_id: int) -> list[FloatMap]:
    """Closed lines (n, 2) of a shape about the origin; a second one is a hole."""
    slim = rng.uniform(0.85, 1)
    if class_id == BOX:
        slim = rng.uniform(0.4, 1)
        return [np.array([[-1, -slim], [1, -slim], [1, slim], [-1, slim]], dtype=np.float32)]
    corners = 10 if class_id == STAR else 64
    t = np.arange(corners) * 2 * np.pi / corners
    circle = np.stack([np.cos(t), slim * np.sin(t)], axis=1).astype(np.float32)
    if class_id == STAR:
        circle[1::2] *= rng.uniform(0.42, 0.55)
    return [circle, circle * 0.58] if class_id == RING else [circle]


def _shade(class_id: int, u: FloatMap, v: FloatMap, lit: FloatMap) -> FloatMap:
    """Brightness over a shape's own axes (u, v); `lit` grows towards the light."""
    radius = np.hypot(u, v)
    if class_id == DISC:
        ball = np.sqrt(np.clip(1 - radius**2, 0, 1))
        shine = np.exp(-((lit - 0.33) ** 2 + (radius - 0.42) ** 2) / 0.02)
        shade = 0.5 + 0.5 * ball + 0.3 * lit + 0.4 * shine
    elif class_id == BOX:
        planks = 0.12 * np.sign(np.sin(9 * v)) + 0.06 * np.sin(45 * v + 5 * u)
        shade = 0.9 + planks + 0.1 * lit
    elif class_id == STAR:
        facet = np.floor(np.arctan2(v, u) / (np.pi / 5)) % 2
        shade = 0.78 + 0.34 * facet + 0.15 * lit
    else:
        across = np.clip((radius - 0.79) / 0.21, -1, 1)
        shade = 0.5 + 0.5 * np.sqrt(1 - across**2) + 0.45 * lit * across
    return np.asarray(shade, dtype=np.float32)
