"""A network that learns: one step of descent, on one process or many, in one piece or several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from atrous.nn.dropout import draw_masks, leave_uncompiled
from atrous.nn.layers import set_norm_momentum
from atrous.nn.losses import divergence
from atrous.nn.synchronised import synchronise
from atrous.run.average import Average
from atrous.run.batches import Item, to_device
from atrous.run.optimiser import build_optimiser, restore, set_rate, slots
from atrous.run.schedule import rate
from atrous.run.settings import TrainSettings
from atrous.run.states import State
from atrous.run.world import World
from atrous.tensors import LossTerm, Maps, mapped
from atrous.types import BadInput, Failed

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


LEAST_SCALE = 2.0**-10
"""Of fp16's losses: below it, 26 steps in a row had a gradient that was not finite."""


class NotFinite(Failed):
    """A loss or gradient is not finite; `parts` of this process's batch hold what made it so."""

    def __init__(self, what: str, parts: list[int]) -> None:
        super().__init__(what)
        self.parts = parts


class Learner:
    """A system and all that changes with it in training.

    world   the processes that learn together; each sees its share of a batch
    first   step in which the schedule begins
    anchor  the network that `settings.anchor` holds the semantic answer to
    """

    def __init__(
        self,
        system: nn.Module,
        settings: TrainSettings,
        world: World,
        *,
        seed: int,
        first: int = 0,
        anchor: nn.Module | None = None,
    ) -> None:
        self.system, self.settings, self.world = system, settings, world
        self.seed, self.first, self._anchor = seed, first, anchor
        self.step = first
        self._layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        system.to(world.device, memory_format=self._layout)  # type: ignore[call-overload]
        _settle(system, settings)
        world.give(system)
        self._average = Average(system, settings.average) if settings.average else None
        if settings.norms == "synchronised" and world.size > 1:
            synchronise(system)
        self.optimiser = build_optimiser(system, settings)
        self._scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "fp16")
        self._forward = _engine(system, settings, world)

    @property
    def model(self) -> nn.Module:
        """The network to score and to save: the running mean, if there is one."""
        return self._average.network if self._average else self.system

    def learn(self, parts: Sequence[Item]) -> dict[str, float]:
        """One step of descent; its losses by name, their weighted sum as "loss", and more.

        Each loss is its sum over all parts of all processes, divided by what it counts there.

        Raises: NotFinite, with the weights as they were before.
        """
        place = self.world.device
        here = tuple((to_device(image, place), to_device(truth, place)) for image, truth in parts)
        lr = rate(self.step - self.first, self.settings)
        set_rate(self.optimiser, lr)
        set_modes(self.system, self.settings)
        self.optimiser.zero_grad(set_to_none=True)
        losses = self._gather_gradients(here)
        gradient = self._descend()
        self.step += 1
        if self._average:
            self._average.follow(self.step - self.first)
        return {**losses, "lr": lr, "gradient": gradient}

    def state(self, counters: dict[str, Any]) -> State:
        """All that `restore` needs to go on from here."""
        average = self._average.network.state_dict() if self._average else {}
        scaler = {"scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        memory = slots(self.system, self.optimiser)
        return State(self.step, self.system.state_dict(), memory, average, {**counters, **scaler})

    def restore(self, state: State) -> None:
        """Goes on from a state of this stage; from the end of the one before, with its model."""
        self.step = state.step
        if state.step == self.first:
            self.system.load_state_dict(state.average or state.weights)
        else:
            self.system.load_state_dict(state.weights)
            restore(self.system, self.optimiser, state.optimiser)
            self._scaler.load_state_dict(state.counters.get("scaler", {}))
        if self._average:
            self._average.network.load_state_dict(state.average or state.weights)

    def _gather_gradients(self, parts: tuple[Item, ...]) -> dict[str, float]:
        """Adds up the gradients of all parts; returns the losses of the whole batch."""
        totals: list[Tensor] = []
        counts = torch.ones(0)
        for place, item in enumerate(parts):
            with self._cut(is_last=place == len(parts) - 1):
                maps, terms = self._answer(item, first_slot=self._slot(place, item))
                if place == 0:
                    counts = self._counts(maps, terms, parts[1:])
                shares = [x.weight * x.total / n for x, n in zip(terms, counts, strict=True)]
                loss = torch.stack(shares).sum() * self.world.size  # DDP takes the mean
                self._scaler.scale(loss).backward()
            totals.append(self._stacked([x.total for x in terms]))
        return self._means(totals, counts, terms)

    def _means(
        self, totals: list[Tensor], counts: Tensor, terms: tuple[LossTerm, ...]
    ) -> dict[str, float]:
        """The losses of the whole batch by name, and their weighted sum."""
        means = self.world.sum(torch.stack(totals).sum(dim=0)) / counts
        values = {x.name: float(mean) for x, mean in zip(terms, means, strict=True)}
        loss = sum(x.weight * values[x.name] for x in terms)
        if not math.isfinite(loss):
            told = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
            wrong = [i for i, total in enumerate(totals) if not bool(total.isfinite().all())]
            raise NotFinite(f"the loss is not finite ({told})", wrong)
        return {"loss": loss, **values}

    def _stacked(self, values: list[Tensor]) -> Tensor:
        """Sums and counts, in the widest numbers that the device has."""
        wide = torch.float32 if self.world.device.type == "mps" else torch.float64
        return torch.stack([value.detach().to(wide) for value in values])

    def _slot(self, place: int, item: Item) -> int:
        """Where in the batch of all processes a part begins."""
        return self.world.share(self.settings.batch).start + place * len(item[0])

    def _answer(self, item: Item, *, first_slot: int) -> tuple[Maps, tuple[LossTerm, ...]]:
        images, targets = item[0].to(memory_format=self._layout), item[1]
        draw_masks(self.system, seed=self.seed, step=self.step, first_slot=first_slot)
        with self._autocast():
            maps: Maps = self._forward(images)
            terms: tuple[LossTerm, ...] = self.system.loss(maps, targets)  # type: ignore[operator]
        if self._anchor is not None:
            with torch.no_grad():
                logits = self._anchor(images).semantic
            weight = self.settings.anchor
            terms += (LossTerm("anchor", weight, *divergence(maps.semantic, logits)),)
        return maps, terms

    def _counts(self, maps: Maps, terms: tuple[LossTerm, ...], others: tuple[Item, ...]) -> Tensor:
        """What each loss counts in the whole batch: known before the other parts are answered.

        Counts depend on targets alone, so any maps will do to ask for them.
        """
        counts = self._stacked([x.count for x in terms])
        still = mapped(maps, Tensor.detach)
        for _, targets in others:
            with torch.no_grad(), self._autocast():
                more = self.system.loss(still, targets)  # type: ignore[operator]
            counts[: len(more)] += self._stacked([x.count for x in more])
        if self._anchor is not None:
            counts[-1] *= 1 + len(others)
        return self.world.sum(counts).clamp(min=1)

    def _descend(self) -> float:
        """Lets the optimiser make its step; returns the length of the gradient."""
        self._scaler.unscale_(self.optimiser)
        weights = [p for p in self.system.parameters() if p.grad is not None]
        length = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        if not self._scaler.is_enabled() and not bool(length.isfinite()):
            raise NotFinite("the gradient is not finite", [])
        if self.settings.clip:
            nn.utils.clip_grads_with_norm_(weights, self.settings.clip, length)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        if self._scaler.is_enabled() and self._scaler.get_scale() < LEAST_SCALE:
            raise NotFinite("the gradient is not finite at any scale of the loss", [])
        return float(length)

    def _autocast(self) -> torch.autocast:
        half = HALF.get(self.settings.precision)
        return torch.autocast(self.world.device.type, half, enabled=half is not None)

    @contextmanager
    def _cut(self, *, is_last: bool) -> Iterator[None]:
        """Processes exchange gradients with the last part of a batch alone."""
        engine = self._forward
        alone = not isinstance(engine, DistributedDataParallel)
        with nullcontext() if alone or is_last else engine.no_sync():
            yield


def _settle(system: nn.Module, settings: TrainSettings) -> None:
    """What learns at all, and how fast norms follow."""
    set_norm_momentum(system, settings.norm_momentum)
    for part in settings.freeze:
        part_of(system, part).requires_grad_(False)
    if not settings.affine:
        for module in system.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)


def _engine(system: nn.Module, settings: TrainSettings, world: World) -> Any:
    """The network's forward pass, compiled, and over all processes, as wished for.

    Every parameter is looked for in every pass: systems have parts that some stage does not train,
    and the order of the exchange stays that of the first step, so that a resumed run adds up the
    gradients of many processes in the order of an unbroken one.
    """
    engine: Any = system
    if settings.compile:
        leave_uncompiled(system)
        engine = torch.compile(system)
    if world.size == 1:
        return engine
    return DistributedDataParallel(
        engine, find_unused_parameters=True, gradient_as_bucket_view=True
    )


def set_modes(network: nn.Module, settings: TrainSettings) -> None:
    """Training mode, but for frozen parts, and for frozen norms."""
    network.train()
    for part in settings.freeze:
        part_of(network, part).eval()
    if settings.norms == "frozen":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def part_of(network: nn.Module, name: str) -> nn.Module:
    """The part of that name.

    Raises: BadInput if there is none.
    """
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        parts = ", ".join(n for n, _ in network.named_children())
        raise BadInput(f"train.freeze: no part is called {name!r}: there are {parts}") from error
