"""The processes of one run, as `torchrun` starts them; one process alone is a world of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor, nn

from atrous.types import BadInput, Failed

T = TypeVar("T")
CPU = torch.device("cpu")
WAIT_S, POLL_S = 1800.0, 0.02
"""For the other processes to begin, and between two looks for them."""


@dataclass(frozen=True, slots=True)
class World:
    """One of `size` processes that make the same steps, each on its share of every batch."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """The slots of this process in a batch of all.

        Raises: BadInput if the batch cannot be shared out evenly.
        """
        if batch % self.size:
            raise BadInput(
                f"train.batch is {batch}, which {self.size} processes cannot share out evenly: "
                f"set it to {max(1, round(batch / self.size)) * self.size}"
            )
        each = batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, values: Tensor) -> Tensor:
        """The sums of all processes' values."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, claim: bool) -> bool:
        """Whether one process says so, known to all."""
        return bool(self.sum(torch.tensor(float(claim))))

    def first(self, work: Callable[[], T]) -> T:
        """What the first process makes of some work, for all of them.

        Raises: what the work raises, in every process.
        """
        if self.size == 1:
            return work()
        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = work()
            except (ValueError, RuntimeError, OSError) as error:
                box[1] = error
        dist.broadcast_object_list(box, device=CPU)
        if box[1] is not None:
            raise box[1]
        answer: T = box[0]
        return answer

    def gathered(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def give(self, network: nn.Module) -> None:
        """Copies the first process's weights and buffers to all."""
        if self.size > 1:
            for value in network.state_dict().values():
                dist.broadcast(value, src=0)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that the environment tells of: that of `torchrun`, or this process alone.

    device  "auto" (CUDA where there is one), "cpu", "cuda" or "mps"; of several CUDA devices each
            process of a machine takes its own

    Raises: BadInput if the device is not there, or too few of them are; Failed if the others are
    not.
    """
    size, rank = (int(os.environ.get(name, n)) for name, n in (("WORLD_SIZE", 1), ("RANK", 0)))
    place = _place(device)
    if size == 1 or dist.is_initialized():
        yield World(rank if size > 1 else 0, size, place)
        return
    if place.type == "mps":
        raise BadInput("--device mps: it works in one process alone: leave torchrun out")
    is_cuda = place.type == "cuda"
    if is_cuda:
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(place)
    _meet("cpu:gloo,cuda:nccl" if is_cuda else "gloo", rank, size)
    try:
        yield World(rank, size, place)
    finally:
        dist.destroy_process_group()


def _meet(backend: str, rank: int, size: int) -> None:
    """Joins the other processes.

    Raises: Failed if they are not there.
    """
    try:
        store = _fresh(next(dist.rendezvous("env://"))[0], rank, size)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    except (RuntimeError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise Failed(f"process {rank} cannot join the other {size - 1}: {what}") from error


def _fresh(store: Any, rank: int, size: int) -> Any:
    """The store under a name that only these processes know.

    `torchrun` gives processes that it starts anew the store of those before, full of addresses
    that nobody listens at any more. So each asks the first one, under a name of its own, for a
    name that is new. What those before had asked is answered too, and nobody hears it.
    """
    name = uuid4().hex
    if rank == 0:
        _tell(store, name, size)
    else:
        store.set(f"atrous/{rank}", name)
        name = store.get(name).decode()
        store.set(f"{name}/{rank}", "heard")
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


def _tell(store: Any, name: str, size: int) -> None:
    """Answers what the other processes ask until all have heard."""
    waiting, deadline = list(range(1, size)), time.monotonic() + WAIT_S
    while waiting:
        for other in waiting:
            store.set(store.get(f"atrous/{other}").decode(), name)
        time.sleep(POLL_S)
        waiting = [other for other in waiting if not store.check([f"{name}/{other}"])]
        if waiting and time.monotonic() > deadline:
            raise RuntimeError(f"process {waiting[0]} is not there")


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises: BadInput if there is none.
    """
    has = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if has["cuda"] else "cpu")
    if not has.get(name):
        there = ", ".join(n for n, is_there in has.items() if is_there)
        raise BadInput(f"--device {name}: not on this machine, there is {there}")
    return torch.device(name)


def _place(name: str) -> torch.device:
    """The device of this process among those of its machine."""
    place, here = pick_device(name), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if place.type != "cuda" or here == 1:
        return place
    if torch.cuda.device_count() < here:
        raise BadInput(
            f"--device {place.type}: {here} processes, but {torch.cuda.device_count()} devices: "
            f"torchrun --nproc-per-node={torch.cuda.device_count()}"
        )
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
