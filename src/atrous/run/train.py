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

from atrous.nn.layers import set_norm_momentum
from atrous.run.batches import Item, Stream, batches, to_device
from atrous.run.checkpoint import State, Weights, read_state, states, write_state
from atrous.run.logs import Log
from atrous.run.schedule import poly
from atrous.tensors import LossTerm
from atrous.types import BadInput

Scorer = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained.

    batch, crop       images a step, and their side in pixels (16 n + 1)
    lr, power         poly schedule; momentum and weight_decay of SGD (no decay on depthwise
                      convolutions, norms and biases)
    norm_momentum     share of a new batch in batch norm statistics
    scales, flip      see `data.transforms.Augment`
    freeze            parts of the network, such as "backbone", that stay as they are, norms too
    precision         "fp32", or "bf16" for autocast
    checkpoint_every, eval_every  in steps; the last step always saves; eval_every 0 = never
    keep              how many states stay on the disk
    """

    iterations: int
    batch: int
    crop: int
    lr: float = 0.01
    power: float = 0.9
    momentum: float = 0.9
    weight_decay: float = 4e-5
    norm_momentum: float = 0.003
    scales: tuple[float, float, float] = (0.5, 2.0, 0.25)
    flip: float = 0.5
    freeze: tuple[str, ...] = ()
    precision: str = "fp32"
    checkpoint_every: int = 500
    eval_every: int = 0
    keep: int = 2

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise BadInput(f"train.precision is {self.precision!r}: it can be fp32 or bf16")
        if self.batch < 2:
            raise BadInput(f"train.batch is {self.batch}: batch norm needs at least 2 images")
        for name in ("iterations", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise BadInput(f"train.{name} is {getattr(self, name)}: it must be at least 1")


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
) -> Outcome:
    """Trains from the last state of the run folder, or from the network as it is.

    Source: DeeperLab, section 4 (SGD, poly, all norms trained).
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_norm_momentum(network, settings.norm_momentum)
    for part in settings.freeze:
        _part(network, part).requires_grad_(False)
    optimiser = build_optimiser(network, settings)
    start = resume(network, optimiser, run)
    source = batches(stream, start=start, stop=settings.iterations, workers=workers)
    log = Log(run, start=start, total=settings.iterations, quiet=quiet)
    with log, _signals() as stopped:
        step = start
        for step, values, speed in _steps(network, optimiser, source, settings, start, device):
            log.step(step, values, images_per_second=speed)
            done = step + 1
            last = done == settings.iterations or bool(stopped)
            if last or done % settings.checkpoint_every == 0:
                write_state(run, _state(network, optimiser, done), keep=settings.keep)
            if score and settings.eval_every and done % settings.eval_every == 0:
                log.scores(step, score())
            if last:
                return Outcome(done, is_stopped=bool(stopped) and done < settings.iterations)
    return Outcome(start, is_stopped=False)


def _steps(
    network: nn.Module,
    optimiser: torch.optim.SGD,
    source: Iterable[Item],
    settings: TrainSettings,
    start: int,
    device: torch.device,
) -> Iterator[tuple[int, dict[str, float], float]]:
    """Makes the steps; yields each one's number, its losses by name, and images a second."""
    speed = 0.0
    before = time.monotonic()
    for step, item in enumerate(source, start):
        lr = poly(step, total=settings.iterations, start=settings.lr, power=settings.power)
        for group in optimiser.param_groups:
            group["lr"] = lr
        network.train()
        for part in settings.freeze:
            _part(network, part).eval()
        values = make_step(network, optimiser, to_device(item, device), settings.precision)
        if not all(map(math.isfinite, values.values())):
            raise BadInput(
                f"step {step}: the loss is not finite ({values}): lower train.lr and --resume "
                "from the last state"
            )
        now = time.monotonic()
        rate = settings.batch / max(now - before, 1e-9)
        speed, before = (0.9 * speed + 0.1 * rate if speed else rate), now
        yield step, {**values, "lr": lr}, speed


def make_step(
    network: nn.Module, optimiser: torch.optim.Optimizer, item: Item, precision: str
) -> dict[str, float]:
    """One step of descent; returns the losses by name, and their weighted sum as "loss"."""
    images, targets = item
    images = images.to(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        maps = network(images)
        terms = network.loss(maps, targets)  # type: ignore[operator]
    means = {term.name: mean(term) for term in terms}
    loss = torch.stack([term.weight * means[term.name] for term in terms]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return {"loss": loss.item(), **{name: value.item() for name, value in means.items()}}


def mean(term: LossTerm) -> Tensor:
    """A loss term's mean over what it counts, 0 where there is nothing to count."""
    return term.total / term.count.clamp(min=1)


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.SGD:
    """SGD with weight decay on full convolutions alone.

    Source: TensorFlow DeepLab's defaults, which DeeperLab's authors share.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if _decays(p)]
    others = [p for p in trained if not _decays(p)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)


def _part(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        parts = ", ".join(n for n, _ in network.named_children())
        raise BadInput(f"train.freeze: no part is called {name!r}: there are {parts}") from error


def _decays(parameter: Tensor) -> bool:
    return parameter.ndim == 4 and parameter.shape[1] > 1


def resume(network: nn.Module, optimiser: torch.optim.SGD, run: Path) -> int:
    """Loads the last state of a run, if it has one; returns the step to go on with."""
    saved = states(run)
    if not saved:
        return 0
    state = read_state(saved[-1])
    network.load_state_dict(state.weights)
    for name, parameter in network.named_parameters():
        if name in state.momentum:
            buffer = torch.empty_like(parameter).copy_(state.momentum[name])
            optimiser.state[parameter]["momentum_buffer"] = buffer
    return state.step


def _state(network: nn.Module, optimiser: torch.optim.SGD, step: int) -> State:
    momentum: Weights = {
        name: optimiser.state[p]["momentum_buffer"]
        for name, p in network.named_parameters()
        if "momentum_buffer" in optimiser.state.get(p, {})
    }
    return State(step, weights=network.state_dict(), momentum=momentum, counters={})


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
