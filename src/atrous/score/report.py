"""What people look at after the scores: a table of the images, and pictures of the worst."""

from __future__ import annotations

import csv
import glob
import io
import math
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from atrous.draw import comparison
from atrous.formats import read_image
from atrous.metrics.panoptic import forgiven, matches
from atrous.score.compare import Both, ImageScore, Job, Rules, both_sides, comparable
from atrous.score.sides import Side
from atrous.types import BadInput, Image


def csv_table(images: Iterable[ImageScore]) -> str:
    """A line an image, its name first; cells are empty where nothing can be said."""
    rows = [{"image": x.pair.name, **x.scores} for x in images]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({k: "" if v != v else v for k, v in row.items()})
    return text.getvalue()


def worst(images: Sequence[ImageScore], count: int) -> list[ImageScore]:
    """The images of the lowest PQ, or of mIoU or mAP^r 0.5 where there is no PQ, in that order.

    Of equal ones the first; images of which nothing can be said come last.
    """
    return sorted(images, key=_rank)[:count]


HEADLINES = {"pq": "PQ", "miou": "mIoU", "map_50": "mAP^r 0.5"}


def headline(image: ImageScore) -> tuple[str, float]:
    """The score that an image is ranked by: its name and value."""
    scores = image.scores
    return next((name, scores[name]) for name in HEADLINES if name in scores)


def picture(
    image: ImageScore, truth: Side, prediction: Side, rules: Rules, *, photo: Image | None
) -> Image | None:
    """Photo, truth, prediction and errors of one image side by side; None if it cannot be drawn.

    Masks that lie over each other are laid flat for it.
    """
    job = Job(truth, prediction, rules, (image.pair,))
    both = both_sides(job, image.pair, lambda _: None)
    if both is None:
        return None
    name, value = headline(image)
    said = "-" if math.isnan(value) else f"{100 * value:.1f}"
    title = f"{image.pair.name}   {HEADLINES[name]} {said}"
    fitting = photo if photo is not None and photo.shape[:2] == both.truth.ids.shape else None
    return _drawn(both, job, title, fitting)


def photo_of(image: ImageScore, folder: Path | None, truth: Side) -> Image | None:
    """The photo of an image, in a folder or below it, by its name or the stem of it.

    None if there is none, or none that can be read: a picture goes without it.
    """
    if folder is None:
        return None
    entry = truth.entries[image.pair.truth]
    if entry.photo is not None and (folder / entry.photo).is_file():
        return _read(folder / entry.photo)
    named = (
        path
        for stem in entry.stems
        for path in sorted(folder.rglob(f"{glob.escape(stem)}*"))
        if path.stem in (stem, f"{stem}_leftImg8bit")
    )
    found = next(named, None)
    return None if found is None else _read(found)


def _read(path: Path) -> Image | None:
    try:
        return read_image(path)
    except BadInput:
        return None


def _drawn(both: Both, job: Job, title: str, photo: Image | None) -> Image:
    found = set(matches(both.comparison))
    lenient = forgiven(both.comparison, crowds=job.rules.crowds)
    if comparable(job.truth, job.prediction, job.rules) == "classes":
        # Pixels count one by one: none of the right class is wrong, and none on void counts.
        true, predicted = both.comparison.true, both.comparison.predicted
        pairs = product(true.values(), predicted.values())
        found = {(t.id, p.id) for t, p in pairs if t.class_id == p.class_id}
        lenient = set(predicted)
    return comparison(
        photo,
        both.truth.labelled,
        both.prediction.labelled,
        labels=job.truth.labels,
        matches=found,
        forgiven=lenient,
        title=title,
    )


def _rank(image: ImageScore) -> float:
    _, value = headline(image)
    return math.inf if math.isnan(value) else value
