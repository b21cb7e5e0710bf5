"""Claims: 60 pairs a second and core from files to crops; augmentation 4x torchvision's v2.

    python benchmarks/loading.py [--data SPEC=PATH]

Photos of 2048 x 1024 as JPEG, class maps as PNG; scale from 0.5 to 2 in steps of 0.25, a crop of
769, mirrored or not: DeepLabv3's protocol for Cityscapes. Without --data the pairs are drawn.
torchvision gets decoded pairs, as uint8, and does the same to them, in its own order.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import count as count_from
from pathlib import Path

import cv2
import numpy as np
from contest import contest, machine, on_one_core, torchvision
from drawn_maps import scene
from PIL import Image

from atrous.data.augment import Augment, augment, generator
from atrous.data.catalogue import open_data
from atrous.data.source import Opened, Source, opened
from atrous.data.transforms import InputRule
from atrous.formats import read_photo, write_json
from atrous.run.batches import keep_memory
from atrous.types import Sample

SETTINGS = Augment(crop=769)
RULE = InputRule(longest_side=0)
COUNT, SIZE = 6, (1024, 2048)
CLASSES = 19


def draw(root: Path, quality: int) -> None:
    """Pairs in the form of the data set `folder`: textured polygons, 19 classes.

    As PNG a photo has 2 MB, as many as one of Cityscapes.
    """
    rng = np.random.default_rng(0)
    for name in ("images/train", "labels/train"):
        (root / name).mkdir(parents=True)
    colours = rng.integers(40, 216, (CLASSES, 3))
    for place in range(COUNT):
        classes = scene(SIZE, segments=60, seed=place) % CLASSES
        grain = cv2.GaussianBlur(rng.normal(0, 60, (*SIZE, 1)), (0, 0), 1.2)[..., None]
        shade = cv2.resize(rng.normal(0, 25, (32, 64)), SIZE[::-1])[..., None]
        pixels = np.clip(colours[classes] + grain + shade, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"images/train/{place}.jpg", quality=quality)
        Image.fromarray(classes.astype(np.uint8)).save(root / f"labels/train/{place}.png")
    rows = [{"id": i, "name": f"class {i}"} for i in range(CLASSES)]
    write_json(root / "classes.json", {"classes": rows})


def cropped(found: Opened, step: int) -> Sample:
    """A crop by our route."""
    return augment(found, RULE, SETTINGS, generator(0, step=step, slot=0))


def from_files(source: Source) -> None:
    """All of the way, and its parts."""
    count, steps = len(source), count_from(0)

    def each(work: Callable[[int], object]) -> Callable[[], object]:
        return lambda: [work(i) is None for i in range(count)]  # one pair in memory at a time

    photos = [source.opened(i) for i in range(count)]  # type: ignore[attr-defined]
    crops = [cropped(found, i) for i, found in enumerate(photos)]
    contest(
        f"A pair from files to a crop, {count} pairs",
        {
            "files to crop": each(lambda i: cropped(opened(source, i), next(steps))),
            "the same, and normalised": each(
                lambda i: RULE.normalise(cropped(opened(source, i), next(steps)).image)
            ),
            "labels alone": each(lambda i: source.truth(i)),  # type: ignore[attr-defined]
            "photo alone, whole": each(lambda i: photos[i].pixels(1.0)),
            "photo alone, halved": each(lambda i: photos[i].pixels(0.5)),
            "normalising alone": each(lambda i: RULE.normalise(crops[i].image)),
        },
        units=count,
    )


def against_torchvision(source: Source) -> None:
    """Decoded pairs to crops, theirs and ours."""
    import torch

    torchvision()
    tv_tensors, v2 = map(import_module, ("torchvision.tv_tensors", "torchvision.transforms.v2"))

    torch.set_num_threads(1)
    samples = [source[i] for i in range(len(source))]
    theirs = v2.Compose(
        [
            v2.ScaleJitter(target_size=SIZE, scale_range=(0.5, 2.0), antialias=False),
            v2.RandomCrop(769, pad_if_needed=True, fill={tv_tensors.Image: 128, "others": 0}),
            v2.RandomHorizontalFlip(),
        ]
    )
    pairs = [
        (
            tv_tensors.Image(torch.from_numpy(s.image).permute(2, 0, 1).contiguous()),
            tv_tensors.Mask(torch.from_numpy(s.truth.ids.astype(np.uint8))),
        )
        for s in samples
    ]
    ours = [Opened(s.name, lambda _, s=s: s.image, s.truth) for s in samples]  # type: ignore[misc]
    steps = count_from(0)
    contest(
        "Scale, crop and mirror of a decoded pair",
        {
            "atrous": lambda: [cropped(found, next(steps)) is None for found in ours],
            "torchvision v2": lambda: [theirs(*pair) is None for pair in pairs],
        },
        units=len(samples),
    )


def main() -> None:
    """Both claims, on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="SPEC=PATH of pairs to read instead of drawn ones")
    parser.add_argument("--split", default="train")
    given = parser.parse_args()
    on_one_core()
    cv2.setNumThreads(1)
    keep_memory()  # as workers do
    print(machine())
    if given.data:
        compete(given.data, given.split)
        return
    for quality in (75, 90):
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), quality)
            compete(f"folder={folder}", "train")


def compete(spec: str, split: str) -> None:
    """Both claims on one data set."""
    source = open_data(spec, split)
    size = len(read_photo(source.entries[0].image).data) // 1024  # type: ignore[attr-defined]
    print(f"\nThe first photo has {size} KiB.")
    from_files(source)
    against_torchvision(source)


if __name__ == "__main__":
    main()
