"""The verb `shard`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Data, Quiet, app
from atrous.types import BadInput

CHUNK = 4
"""Images that a process packs before it answers: their photos wait in memory."""
MEGABYTE = 10**6


@app.command()
def shard(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for the shards")],
    split: Annotated[
        str, typer.Option(help="what to write; of NAME@FILE.txt shards FILE")
    ] = "train",
    size_mb: Annotated[int, typer.Option(min=1, help="megabytes of a shard, about")] = 512,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="processes that read images; as many as are worth it"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Write a data set as tar files, for sets that outgrow a disk; then --data shards=DIR.

    Photos stay as they are, labels become segments (COCO panoptic). The layout is WebDataset's.
    """
    from atrous.data.catalogue import open_data, summary
    from atrous.data.shards.writing import order_of, require_free, write_shards

    source = open_data(data, split)
    name = Path(split.partition("@")[2]).stem or split
    require_free(out, name, source.labels)
    order = order_of(source)
    if not order:
        raise BadInput(f"--data {data}: no images in split {split}: name another --split")
    if not quiet:
        print(summary(data, split, source), file=sys.stderr)
    samples = _samples(source, order, workers=workers, quiet=quiet)
    shards = write_shards(samples, out, split=name, labels=source.labels, size=size_mb * MEGABYTE)
    rows = [{"file": str(s.path), "images": s.images, "bytes": s.size} for s in shards]
    if not quiet:
        print(f"{shards[-1].path}: the last of {len(shards)}", file=sys.stderr)
    answer = {"schema": 1, "data": data, "split": split, "images": len(order), "shards": rows}
    print(json.dumps(answer))
    return 0


def _samples(source: Any, order: list[int], *, workers: int | None, quiet: bool) -> Iterator[Any]:
    from atrous.data.shards.writing import packed
    from atrous.processes import in_order, processes_for
    from atrous.progress import progress

    chunks = [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]
    processes, done = processes_for(workers, len(order)), 0
    with progress(len(order), quiet=quiet) as advance:
        for files in in_order(partial(packed, source), chunks, processes=processes):
            yield from files
            done += len(files)
            advance(done)
