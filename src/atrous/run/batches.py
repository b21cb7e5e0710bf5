"""The stream of training batches: a pure function of (seed, step, slot)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atrous.data.augment import Augment, augment, generator
from atrous.data.pasting import paste
from atrous.data.source import Source, opened
from atrous.data.transforms import InputRule
from atrous.processes import fresh_processes
from atrous.tensors import Targets, mapped
from atrous.types import BadInput, Failed, Sample

Item = tuple[Tensor, Targets]
T = TypeVar("T")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 25  # more is refused for what comes from mmap


def shuffled(count: int, *, seed: int, position: int) -> int:
    """The sample at a position of the endless stream of shuffled epochs."""
    epoch, place = divmod(position, count)
    return int(_order(count, seed, epoch)[place])


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    random = np.random.Generator(np.random.Philox(key=np.uint64(seed), counter=[0, 1, 0, epoch]))
    return random.permutation(count)


@dataclass(frozen=True)
class Stream(Dataset[Item]):
    """Augmented, encoded samples; item = step * batch + slot.

    batch  of all processes together
    first  step in which the first epoch begins
    """

    source: Source
    encode: Callable[[Sample], Targets]
    rule: InputRule
    settings: Augment
    seed: int
    batch: int
    first: int = 0

    def __getitem__(self, position: int) -> Item:
        """One network input and its targets."""
        step, slot = divmod(position, self.batch)
        random = generator(self.seed, step=step, slot=slot)
        sample = self._crop(self._index(position), random)
        if random.random() < self.settings.paste:
            other = self._crop(int(random.integers(len(self.source))), random)
            sample = paste(sample, other, self.source.labels.is_thing, random)
        return torch.from_numpy(self.rule.normalise(sample.image)), self.encode(sample)

    def names(self, step: int, slots: Iterable[int]) -> list[str]:
        """The images that a step takes for some slots of its batch."""
        places = (self._index(step * self.batch + slot) for slot in slots)
        return [self.source.name(place) for place in places]

    def _index(self, position: int) -> int:
        since = position - self.first * self.batch
        return shuffled(len(self.source), seed=self.seed, position=since)

    def _crop(self, index: int, random: np.random.Generator) -> Sample:
        return augment(opened(self.source, index), self.rule, self.settings, random)


@dataclass(frozen=True, slots=True)
class _Positions:
    """The items of one process, from step to step."""

    steps: range
    batch: int
    slots: range

    def __len__(self) -> int:
        return len(self.steps) * len(self.slots)

    def __iter__(self) -> Iterator[int]:
        return (step * self.batch + slot for step in self.steps for slot in self.slots)


def batches(
    stream: Stream,
    steps: range,
    *,
    slots: range | None = None,
    parts: int = 1,
    workers: int = 0,
    pinned: bool = False,
) -> Iterator[tuple[Item, ...]]:
    """What a process learns from in each of some steps, made ahead by `workers` processes.

    slots   its share of each batch; None = all of it
    parts   how many pieces a share comes in
    pinned  in memory that a CUDA device copies from by itself

    Workers are not forks of this process, whose threads a fork would inherit in any state.

    Raises: BadInput for files that cannot be read; Failed if a worker died.
    """
    slots = range(stream.batch) if slots is None else slots
    loader = DataLoader(
        stream,
        batch_size=len(slots) // parts,
        sampler=_Positions(steps, stream.batch, slots),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_settle,
        prefetch_factor=2 if workers else None,
        multiprocessing_context=fresh_processes() if workers else None,
        pin_memory=pinned,
    )
    with _patient():
        items = iter(loader)
    try:
        yield from zip(*[items] * parts, strict=True)
    except BadInput as error:  # torch wraps a worker's error in its traceback
        raise BadInput(str(error).rpartition("BadInput: ")[2].strip()) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise Failed(
            "a process that reads images has died (out of memory, or killed): use fewer --workers; "
            "--resume goes on"
        ) from error


@contextmanager
def _patient() -> Iterator[None]:
    """Puts SIGCHLD back: torch would raise for a dead worker in the middle of a step.

    Without, it finds out when it waits for the next batch.
    """
    before = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)


def keep_memory() -> None:
    """Images reuse the memory of those before them, where the C library is GNU's.

    It would else go back to the system after each image and come back in pages of 4 KiB, which
    takes a fifth of the time of reading 2048 x 1024.
    """
    found = ctypes.CDLL(None) if sys.platform == "linux" else None
    if found is not None and hasattr(found, "mallopt"):
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            found.mallopt(option, _LARGEST)


def _settle(_: int) -> None:
    """One thread a worker; a signal to the run is the parent's to answer."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setpgid"):  # torchrun and batch systems signal whole groups of processes
        os.setpgid(0, 0)


def collate(items: list[Item]) -> Item:
    """A batch of inputs and targets from single ones."""
    images, targets = zip(*items, strict=True)
    return torch.stack(images), _stack(list(targets))


def _stack(values: list[T]) -> T:
    """Stacks tensors, and dataclasses of tensors field by field."""
    first: Any = values[0]
    if isinstance(first, Tensor):
        return torch.stack(values)  # type: ignore[arg-type,return-value]
    if is_dataclass(first):
        columns = {f.name: _stack([getattr(v, f.name) for v in values]) for f in fields(first)}
        return type(first)(**columns)  # type: ignore[misc,return-value]
    return values[0]


def to_device(value: T, device: torch.device) -> T:
    """Moves tensors, and dataclasses of tensors field by field."""
    return mapped(value, lambda tensor: tensor.to(device, non_blocking=True))
