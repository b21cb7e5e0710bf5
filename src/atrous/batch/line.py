"""Pictures through one parser while others are read and written: the network does not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from atrous.batch.answers import Answer, Over
from atrous.labels import LabelSpace
from atrous.result import Result
from atrous.tracking import Tracker
from atrous.types import BadInput, Image

PIXELS = 2**26
"""Of all pictures that are under way at a time: each takes some twenty bytes till it is written."""
Told = Answer | Over | None
MEND = "use a smaller --batch, or --tile"


class AnyParser(Protocol):
    """What is needed of a parser; `atrous.load` gives one."""

    @property
    def labels(self) -> LabelSpace:
        """The classes that it knows."""

    def input_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of the network's input for an image of a size."""

    def stream(self, images: Iterable[Image], *, batch: int) -> Iterator[Result]:
        """A result for each image, `batch` at a time."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to parse.

    file     what the user calls it
    read     gives its pixels, or None if there is none, and may raise BadInput
    readers  what calls `read`; None = any thread
    finish   makes an answer of its result, in any thread
    missed   what there is to tell where there was no picture, in its turn
    tracker  of the video that it is a frame of
    """

    file: str
    read: Callable[[], Image | None]
    finish: Callable[[Result], Answer]
    missed: Callable[[], Over | None] = lambda: None
    readers: Executor | None = None
    tracker: Tracker | None = None


@dataclass(slots=True)
class _Slot:
    job: Job | None
    reading: Future[Image | None] | None = None
    answer: Future[Told] | None = None

    def told(self, answer: Told) -> None:
        self.answer = Future()
        self.answer.set_result(answer)


class Line:
    """One parser with readers before it and writers behind it; answers keep the order of the jobs.

    batch    pictures of one network input size that go through the network together
    workers  threads that read, and as many that write
    is_live  few are read ahead: what a camera shows is soon old
    """

    def __init__(
        self, parser: AnyParser, *, batch: int, workers: int, is_live: bool = False
    ) -> None:
        self._parser, self._batch, self._workers = parser, batch, workers
        self._most, self._largest = batch + 1 if is_live else 4 * batch + 2 * workers, 1

    def answers(self, jobs: Iterator[Job | Answer]) -> Iterator[Answer | Over]:
        """The answer to each job, and each answer among the jobs in its turn.

        Few are under way at a time, by number and by pixels. Left early, what is being written is
        finished first.

        Raises: what `finish` raises.
        """
        with (
            ThreadPoolExecutor(self._workers) as readers,
            ThreadPoolExecutor(self._workers) as writers,
        ):
            under_way = _UnderWay(jobs, readers, writers)
            try:
                yield from self._answers(under_way)
            finally:
                under_way.stop()

    def _answers(self, under_way: _UnderWay) -> Iterator[Answer | Over]:
        while True:
            under_way.fill(max(2, min(self._most, PIXELS // self._largest)))
            if not under_way.slots:
                return
            if group := self._group(under_way):
                self._parse(group, under_way.writers)
            yield from under_way.done(wait=not group)

    def _group(self, under_way: _UnderWay) -> list[tuple[_Slot, Image]]:
        """The next pictures to parse: the first that is not, and those behind it of its size."""
        group: list[tuple[_Slot, Image]] = []
        wanted = None
        for slot in under_way.slots:
            image = self._read(slot) if slot.answer is None else None
            if image is None:
                continue
            size = self._parser.input_hw((image.shape[0], image.shape[1]))
            wanted = wanted or size
            if size == wanted:
                group.append((slot, image))
            if len(group) == self._batch:
                break
        return group

    def _read(self, slot: _Slot) -> Image | None:
        """The pixels, when they are there; else the slot has its answer."""
        assert slot.job
        assert slot.reading
        try:
            image = slot.reading.result()
        except BadInput as error:
            slot.told(Answer(slot.job.file, problem=str(error)))
            return None
        if image is None:
            slot.told(slot.job.missed())
            return None
        self._largest = max(self._largest, image.shape[0] * image.shape[1])
        return image

    def _parse(self, group: list[tuple[_Slot, Image]], writers: Executor) -> None:
        try:
            images = [image for _, image in group]
            results = list(self._parser.stream(images, batch=len(images)))
        except (BadInput, MemoryError, RuntimeError) as error:
            if not isinstance(error, BadInput | MemoryError) and not _is_memory(error):
                raise
            if len(group) > 1:  # one may be to blame, or their number
                for alone in group:
                    self._parse([alone], writers)
                return
            self._refused(group[0][0], error)
            return
        for (slot, _), result in zip(group, results, strict=True):
            assert slot.job
            if slot.job.tracker:
                result = replace(result, parse=slot.job.tracker.update(result.parse))
            slot.answer = writers.submit(slot.job.finish, result)
            slot.reading = None  # the pixels go when they are written

    def _refused(self, slot: _Slot, error: Exception) -> None:
        assert slot.job
        what = str(error) if isinstance(error, BadInput) else f"too little memory for it: {MEND}"
        prefix = "" if what.startswith(slot.job.file) else f"{slot.job.file}: "
        slot.told(Answer(slot.job.file, problem=f"{prefix}{what}"))


class _UnderWay:
    """Slots in the order of their jobs, from reading to their answer."""

    def __init__(self, jobs: Iterator[Job | Answer], readers: Executor, writers: Executor) -> None:
        self.slots: deque[_Slot] = deque()
        self.writers = writers
        self._jobs, self._readers = jobs, readers

    def fill(self, most: int) -> None:
        """Begins to read more, up to so many under way."""
        for job in islice(self._jobs, max(0, most - len(self.slots))):
            if isinstance(job, Answer):
                slot = _Slot(None)
                slot.told(job)
            else:
                slot = _Slot(job, (job.readers or self._readers).submit(job.read))
            self.slots.append(slot)

    def done(self, *, wait: bool) -> Iterator[Answer | Over]:
        """The answers at the front that are there; if asked to, it waits for the first."""
        while self.slots and (answer := self.slots[0].answer) and (wait or answer.done()):
            told = answer.result()
            self.slots.popleft()
            wait = False
            if told is not None:
                yield told

    def stop(self) -> None:
        """What has not begun will not; what is being read is not waited for in vain."""
        for slot in self.slots:
            for future in (slot.reading, slot.answer):
                if future:
                    future.cancel()


def _is_memory(error: Exception) -> bool:
    """Whether torch had too little memory; on the CPU it says so in words alone."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
