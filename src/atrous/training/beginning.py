"""Where training begins: the stream of crops, public weights, statistics of norms, the anchor."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atrous.convert import Begun, begin, located, read_start
from atrous.data.augment import Augment
from atrous.data.doubling import places
from atrous.data.source import Source
from atrous.data.transforms import InputRule, pad, resized
from atrous.formats import read_json, write_json
from atrous.nn.statistics import calibrate, unfold
from atrous.processes import in_order, processes_for
from atrous.recipes import Recipe
from atrous.run.batches import Stream
from atrous.run.checkpoint import read_weights
from atrous.run.world import World
from atrous.systems import AnySystem

START = "start.safetensors"
"""The network as the training found it, where a stage is held to it."""
UNFOLD_PHOTOS, CALIBRATE = 64, 32


def stream_of(recipe: Recipe, data: Source, system: AnySystem) -> Stream:
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


def initialise(system: AnySystem, source: str, stream: Stream, *, frozen: bool) -> Begun | None:
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
        image = data[int(index)].image
        small = resized(image, rule.sized((image.shape[0], image.shape[1])))
        padded = pad(small, rule.padded((small.shape[0], small.shape[1])), rule)
        yield torch.from_numpy(rule.normalise(padded))[None]


def anchor_of(system: AnySystem, run: Path, world: World) -> nn.Module:
    """The network as the training found it, kept in the run's folder for a resume."""
    twin = copy.deepcopy(system)
    twin.load_state_dict(world.first(lambda: read_weights(run / START)))
    return twin.eval().requires_grad_(False).to(world.device)


def doubled_in(
    recipe: Recipe, data: Source, kept: Path, *, workers: int, say: Callable[[str], None]
) -> tuple[int, ...]:
    """Which images `train.doubled` gives twice; all labels are read once, and the answer kept."""
    asked = {"classes": list(recipe.train.doubled), "images": len(data)}
    before = read_json(kept) if kept.is_file() else {}
    if before.items() >= asked.items():
        return tuple(before["places"])
    each = partial(in_order, processes=max(processes_for(workers, len(data)), 1))
    found = places(data, recipe.train.doubled, each=each, told=say)
    write_json(kept, {**asked, "places": list(found)})
    return found
