"""Which of the inputs are this process's, and those of processes that fall silent."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from atrous.batch.answers import Answer
from atrous.batch.inputs import Input, source_of
from atrous.batch.journal import Ended, Journal, now

T = TypeVar("T")

SILENT_S = 60.0
"""After which a process that has written no line counts as dead; slow ones have longer."""
PATIENCE = 10
"""Times the longest that this process took for one picture: others may take that long too."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of `size` processes, on any machines, that parse the same inputs into one folder."""

    rank: int = 0
    size: int = 1

    @classmethod
    def told(cls) -> Share:
        """What `torchrun` says in the environment; one process alone has all."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def journal_rank(self) -> int | None:
        """Whose journal this process writes; None = it is alone."""
        return self.rank if self.size > 1 else None

    def own(self, inputs: Sequence[T]) -> list[T]:
        """What this process begins with: every one in `size`."""
        return list(inputs[self.rank :: self.size])


class Others:
    """What the other processes have still to do, and which of them are taken for dead.

    One is if its journal has not grown for a minute, or for ten times as long as this process
    took for its slowest picture.
    """

    def __init__(self, inputs: Sequence[Input], journal: Journal, share: Share) -> None:
        self._journal, self._share, begun = journal, share, time.monotonic()
        theirs = [i for i in enumerate(inputs) if i[0] % share.size != share.rank]
        self._left = [(place, each) for place, each in theirs if not each.is_live]
        self._sources = {each.file: source_of(each) for each in inputs}
        self._heard = {rank: (-1, begun) for rank in range(share.size) if rank != share.rank}
        self._slowest, self._last = 0.0, begun

    def own_step(self, answer: Answer) -> None:
        """Hears of each answer of this process; others need not try what cannot be parsed."""
        now_s = time.monotonic()
        self._slowest, self._last = max(self._slowest, now_s - self._last), now_s
        if answer.problem:
            source = self._sources[answer.file]
            self._journal.add(Ended(source, (0, 0), now(), problem=answer.problem))

    def missing(self) -> bool:
        """Whether any input of theirs has no line yet."""
        done = self._journal.done
        self._left = [(n, each) for n, each in self._left if source_of(each) not in done]
        return bool(self._left)

    def left_by_silent(self) -> list[Input]:
        """The inputs of the dead that are missing, in an order that no other process has."""
        silent = self._silent()
        left = [each for place, each in self._left if place % self._share.size in silent]
        random.Random(self._share.rank).shuffle(left)
        return left

    def still_missing(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """The inputs, without those that somebody else has done in the meantime."""
        for each in inputs:
            self._journal.refresh()
            if source_of(each) not in self._journal.done:
                yield each

    def _silent(self) -> set[int]:
        now_s, limit = time.monotonic(), max(SILENT_S, PATIENCE * self._slowest)
        for rank, (size, _) in list(self._heard.items()):
            grown = self._size(rank)
            if grown != size:
                self._heard[rank] = (grown, now_s)
        return {rank for rank, (_, heard) in self._heard.items() if now_s - heard > limit}

    def _size(self, rank: int) -> int:
        try:
            return (self._journal.folder / f"panoptic.{rank}.jsonl").stat().st_size
        except OSError:
            return -1
