"""Claim: instances come out of FCRN's coarse maps tens of times as fast as plainly.

    python benchmarks/fusion_boxes.py

Scenes are drawn; logits and boxes are those of a network that is right but for smooth noise, at
stride 8. plain: maps upsampled whole, numpy sorting and suppression, every survivor against every
vote; it is asked for instances alone, where ours makes a map of them too. It takes some minutes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from contest import contest, machine, on_one_core
from drawn_maps import scene
from numpy.typing import NDArray

from atrous.instances import boxes as bx
from atrous.instances.boxes.painting import flatten, spread
from atrous.instances.boxes.ranking import rank
from atrous.instances.boxes.sampling import Sampled, every_pixel
from atrous.instances.boxes.transform import Detected, locate
from atrous.types import FloatMap, Labelled, Region

sys.path.append(str(Path(__file__).parents[1] / "tests" / "instances"))
import plain_transform as plain

STRIDE = 8
NUMBERS = bx.BoxNumbers()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a network answers to a drawn image: logits and boxes, sampled at every pixel."""

    scores: Sampled
    prediction: Sampled
    is_thing: NDArray[np.bool_]


def noise(shape: tuple[int, ...], random: np.random.Generator) -> FloatMap:
    """(c, h, w) smooth, of standard deviation 1."""
    rough = random.normal(0, 1, shape).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(x, (0, 0), 1.5) for x in rough])
    return np.asarray(smooth / smooth.std(), np.float32)


def drawn(size_hw: tuple[int, int], *, things: int, classes: int, segments: int) -> Scene:
    """The last classes are those of things."""
    random, is_thing = np.random.default_rng(0), np.arange(classes) >= classes - things
    ids = scene(size_hw, segments=segments, seed=0)
    regions = [Region(0, 0)] + [
        Region(int(i), int(random.integers(1, classes))) for i in np.unique(ids) if i
    ]
    table = np.zeros(ids.max() + 1, np.int64)
    for region in regions:
        table[region.id] = region.class_id
    cells = table[ids[::STRIDE, ::STRIDE]]
    logits = 1.5 * noise((classes, *cells.shape), random)
    np.put_along_axis(logits, cells[None], np.take_along_axis(logits, cells[None], 0) + 10, axis=0)
    truth = bx.encode(Labelled(ids, tuple(regions)), is_thing, stride=STRIDE, numbers=NUMBERS)
    prediction = 0.05 * noise((4 * things, *cells.shape), random)
    for thing in range(things):
        prediction[4 * thing : 4 * thing + 4] += np.where(truth.thing == thing, truth.targets, 0)
    maps = [every_pixel(m, stride=STRIDE, size_hw=size_hw) for m in (logits, prediction)]
    return Scene(maps[0], maps[1], is_thing)


def located(shown: Scene, numbers: bx.BoxNumbers) -> Detected:
    """Instances and classes, by the package."""
    return locate(
        shown.scores,
        shown.prediction,
        is_thing=shown.is_thing,
        stride=STRIDE,
        numbers=numbers,
        softmax=True,
    )


def with_ours(shown: Scene, numbers: bx.BoxNumbers) -> NDArray[np.int32]:
    """(h, w) index of the instance of each pixel."""
    found = located(shown, numbers)
    return spread(flatten(found.instances, found.classes), found.classes)


def plainly(shown: Scene, numbers: bx.BoxNumbers) -> list[plain.Found]:
    """The instances, by numpy alone."""
    found, _ = plain.detect(
        shown.scores,
        shown.prediction,
        is_thing=shown.is_thing,
        stride=STRIDE,
        numbers=numbers,
        soft=True,
    )
    return found


def agree(shown: Scene, numbers: bx.BoxNumbers) -> None:
    """Both say the same, to the last bit."""
    found = located(shown, numbers).instances
    seen = [(x.class_id, x.score, tuple(x.cells.tolist()), x.box) for x in found]
    assert seen == plainly(shown, numbers)


def compete(title: str, shown: Scene, numbers: bx.BoxNumbers, *, plain_too: bool = True) -> None:
    """Both, after a check that they say the same, and ours stage by stage."""
    found = located(shown, numbers)
    index = flatten(found.instances, found.classes)
    contenders = {
        "atrous": lambda: with_ours(shown, numbers),
        "of it, classes": lambda: rank(
            shown.scores, is_thing=shown.is_thing, top=numbers.top, softmax=True
        ),
        "of it, classes and instances": lambda: located(shown, numbers),
        "of it, painting": lambda: flatten(found.instances, found.classes),
        "of it, spreading": lambda: spread(index, found.classes),
    }
    if plain_too:
        agree(shown, numbers)
        contenders["plain, instances alone"] = lambda: plainly(shown, numbers)
    contest(f"{title}, {len(found.instances)} instances", contenders, rounds=2)


def main() -> None:
    """A photo as in VOC, a street as in Cityscapes, and this with limits that do not bind."""
    on_one_core()
    print(machine())
    photo = drawn((375, 500), things=20, classes=21, segments=12)
    street = drawn((1024, 2048), things=8, classes=19, segments=80)
    many = replace(NUMBERS, seeds=5000, instances=5000)
    compete("500 x 375, 21 classes", photo, NUMBERS)
    compete("2048 x 1024, 19 classes, up to 5000", street, many, plain_too=False)
    compete("2048 x 1024, 19 classes", street, NUMBERS)


if __name__ == "__main__":
    main()
