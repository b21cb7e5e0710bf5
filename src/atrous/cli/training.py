"""The verb `train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Data, Device, Quiet, Settings, app


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="such as deeperlab-light")],
    data: Data,
    out: Annotated[Path, typer.Option(help="folder of the run")],
    settings: Settings = None,
    init: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="a model or public checkpoint to start from"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last state")] = False,
    split: Annotated[str, typer.Option(help="what to train on")] = "train",
    val_split: Annotated[str, typer.Option(help="what train.eval_every scores")] = "val",
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="same as --set seed=N"),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes that read images")] = 1,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Train a recipe on a data set; leaves a run folder that can be resumed."""
    from atrous.parser import bundled, find_model, pick_device
    from atrous.recipes import find
    from atrous.recipes.recipe import override
    from atrous.training import train as run

    wanted = (*(settings or ()), *(() if seed is None else (f"seed={seed}",)))
    chosen, place = override(find(recipe), wanted), pick_device(device).type
    start = find_model(init) if init in bundled() else init
    names = (split, val_split) if chosen.train.eval_every else (split,)
    sources = _opened(data, names, quiet=quiet)
    outcome = run(
        chosen,
        data=sources[0],
        out=out,
        val=sources[1] if len(sources) > 1 else None,
        init=start,
        resume=resume,
        device=place,
        workers=workers,
        quiet=quiet,
    )
    if outcome.is_stopped:
        print(f"stopped after step {outcome.step}; go on with:", file=sys.stderr)
        print(f"  {_resume_command()}", file=sys.stderr)
        return 3
    if not quiet:
        print(f"trained {outcome.step} steps: {out / 'last.safetensors'}", file=sys.stderr)
    return 0


def _opened(data: str, names: tuple[str, ...], *, quiet: bool) -> list[Any]:
    """The splits of a data set, and a line on each."""
    from atrous.data.catalogue import open_data, summary

    sources = [open_data(data, name) for name in names]
    if not quiet:
        for name, source in zip(names, sources, strict=True):
            print(summary(data, name, source), file=sys.stderr)
    return sources


def _resume_command() -> str:
    words = ["atrous", *sys.argv[1:]]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])
