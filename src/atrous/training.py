"""A recipe in use: data in, run folder out."""

from __future__ import annotations

import copy
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.convert import Begun, begin, located, read_start
from atrous.data.augment import Augment
from atrous.data.source import Source
from atrous.data.transforms import InputRule, pad, resized
from atrous.formats import read_json, write_json
from atrous.nn.statistics import calibrate, unfold
from atrous.recipes import Recipe, find
from atrous.recipes.recipe import fusion_of, override
from atrous.run.batches import Stream
from atrous.run.checkpoint import (
    half,
    read_header,
    read_state,
    read_weights,
    states,
    write_model,
)
from atrous.run.evaluate import evaluate
from atrous.run.predict import view
from atrous.run.train import Outcome
from atrous.run.train import train as run_training
from atrous.systems import AnyFusion, AnySystem
from atrous.types import BadInput, Image, Parse

UNFOLD_PHOTOS, CALIBRATE = 64, 32


def train(
    recipe: str | Recipe,
    *,
    data: Source,
    out: str | Path,
    val: Source | None = None,
    settings: tuple[str, ...] = (),
    init: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    quiet: bool = False,
) -> Outcome:
    """Trains a recipe on any `Source` and leaves a run folder with last.safetensors.

    settings  such as ("train.iterations=800", "seed=3")
    init      a model file, or a public checkpoint (see `convert`), by path or as
              hf:OWNER/REPOSITORY/FILE; it stands above the recipe's `init_from`
    workers   processes that read images; with any, a script needs its `__main__` guard
    resume    go on from the last state in `out`; the recipe and settings must be the same

    Raises: BadInput for an unknown recipe or setting, data without samples, a folder that holds a
    run already, or one that cannot be resumed.
    """
    chosen = override(find(recipe) if isinstance(recipe, str) else recipe, settings)
    run, place = Path(out), torch.device(device)
    _check(chosen, data, val)
    torch.manual_seed(chosen.seed)
    system = chosen.build(data.labels)
    stream = _stream(chosen, data, system)
    source, record = str(init or chosen.init_from), _record(chosen, data)
    _prepare(run, record, source, resume=resume)
    if not states(run):
        begun = _initialise(system, source, stream, frozen=chosen.train.norms == "frozen")
        note = None if begun is None else {"file": source, **asdict(begun)}
        write_json(run / "run.json", {**record, "start": note})
        if begun is not None and not quiet:
            print(begun.told(source), file=sys.stderr)
    outcome = run_training(
        system,
        stream,
        chosen.train,
        run=run,
        device=place,
        workers=workers,
        quiet=quiet,
        score=_scorer(system, val, chosen, run, place),
        anchor=_anchor(system, run, place) if chosen.train.anchor else None,
    )
    weights = read_state(states(run)[-1]).weights
    write_model(run / "last.safetensors", weights, chosen.header(data.labels))
    return outcome


def _stream(recipe: Recipe, data: Source, system: AnySystem) -> Stream:
    """The endless stream of crops; a crop fits both padding and output stride."""
    numbers = recipe.train
    multiple = math.lcm(recipe.input.multiple, recipe.network.output_stride)
    augment = Augment(
        numbers.crop,
        numbers.scales,
        numbers.flip,
        multiple,
        rotation=numbers.rotation,
        blur=numbers.blur,
        paste=numbers.paste,
        scale_base=numbers.scale_base,
    )
    return Stream(data, system.encode, recipe.input, augment, recipe.seed, numbers.batch)


def _check(recipe: Recipe, data: Source, val: Source | None) -> None:
    if recipe.train.eval_every and val is None:
        raise BadInput("train.eval_every needs validation data: name it with --val-split")
    if recipe.train.anchor and getattr(recipe.losses, "stage", "category") != "category":
        raise BadInput(
            "train.anchor holds the semantic answer, which this stage does not train: set it to 0"
        )
    if not hasattr(data, "labels"):
        example = "such as atrous.data.shapes.Shapes"
        raise BadInput(f"the data have no `labels`: give a Source, {example}")
    if recipe.train.paste and not data.labels.is_thing.any():
        raise BadInput("train.paste is for things, which the data have none of: leave it out")
    if len(data) == 0:
        raise BadInput("the data set has no images: check --data and --split")


def _record(recipe: Recipe, data: Source) -> dict[str, Any]:
    """What run.json holds: all that decides how the run goes."""
    return {
        "schema": 1,
        "recipe": json.loads(
            json.dumps({**recipe.record(), **recipe.header(data.labels), "images": len(data)})
        ),
        "versions": {name: version(name) for name in ("atrous", "torch", "numpy")}
        | {"python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "command": shlex.join([_program(), *sys.argv[1:]]),
    }


def _program() -> str:
    """What was called: `atrous`, also where it is run as a module, or the name of a script."""
    name = Path(sys.argv[0]).name
    return "atrous" if name == "__main__.py" else name


def _prepare(run: Path, record: dict[str, Any], source: str, *, resume: bool) -> None:
    """Checks that a run can begin here, or that an old one can go on; restores its threads."""
    path = run / "run.json"
    before = read_json(path) if path.exists() else None
    is_ours = isinstance(before, dict) and {"recipe", "threads"} <= set(before)
    if before is not None and not is_ours:
        raise BadInput(f"{path}: not what a run leaves: choose another --out")
    if not resume:
        if states(run) or (run / "last.safetensors").exists():
            raise BadInput(f"{run}: holds a run already: --resume goes on, or choose another --out")
        return
    if before is None:
        raise BadInput(f"{run}: no run to resume: leave --resume out to start one")
    if before["recipe"] != record["recipe"]:
        raise BadInput(f"{run}: {_difference(before['recipe'], record['recipe'])}")
    began = (before.get("start") or {}).get("file", "")
    if not states(run) and began != source:
        raise BadInput(f"{run}: {_difference(began or 'none', source or 'none', '--init')}")
    torch.set_num_threads(before["threads"])


def _difference(before: Any, now: Any, name: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{name}.{key}".strip("."))
    return f"the run was started with {name} = {before}, not {now}: give the same command again"


def _initialise(system: AnySystem, source: str, stream: Stream, *, frozen: bool) -> Begun | None:
    """Public weights come in, and norms learn their statistics where training will not do it."""
    begun = begin(system, read_start(located(source))) if source else None
    if frozen:
        calibrate(system, torch.stack([stream[i][0] for i in range(CALIBRATE)]))
    else:
        unfold(system, _photos(stream.source, stream.rule))
    return begun


def _photos(data: Source, rule: InputRule) -> Iterator[Tensor]:
    """Up to 64 photos, evenly spread over the data, as a network sees them in prediction."""
    for index in np.unique(np.linspace(0, len(data) - 1, UNFOLD_PHOTOS).astype(int)):
        small = resized(data[int(index)].image, rule)
        padded = pad(small, rule.padded((small.shape[0], small.shape[1])), rule)
        yield torch.from_numpy(rule.normalise(padded))[None]


def _anchor(system: AnySystem, run: Path, device: torch.device) -> nn.Module:
    """The network as the training found it, kept in the run's folder for a resume."""
    path = run / "start.safetensors"
    if not states(run):
        write_model(path, system.state_dict(), {})
    twin = copy.deepcopy(system)
    twin.load_state_dict(read_weights(path))
    return twin.eval().requires_grad_(False).to(device)


def _scorer(
    system: AnySystem, val: Source | None, recipe: Recipe, run: Path, device: torch.device
) -> Callable[[], dict[str, Any]] | None:
    """Scores the validation data during training and keeps the model of the best PQ."""
    if val is None:
        return None
    best = [-1.0]

    def score() -> dict[str, Any]:
        system.eval()
        scores = evaluate(_parser(system, recipe.input, device), val, labels=val.labels)
        answer = scores.to_json()
        quality = answer["panoptic"]["all"]["pq"]
        if quality is not None and quality > best[0]:
            best[0] = quality
            write_model(run / "best.safetensors", system.state_dict(), recipe.header(val.labels))
        return {k: answer[k] for k in ("panoptic", "covering", "semantic")}

    return score


def _parser(system: AnySystem, rule: InputRule, device: torch.device) -> Callable[[Image], Parse]:
    return lambda image: system.parse([view(system, image, rule, device)])


def told(run: Path) -> dict[str, Any]:
    """What a run folder tells of its training: run.json, the steps made and their seconds.

    Raises: BadInput if there is no run.
    """
    record: dict[str, Any] = read_json(run / "run.json")
    saved = states(run)
    if not saved:
        raise BadInput(f"{run}: holds no state: finish the run, or --resume it")
    state = read_state(saved[-1])
    return {**record, "steps": state.step, "seconds": state.counters.get("seconds")}


def package(
    model: Path,
    out: Path,
    *,
    fusion: Callable[[AnyFusion], AnyFusion] = lambda numbers: numbers,
) -> None:
    """Copies a model with its weights in 16 bits, as the models in the package are stored.

    fusion  gives the copy other fusion numbers, such as thresholds that were chosen since

    Raises: BadInput if a weight does not fit in 16 bits.
    """
    weights, header = half(read_weights(model)), read_header(model)
    wide = [name for name, value in weights.items() if not value.float().isfinite().all()]
    if wide:
        raise BadInput(f"{model}: {wide[0]} does not fit in 16 bits: keep it in 32")
    numbers = fusion(fusion_of(header))
    write_model(out, weights, {**header, "fusion": asdict(numbers) if numbers else {}})
