"""The verb `eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from atrous.cli.app import DEFAULT_MODEL, Data, Device, Model, Quiet, Settings, app
from atrous.cli.parsing import make_parser
from atrous.types import BadInput


@app.command("eval")
def evaluate(
    data: Data,
    model: Model = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="what to score")] = "val",
    output_stride: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="8 or 16"),
    ] = None,
    settings: Settings = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse and score a data set: JSON on stdout, a table on stderr.

    With --set fusion.instances=0 things are scored without instances, one segment a class.
    """
    from atrous.cli.tables import score_table
    from atrous.data.catalogue import open_data
    from atrous.progress import progress
    from atrous.run.evaluate import evaluate as score

    source = open_data(data, split)
    if len(source) == 0:
        raise BadInput(f"--data {data}: no images in split {split}: name another --split")
    parser = make_parser(model, device, output_stride, settings)
    ours = [(x.name, x.is_thing) for x in parser.labels.labels]
    if ours != [(x.name, x.is_thing) for x in source.labels.labels]:
        raise BadInput(
            f"--data {data}: its {len(source.labels)} classes are not the model's {len(ours)}: "
            "score a model on data with the classes that it was trained on"
        )
    with progress(len(source), quiet=quiet) as advance:
        scores = score(
            lambda image: parser(image).parse,
            source,
            labels=source.labels,
            progress=advance,
        )
    asked = {"model": Path(model).name, "data": data, "split": split, "settings": settings or []}
    answer = {**scores.to_json(), **asked}
    if not quiet:
        score_table(answer, per_class=True)
    print(json.dumps(answer))
    return 0
