"""The verb `score`: labels against labels, no model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Quiet, app
from atrous.types import BadInput

Folder = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="where its PNGs are; of voc the objects, of ade20k the instances"),
]
Format = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="coco-panoptic, coco-instances, voc, cityscapes, cityscapes-train-ids, "
        "ade20k, mapillary, kitti or classes; recognised where it can be"
    ),
]


@app.command("score")
def score_files(
    gt: Annotated[Path, typer.Option(help="the truth: a JSON file or a folder of label PNGs")],
    pred: Annotated[Path, typer.Option(help="the prediction, likewise; what parse wrote too")],
    gt_dir: Folder = None,
    pred_dir: Folder = None,
    gt_format: Format = None,
    pred_format: Format = None,
    classes: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="voc, cityscapes, ade20k, camvid ... or a JSON that lists the classes"),
    ] = None,
    crowds: Annotated[str, typer.Option(help="panopticapi or tensorflow")] = "panopticapi",
    flat: Annotated[
        bool, typer.Option("--flat", help="lay masks in one map, and score them as segments")
    ] = False,
    coco_ap: Annotated[
        bool, typer.Option("--coco-ap", help="COCO's AP of masks too, by pycocotools")
    ] = False,
    per_class: Annotated[bool, typer.Option("--per-class", help="a row a class")] = False,
    per_image: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="CSV of each image's scores"),
    ] = None,
    worst: Annotated[int, typer.Option(help="pictures of so many images, the worst")] = 0,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="folder for the pictures"),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="folder of the photos, for the pictures"),
    ] = None,
    only: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--list", metavar="FILE", help="score these images alone, a name a line"),
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient/--strict", help="step over faults and count them")
    ] = False,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="processes; as many as there are cores, if it is worth it"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Score labels against labels, no model: JSON on stdout, a table on stderr."""
    from atrous.score import Place, Rules

    _check(crowds=crowds, worst=worst, workers=workers, classes=classes)
    _check_places(worst=worst, out=out, images=images, per_image=per_image)
    places = Place(gt, gt_dir, gt_format, classes), Place(pred, pred_dir, pred_format, classes)
    rules = Rules(
        crowds="tensorflow" if crowds == "tensorflow" else "panopticapi",
        flat=flat,
        coco=coco_ap,
        lenient=lenient,
        per_image=per_image is not None or worst > 0,
    )
    truth, prediction, outcome = _scored(places, rules, only, workers=workers, quiet=quiet)
    answer = outcome.scores.to_json() | {"skipped": outcome.skipped.to_json()}
    if "panoptic" in answer:
        answer["crowds"] = crowds
    print(json.dumps(answer), flush=True)
    if not quiet:
        _tell(answer, outcome.scores.unranked, per_class=per_class)
    _write(outcome, truth, prediction, rules, per_image, worst, out=out, images=images)
    return 0


def _scored(
    places: Any, rules: Any, only: Path | None, *, workers: int | None, quiet: bool
) -> tuple[Any, Any, Any]:
    """Both sides, and what came of scoring them."""
    from atrous.progress import progress
    from atrous.score import open_prediction, open_truth, score
    from atrous.score.faults import Tally
    from atrous.score.masks import MaskListSide
    from atrous.score.sides import FileSide
    from atrous.types import refuse

    own = (FileSide, MaskListSide)
    skipped = Tally()
    report = skipped if rules.lenient else refuse
    names = _names(only) if only else None
    truth = open_truth(places[0], flat=rules.flat, report=report)
    prediction = open_prediction(places[1], truth, report=report)
    if places[0].classes and not any(isinstance(x, own) for x in (truth, prediction)):
        raise BadInput(f"--classes {places[0].classes}: COCO's files list their own: leave it out")
    total = len(truth.entries) if names is None else len(names)
    with progress(total, quiet=quiet) as advance:
        outcome = score(
            truth,
            prediction,
            rules,
            workers=workers,
            skipped=skipped,
            only=names,
            progress=advance,
        )
    return truth, prediction, outcome


def _names(path: Path) -> list[str]:
    """A name a line."""
    from atrous.formats import contents

    lines = contents(path)[1].decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _tell(answer: dict[str, Any], unranked: int, *, per_class: bool) -> None:
    """The table, and what was left out."""
    from atrous.cli.tables import score_table

    score_table(answer, per_class=per_class)
    if unranked:
        what = f"{unranked} predicted things have no score, others have one"
        print(f"atrous: no mAP^r: {what}", file=sys.stderr)
    for row in answer["skipped"]:
        example = " ".join(str(row["examples"][0]).split())[:500]
        print(f"atrous: skipped {row['count']} {row['what']}: {example}", file=sys.stderr)


def _write(
    outcome: Any,
    truth: Any,
    prediction: Any,
    rules: Any,
    per_image: Path | None,
    worst: int,
    *,
    out: Path | None,
    images: Path | None,
) -> None:
    from atrous.formats import write_image, write_text
    from atrous.score import report

    if per_image is not None:
        write_text(per_image, report.csv_table(outcome.images))
    for place, image in enumerate(report.worst(outcome.images, worst), 1):
        photo = report.photo_of(image, images, truth)
        picture = report.picture(image, truth, prediction, rules, photo=photo)
        if picture is not None and out is not None:
            write_image(out / f"{place:03}_{Path(image.pair.name).stem}.png", picture)


def _check(*, crowds: str, worst: int, workers: int | None, classes: str | None) -> None:
    if crowds not in ("panopticapi", "tensorflow"):
        raise BadInput(f"--crowds {crowds}: choose panopticapi or tensorflow")
    if worst < 0 or (workers is not None and workers < 0):
        raise BadInput("--worst and --workers count: give 0 or more")
    if classes is not None:
        from atrous.score.classes import classes_of

        classes_of(classes)


def _check_places(
    *, worst: int, out: Path | None, images: Path | None, per_image: Path | None
) -> None:
    """Before the work: what is to be written must have a place."""
    if worst and out is None:
        raise BadInput(f"--worst {worst}: say where to put the pictures, with --out DIR")
    if not worst and (out or images):
        raise BadInput("--out and --images are for pictures: say of how many, with --worst N")
    if images is not None and not images.is_dir():
        raise BadInput(f"--images {images}: no such folder: give the folder of the photos")
    if out is not None and out.exists() and not out.is_dir():
        raise BadInput(f"--out {out}: is a file: give a folder")
    if per_image is not None and per_image.is_dir():
        raise BadInput(f"--per-image {per_image}: is a folder: name a file in it")
