"""The verb `train`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Data, Device, Quiet, Settings, app, is_first
from atrous.types import BadInput


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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="two steps: the memory and time it takes; no files")
    ] = False,
    auto_batch: Annotated[
        bool, typer.Option("--auto-batch", help="cut the batch into parts that fit in memory")
    ] = False,
    split: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="what to train on; once, or once for each stage", show_default="train"),
    ] = None,
    val_split: Annotated[str, typer.Option(help="what train.eval_every scores")] = "val",
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="same as --set seed=N"),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes that read images")] = 1,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Train a recipe on a data set; leaves a run folder that can be resumed.

    Under torchrun --nproc-per-node=N -m atrous train ... it uses N processes or GPUs.
    """
    _quieten_torch()
    from atrous.parser import bundled, find_model
    from atrous.processes import stopped_by_signals
    from atrous.recipes import find
    from atrous.recipes.recipe import override
    from atrous.training import fitted
    from atrous.training import train as run
    from atrous.training.record import is_restarted

    wanted = (*(settings or ()), *(() if seed is None else (f"seed={seed}",)))
    chosen, mute = override(find(recipe), wanted), quiet or not is_first()
    sources = _opened(data, _splits(chosen.stages, split), quiet=mute)
    is_scored = any(stage.train.eval_every for stage in chosen.stages)
    how: dict[str, Any] = {
        "val": _opened(data, [val_split], quiet=mute)[0] if is_scored else None,
        "init": find_model(init) if init in bundled() else init,
        "device": device,
        "workers": workers,
    }
    if auto_batch:
        begun = out if resume or is_restarted(out) else None
        chosen, most = fitted(chosen, sources, val=how["val"], device=device, run=begun)
        _say_parts(chosen.stages, most, quiet=mute)
    if dry_run:
        return _rehearse(chosen, sources, how, out, quiet=mute)
    with nullcontext() if _is_one_of_many() else stopped_by_signals():  # before the first step
        outcome = run(chosen, data=sources, out=out, resume=resume, quiet=quiet, **how)
    return _told(outcome, out, quiet=mute)


def _quieten_torch() -> None:
    """One process of many says nothing of parameters that DDP looks for; it must come first."""
    if _is_one_of_many():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _is_one_of_many() -> bool:
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


def _say_parts(stages: Sequence[Any], most: Sequence[int], *, quiet: bool) -> None:
    """What --auto-batch has found."""
    for stage, images in zip(stages, most, strict=False):
        if not quiet:
            parts = stage.train.accumulate
            cut = f"in {parts} parts (train.accumulate={parts})" if parts > 1 else "in one part"
            words = f"{images} images fit in memory at once: train.batch={stage.train.batch} {cut}"
            print(words, file=sys.stderr)


def _rehearse(
    recipe: Any, sources: list[Any], how: dict[str, Any], out: Path, *, quiet: bool
) -> int:
    """Says what the run would take, JSON on stdout; returns 1 if it does not fit in memory."""
    from atrous.training import rehearse

    tell = partial(print, file=sys.stderr) if not quiet else lambda _: None
    stages = rehearse(recipe, sources, out=out, tell=tell, **how)
    if not is_first():
        return 0
    print(json.dumps({"schema": 1, "recipe": recipe.name, "stages": [x.to_json() for x in stages]}))
    for number, stage in enumerate(() if quiet else stages, 1):
        for line in stage.told():
            print(f"stage {number}: {line}" if len(stages) > 1 else line, file=sys.stderr)
    return 0 if all(stage.fits for stage in stages) else 1


def _told(outcome: Any, out: Path, *, quiet: bool) -> int:
    """Says how the run ended; returns the exit code."""
    from atrous.training.record import command

    if outcome.is_stopped:
        if is_first():
            print(f"stopped after step {outcome.step}; go on with:", file=sys.stderr)
            print(f"  {command('--resume')}", file=sys.stderr)
        return 3
    if not quiet:
        print(f"trained {outcome.step} steps: {out / 'last.safetensors'}", file=sys.stderr)
    return 0


def _splits(stages: Sequence[Any], given: list[str] | None) -> list[str]:
    """What each stage learns from: what was asked for, else what the recipe names, else train."""
    if given and len(given) not in (1, len(stages)):
        many = f"{len(stages)} stages" if len(stages) > 1 else "one stage"
        raise BadInput(f"--split is given {len(given)} times, but the recipe has {many}")
    if given:
        return given * len(stages) if len(given) == 1 else given
    return [stage.split or "train" for stage in stages]


def _opened(data: str, names: list[str], *, quiet: bool) -> list[Any]:
    """The splits of a data set, each opened once, and a line on each."""
    from atrous.data.catalogue import open_data, summary

    sources = {name: open_data(data, name) for name in dict.fromkeys(names)}
    if not quiet:
        for name, source in sources.items():
            print(summary(data, name, source), file=sys.stderr)
    return [sources[name] for name in names]
