"""One step of a training on tensors that have shapes and no values: what would live, and when.

It takes a second for the largest networks, at any batch, and next to no memory.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from atrous.nn.losses import divergence
from atrous.run.batches import Item
from atrous.run.learner import HALF, part_of, set_modes
from atrous.run.settings import TrainSettings
from atrous.tensors import LossTerm, Maps, mapped

AS_MASKED = (torch.ops.aten.index.Tensor, torch.ops.aten._index_put_impl_.default)
"""Operations whose result depends on how much of a mask is true."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step takes, in bytes.

    weights  parameters and buffers
    trained  the weights that have gradients after it
    inputs   images and targets of all parts of the batch
    kept     what lives when the loss is known and nothing has gone back yet
    most     what lives at the fullest moment, without weights, gradients and inputs
    """

    weights: int
    trained: int
    inputs: int
    kept: int
    most: int


def step(system: nn.Module, item: Item, settings: TrainSettings, *, images: int) -> Taken:
    """What the step of `Learner.learn` takes with `images` at a time; the system stays as it is."""
    with FakeTensorMode():
        ghost = _ghost(system, settings)
        batch = mapped(item[0], partial(_many, images)), mapped(item[1], partial(_many, images))
        weights = [*ghost.parameters(), *ghost.buffers()]
        inputs = size_of(_tensors(batch))
        ledger = Ledger([*weights, *_tensors(batch)])
        for weight in ghost.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(ledger.dismiss)
        with ledger:
            kept = _learn(ghost, batch, settings, ledger)
    taken = settings.accumulate * inputs
    return Taken(size_of(weights), size_of(ledger.reached), taken, kept, ledger.most)


def on_line(first: Taken, more: Taken, *, ahead: int) -> Taken:
    """What `ahead` more images take than the first did, on the line through it and one more."""
    values = {
        name: max(0, getattr(first, name) + ahead * (getattr(more, name) - getattr(first, name)))
        for name in Taken.__slots__
    }
    return Taken(**values)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, those that share memory once."""
    return sum({_key(t): t.untyped_storage().nbytes() for t in tensors}.values())


class Ledger(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is open, for as long as they live.

    A view, or a result in place, shares the memory of its source, and counts with it.

    known    tensors that are there already, and do not count
    now      bytes that live
    most     bytes that lived at the fullest moment
    reached  weights that had gradients, which are let go at once
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.reached: list[Tensor] = []
        self._known = {_key(tensor) for tensor in known}
        self._alive: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def dismiss(self, weight: Tensor) -> None:
        """Notes that a gradient has come, and lets it go."""
        self.reached.append(weight)
        weight.grad = None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Lets an operation happen, and enters what it made."""
        if func in AS_MASKED:
            args = [args[0], self._places(args[1]), *args[2:]]
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._enter(value)
        return made

    def _places(self, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Masks as the places that they stand for, all of them, which is the most."""
        places: list[Tensor | None] = []
        for index in indices:
            if index is not None and index.dtype == torch.bool:
                places += [index.new_empty(index.numel(), dtype=torch.long) for _ in index.shape]
            else:
                places.append(index)
        for place in places:
            if place is not None:
                self._enter(place)
        return places

    def _enter(self, tensor: Tensor) -> None:
        key, storage = _key(tensor), tensor.untyped_storage()
        if key in self._known or key in self._alive:
            return
        size = storage.nbytes()
        self._alive[key] = size, weakref.ref(storage, lambda _: self._leave(key))
        self.now += size
        self.most = max(self.most, self.now)

    def _leave(self, key: int) -> None:
        size, _ = self._alive.pop(key)
        self.now -= size


def _key(tensor: Tensor) -> int:
    """The same for all tensors that share memory."""
    return int(tensor.untyped_storage()._cdata)


def _ghost(system: nn.Module, settings: TrainSettings) -> nn.Module:
    """A copy of the system whose weights have no values; only what learns asks for gradients."""
    memo: dict[int, Any] = {}
    for weight in system.parameters():
        learns = weight.requires_grad
        memo[id(weight)] = nn.Parameter(_shaped(weight, settings), requires_grad=learns)
    for buffer in system.buffers():
        memo[id(buffer)] = _shaped(buffer, settings)
    ghost = copy.deepcopy(system, memo)
    norms = [x for x in ghost.modules() if isinstance(x, nn.BatchNorm2d)]
    for norm in norms:
        norm.__class__ = nn.BatchNorm2d  # there are no other processes here to wait for
    still = [part_of(ghost, part) for part in settings.freeze]
    for module in still if settings.affine else [*still, *norms]:
        module.requires_grad_(False)
    return ghost


def _shaped(tensor: Tensor, settings: TrainSettings) -> Tensor:
    deep = settings.channels_last and tensor.ndim == 4
    layout = torch.channels_last if deep else torch.contiguous_format
    return torch.empty(tensor.shape, dtype=tensor.dtype, memory_format=layout)


def _many(images: int, tensor: Tensor) -> Tensor:
    return torch.empty((images, *tensor.shape), dtype=tensor.dtype)


def _tensors(batch: Item) -> list[Tensor]:
    found = [batch[0]]
    mapped(batch[1], lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


def _learn(ghost: nn.Module, batch: Item, settings: TrainSettings, ledger: Ledger) -> int:
    """One step; returns what lives before it goes back."""
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    images, half = batch[0].to(memory_format=layout), HALF.get(settings.precision)
    autocast = partial(torch.autocast, "cpu", half, enabled=half is not None)
    set_modes(ghost, settings)
    with autocast():
        maps: Maps = ghost(images)
        terms: tuple[LossTerm, ...] = ghost.loss(maps, batch[1])  # type: ignore[operator]
    if settings.anchor:
        terms += (_held(ghost, images, maps, settings),)
        set_modes(ghost, settings)
    kept = ledger.now
    if settings.accumulate > 1:
        with torch.no_grad(), autocast():  # what the losses of the other parts will count
            ghost.loss(mapped(maps, Tensor.detach), batch[1])  # type: ignore[operator]
    torch.stack([term.weight * term.total / term.count for term in terms]).sum().backward()
    return kept


def _held(ghost: nn.Module, images: Tensor, maps: Maps, settings: TrainSettings) -> LossTerm:
    """The loss that holds the answer to the anchor's, which is made as the network is."""
    with torch.no_grad():
        answer: Tensor = ghost.eval()(images).semantic
    return LossTerm("anchor", settings.anchor, *divergence(maps.semantic, answer))
