"""What people look at after the scores: a table of the images, and pictures of the worst."""

from __future__ import annotations

import csv
import glob
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from atrous.draw import comparison
from atrous.formats import read_image
from atrous.metrics.panoptic import forgiven, matches
from atrous.metrics.scores import Scores
from atrous.score.compare import Both, ImageScore, Job, Rules, both_sides
from atrous.score.sides import Side
from atrous.types import Image


def image_row(scores: Scores) -> dict[str, float]:
    """One image's scores by name, in [0, 1] and counts; nan where nothing can be said."""
    row: dict[str, float] = {}
    if scores.panoptic is not None and scores.covering is not None:
        quality = scores.panoptic.all
        row |= {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq}
        row |= {
            k: sum(getattr(c, k) for c in scores.panoptic.per_class) for k in ("tp", "fp", "fn")
        }
        row["covering"] = scores.covering.paper
    if scores.semantic is not None:
        row |= {"miou": scores.semantic.miou, "pixel_accuracy": scores.semantic.pixel_accuracy}
    if scores.instance is not None:
        row |= {n: getattr(scores.instance, n) for n in ("map_50", "map_70", "map_vol")}
    if scores.masks is not None:
        row["coco_ap"] = scores.masks.ap
    return row


def csv_table(images: Iterable[ImageScore]) -> str:
    """A line an image, its name first; cells are empty where nothing can be said."""
    rows = [{"image": x.pair.name} | image_row(x.scores) for x in images]
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
    return sorted(images, key=lambda x: _rank(x.scores))[:count]


def headline(scores: Scores) -> tuple[str, float]:
    """The score that an image is ranked by: its name and value."""
    row = image_row(scores)
    return next((name, row[name]) for name in ("pq", "miou", "map_50") if name in row)


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
    name, value = headline(image.scores)
    said = "-" if math.isnan(value) else f"{100 * value:.1f}"
    title = f"{image.pair.name}   {name.replace('_', ' ').upper()} {said}"
    fitting = photo if photo is not None and photo.shape[:2] == both.truth.ids.shape else None
    return _drawn(both, truth, rules, title, fitting)


def photo_of(image: ImageScore, folder: Path | None, truth: Side) -> Image | None:
    """The photo of an image, in a folder or below it, by its name or the stem of it.

    Raises: BadInput if a file is there but cannot be read.
    """
    if folder is None:
        return None
    entry = truth.entries[image.pair.truth]
    if entry.photo is not None and (folder / entry.photo).is_file():
        return read_image(folder / entry.photo)
    named = (
        path
        for stem in entry.stems
        for path in sorted(folder.rglob(f"{glob.escape(stem)}*"))
        if path.stem in (stem, f"{stem}_leftImg8bit")
    )
    found = next(named, None)
    return None if found is None else read_image(found)


def _drawn(both: Both, truth: Side, rules: Rules, title: str, photo: Image | None) -> Image:
    return comparison(
        photo,
        both.truth,
        both.prediction,
        labels=truth.labels,
        matches=matches(both.comparison),
        forgiven=forgiven(both.comparison, crowds=rules.crowds),
        title=title,
    )


def _rank(scores: Scores) -> float:
    _, value = headline(scores)
    return math.inf if math.isnan(value) else value
