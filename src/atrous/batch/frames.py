"""The frames of one video as jobs, read one by one while others are parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from atrous.batch.answers import Answer, Over, Stamp
from atrous.batch.line import Job
from atrous.result import Result
from atrous.tracking import Tracker
from atrous.types import Image
from atrous.video import Video

Finish = Callable[[int, Result], Answer]
"""Makes an answer of a frame's number, from 1, and its result."""


class Frames:
    """What is read of a video, and how it ended.

    limit  frames to read, 0 = all
    stop   says, between two frames of a camera, whether that was all
    """

    def __init__(self, video: Video, *, limit: int, stop: Callable[[], bool]) -> None:
        self._video, self._limit, self._stop = video, limit, stop
        self.is_over, self.problem, self._is_told = False, "", False

    def jobs(self, finish: Finish, *, source: str, stamp: Stamp, tracker: Tracker) -> Iterator[Job]:
        """A job for each frame; those behind the last find no picture, and the first says so."""
        reader, number = ThreadPoolExecutor(1), 0
        over = partial(self._over, source, stamp)
        try:
            while not self.is_over:
                number += 1
                yield Job(
                    self._video.name,
                    read=self._read,
                    finish=partial(finish, number),
                    missed=over,
                    readers=reader,
                    tracker=tracker,
                )
        finally:
            reader.shutdown(cancel_futures=True)
            self._video.close()

    def _read(self) -> Image | None:
        """The next frame, in the one thread that reads them."""
        if self.is_over:
            return None
        is_enough = bool(self._limit) and self._video.frames == self._limit
        if is_enough or (self._video.is_live and self._stop()):
            self.is_over = True
            return None
        frame = self._video.read()
        if frame is None:
            self.problem, self.is_over = self._video.missing, True
        return frame

    def _over(self, source: str, stamp: Stamp) -> Over | None:
        if self._is_told:
            return None
        self._is_told = True
        problem = f"{self._video.name}: {self.problem}" if self.problem else ""
        return Over(self._video.name, source, stamp, self._video.frames, problem)
