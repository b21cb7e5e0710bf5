"""The verb `split`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from atrous.cli.app import Data, Quiet, app
from atrous.types import BadInput


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for train.txt and val.txt")],
    split: Annotated[str, typer.Option(help="what to divide")] = "train",
    val: Annotated[float, typer.Option(help="share for validation")] = 0.2,
    quiet: Quiet = False,
) -> int:
    """Divide a split into training and validation lists; copies nothing.

    An image is for validation if the SHA-256 of its file name, as a fraction of 2^256, is below
    --val: it stays there when images are added. Use the lists as --split train@DIR/train.txt.
    """
    from atrous.data.catalogue import open_data
    from atrous.data.split import divide
    from atrous.formats import write_text

    source = open_data(data, split)
    lists = divide((source.name(i) for i in range(len(source))), val=val)
    paths = [out / name for name in ("train.txt", "val.txt")]
    taken = [path for path in paths if path.exists()]
    if taken:
        raise BadInput(f"{taken[0]}: is there already: choose another --out")
    for path, names in zip(paths, lists, strict=True):
        if not names:
            raise BadInput(f"--val {val}: no image of {len(source)} is left for {path.stem}")
    for path, names in zip(paths, lists, strict=True):
        write_text(path, "".join(f"{name}\n" for name in names))
        if not quiet:
            print(f"{path}: {len(names)} images", file=sys.stderr)
    return 0
