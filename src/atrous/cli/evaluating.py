"""The verb `eval`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from atrous.cli.app import DEFAULT_MODEL, Data, Device, Model, Quiet, Settings, app
from atrous.cli.seeing import (
    Compile,
    Flip,
    LeastArea,
    OutputStride,
    Precision,
    RejectBelow,
    Scales,
    Tile,
    Window,
    make_parser,
)
from atrous.types import BadInput


@app.command("eval")
def evaluate(
    data: Data,
    model: Model = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="what to score")] = "val",
    output_stride: OutputStride = None,
    scales: Scales = None,
    flip: Flip = None,
    window: Window = None,
    tile: Tile = None,
    reject_below: RejectBelow = None,
    least_area: LeastArea = None,
    settings: Settings = None,
    precision: Precision = "auto",
    compile: Compile = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse and score a data set: JSON on stdout, a table on stderr.

    With --set fusion.instances=0 things are scored without instances, one segment a class.
    """
    from atrous.cli.tables import score_table
    from atrous.data.catalogue import open_data, summary
    from atrous.progress import progress
    from atrous.run.evaluate import evaluate as score

    source = open_data(data, split)
    if len(source) == 0:
        raise BadInput(f"--data {data}: no images in split {split}: name another --split")
    seen: dict[str, Any] = {"scales": scales, "flip": flip, "window": window, "tile": tile}
    seen |= {"precision": precision, "compile": compile}
    seen |= {"reject_below": reject_below, "least_area": least_area}
    parser = make_parser(model, device, output_stride, settings, **seen)
    _require_same_classes(parser, source.labels, data)
    if not quiet:
        print(summary(data, split, source), file=sys.stderr)
    with progress(len(source), quiet=quiet) as advance:
        scores = score(
            lambda image: parser(image).parse,
            source,
            labels=source.labels,
            progress=advance,
        )
    asked: dict[str, Any] = {"model": Path(model).name, "data": data, "split": split}
    asked |= {"settings": settings or [], "views": asdict(parser.way.views)}
    asked |= {"reject_below": parser.way.reject_below, "least_area": parser.way.least_area}
    answer = {**scores.to_json(), **asked}
    if not quiet:
        score_table(answer, per_class=True)
    print(json.dumps(answer))
    return 0


def _require_same_classes(parser: Any, theirs: Any, data: str) -> None:
    """Raises BadInput if a model cannot be scored on these classes.

    Things and stuff are one to a model that finds no instances: it is scored on class maps, all of
    whose classes are stuff, as on segments.
    """
    ours = parser.labels
    pairs = list(zip(ours.labels, theirs.labels, strict=False))
    mend = "score a model on data with the classes that it was trained on"
    if len(ours) != len(theirs) or any(mine.name != other.name for mine, other in pairs):
        what = f"its {len(theirs)} classes are not the model's {len(ours)}"
        raise BadInput(f"--data {data}: {what}: {mend}")
    changed = [other for mine, other in pairs if mine.is_thing != other.is_thing]
    if parser.fusion is not None and changed:
        kind = "things" if changed[0].is_thing else "stuff"
        what = f"its {changed[0].name} are {kind}, which they are not to the model"
        raise BadInput(f"--data {data}: {what}, whose classes must count alike: {mend}")
