"""The training loop: one process, any system, exact on resume."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atrous.nn.dropout import draw_masks
from atrous.nn.layers import set_norm_momentum
from atrous.nn.losses import divergence
from atrous.run.batches import Item, Stream, batches, to_device
from atrous.run.checkpoint import State, read_state, states, write_state
from atrous.run.logs import Log
from atrous.run.optimiser import build_optimiser, restore, set_rate, slots
from atrous.run.schedule import poly
from atrous.run.settings import TrainSettings
from atrous.tensors import LossTerm
from atrous.types import BadInput

Scorer = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the steps made, and whether a signal stopped it before the end."""

    step: int
    is_stopped: bool


def train(
    network: nn.Module,
    stream: Stream,
    settings: TrainSettings,
    *,
    run: Path,
    device: torch.device,
    workers: int,
    quiet: bool,
    score: Scorer | None = None,
    anchor: nn.Module | None = None,
) -> Outcome:
    """Trains from the last state of the run folder, or from the network as it is.

    anchor  the network that `settings.anchor` holds the semantic answer to

    Source: DeeperLab, section 4 (SGD, poly, all norms trained).
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_norm_momentum(network, settings.norm_momentum)
    for part in settings.freeze:
        _part(network, part).requires_grad_(False)
    optimiser = build_optimiser(network, settings)
    start, seconds = resume(network, optimiser, run)
    began = time.monotonic() - seconds
    pinned = device.type == "cuda"
    source = batches(stream, start=start, stop=settings.iterations, workers=workers, pinned=pinned)
    log = Log(run, start=start, total=settings.iterations, quiet=quiet)
    with log, _signals() as stopped:
        step = start
        steps = _steps(
            network, anchor, optimiser, source, settings, start, device=device, seed=stream.seed
        )
        for step, values, speed in steps:
            log.step(step, values, images_per_second=speed)
            done = step + 1
            last = done == settings.iterations or bool(stopped)
            if last or done % settings.checkpoint_every == 0:
                write_state(
                    run,
                    _state(network, optimiser, done, time.monotonic() - began),
                    keep=settings.keep,
                )
            if score and settings.eval_every and done % settings.eval_every == 0:
                log.scores(step, score())
            if last:
                return Outcome(done, is_stopped=bool(stopped) and done < settings.iterations)
    return Outcome(start, is_stopped=False)


def _steps(
    network: nn.Module,
    anchor: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    source: Iterable[Item],
    settings: TrainSettings,
    start: int,
    *,
    device: torch.device,
    seed: int,
) -> Iterator[tuple[int, dict[str, float], float]]:
    """Makes the steps; yields each one's number, its losses by name, and images a second."""
    speed = 0.0
    before = time.monotonic()
    for step, item in enumerate(source, start):
        lr = _rate(step, settings)
        set_rate(optimiser, lr)
        _set_modes(network, settings)
        draw_masks(network, seed=seed, step=step)
        item = to_device(item, device)
        answer = _answer(anchor, item[0], settings)
        values = make_step(network, optimiser, item, settings, answer)
        if not all(map(math.isfinite, values.values())):
            raise BadInput(
                f"step {step}: the loss is not finite ({values}): lower train.lr and --resume "
                "from the last state"
            )
        now = time.monotonic()
        rate = settings.batch / max(now - before, 1e-9)
        speed, before = (0.9 * speed + 0.1 * rate if speed else rate), now
        yield step, {**values, "lr": lr}, speed


def _rate(step: int, settings: TrainSettings) -> float:
    rate = poly(step, total=settings.iterations, start=settings.lr, power=settings.power)
    return rate * min(1.0, (step + 1) / (settings.warmup + 1))


def _set_modes(network: nn.Module, settings: TrainSettings) -> None:
    network.train()
    for part in settings.freeze:
        _part(network, part).eval()
    if settings.norms == "frozen":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _answer(
    anchor: nn.Module | None, images: Tensor, settings: TrainSettings
) -> tuple[float, Tensor] | None:
    """Weight and semantic logits of the anchor, if there is one."""
    if anchor is None:
        return None
    with torch.no_grad():
        logits: Tensor = anchor(images.to(memory_format=torch.channels_last)).semantic
    return settings.anchor, logits


def make_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    item: Item,
    settings: TrainSettings,
    anchor: tuple[float, Tensor] | None = None,
) -> dict[str, float]:
    """One step of descent; returns the losses by name, and their weighted sum as "loss".

    anchor  weight and semantic logits of the network to stay near to
    """
    images, targets = item
    images = images.to(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        maps = network(images)
        terms = network.loss(maps, targets)  # type: ignore[operator]
    if anchor:
        terms += (LossTerm("anchor", anchor[0], *divergence(maps.semantic, anchor[1])),)
    means = {term.name: mean(term) for term in terms}
    loss = torch.stack([term.weight * means[term.name] for term in terms]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if settings.clip:
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    optimiser.step()
    return {"loss": loss.item(), **{name: value.item() for name, value in means.items()}}


def mean(term: LossTerm) -> Tensor:
    """A loss term's mean over what it counts, 0 where there is nothing to count."""
    return term.total / term.count.clamp(min=1)


def _part(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        parts = ", ".join(n for n, _ in network.named_children())
        raise BadInput(f"train.freeze: no part is called {name!r}: there are {parts}") from error


def resume(network: nn.Module, optimiser: torch.optim.Optimizer, run: Path) -> tuple[int, float]:
    """Loads the last state of a run, if it has one; returns its steps and the seconds they took."""
    saved = states(run)
    if not saved:
        return 0, 0.0
    state = read_state(saved[-1])
    network.load_state_dict(state.weights)
    restore(network, optimiser, state.optimiser)
    return state.step, state.counters.get("seconds", 0.0)


def _state(
    network: nn.Module, optimiser: torch.optim.Optimizer, step: int, seconds: float
) -> State:
    counters = {"seconds": round(seconds, 1)}
    return State(step, network.state_dict(), slots(network, optimiser), counters)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying of them; a second SIGINT does kill."""
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are not ours
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
