"""Many pictures through one parser: from what is named to what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from atrous.batch.answers import Answer, Over, Record
from atrous.batch.frames import Frames
from atrous.batch.inputs import Input, names, source_of
from atrous.batch.journal import Ended, now
from atrous.batch.line import AnyParser, Job, Line
from atrous.batch.sharing import Others, Share
from atrous.batch.shelf import Shelf, record_of, require_name, stamp_of
from atrous.batch.showing import Screen
from atrous.draw import USUAL, Style
from atrous.formats import read_image
from atrous.processes import stopped_by_signals
from atrous.result import Result
from atrous.tracking import Tracker
from atrous.types import BadInput, Failed, Image
from atrous.video import Video

POLL_S = 0.5
"""Between two looks at what other processes have done."""


@dataclass(frozen=True, slots=True)
class How:
    """How the work is done; none of it changes a result but `stretch`.

    batch    pictures of one size that the network sees together
    workers  threads that read, and as many that write
    stretch  16-bit images and TIFF by their own range
    frames   of each video and camera, 0 = all there are
    stop     says, between two frames of a camera, whether that was all
    style    the look of a film
    """

    batch: int = 1
    workers: int = 4
    stretch: bool = False
    frames: int = 0
    stop: Callable[[], bool] = lambda: False
    style: Style = USUAL


def parse_all(
    parser: AnyParser,
    inputs: Sequence[Input],
    *,
    shelf: Shelf | None = None,
    film: Path | None = None,
    how: How | None = None,
    share: Share | None = None,
) -> Generator[Answer, None, None]:
    """An answer for each picture, in the order of the inputs; what cannot be used is a problem.

    What a folder holds already is not parsed again, but answered from its journal. Left early or
    not, its panoptic.json lists all that is in it, and a film is closed with the frames it has. The
    contact sheet is made at the end alone.

    shelf  the folder that results go to
    film   the video that the frames of the one input, a video, go to
    share  of this process among several

    Raises: Failed if a disk is full, for one; BadInput if nothing can be written there at all.
    """
    with stopped_by_signals():
        run = _Run(parser, inputs, shelf=shelf, film=film, how=how or How(), share=share or Share())
        with closing(run.answers()) as answers:
            yield from answers


class _Run:
    def __init__(
        self,
        parser: AnyParser,
        inputs: Sequence[Input],
        *,
        shelf: Shelf | None,
        film: Path | None,
        how: How,
        share: Share,
    ) -> None:
        self._parser, self._inputs, self._shelf, self._how = parser, inputs, shelf, how
        self._names = names(inputs, shelf.names if shelf else {})
        self._screen = Screen(film, how.style) if film else None
        self._share = share
        self._others = Others(inputs, shelf.journal, share) if shelf and share.size > 1 else None
        self._line = Line(
            parser,
            batch=how.batch,
            workers=how.workers,
            is_live=any(each.is_live for each in inputs),
        )

    def answers(self) -> Generator[Answer, None, None]:
        try:
            yield from self._parsed(self._share.own(self._inputs))
            if self._shelf and self._others:
                yield from self._left_by(self._others, self._shelf)
        except BaseException:
            with suppress(BadInput, Failed, OSError):  # what ended the run is told already
                self._finish(is_stopped=True)
            raise
        self._finish()

    def _parsed(self, inputs: Iterable[Input]) -> Iterator[Answer]:
        with closing(self._jobs(inputs)) as jobs:
            for told in self._line.answers(jobs):
                if isinstance(told, Over):
                    yield from self._over(told)
                    continue
                if self._screen and told.picture is not None:
                    self._screen.show(told.picture)
                if self._others and not told.is_old:
                    self._others.own_step(told)
                yield replace(told, picture=None)

    def _left_by(self, others: Others, shelf: Shelf) -> Iterator[Answer]:
        """What processes that fell silent have left undone; until all is done by somebody."""
        while others.missing():
            if left := others.left_by_silent():
                yield from self._parsed(others.still_missing(left))
            else:
                time.sleep(POLL_S)
            shelf.journal.refresh()

    def _jobs(self, inputs: Iterable[Input]) -> Generator[Job | Answer, None, None]:
        for each in inputs:
            done = list(self._shelf.old(each, limit=self._how.frames)) if self._shelf else []
            if done and not self._screen:
                yield from done
            elif each.is_video:
                yield from self._film_jobs(each)
            else:
                yield self._job(each)

    def _job(self, each: Input) -> Job:
        stamp = stamp_of(each)

        def read() -> Image:
            require_name(each)
            return read_image(each.path, stretch=self._how.stretch)

        def finish(result: Result) -> Answer:
            named = replace(result, name=self._names[each], file=each.path.name)
            source = source_of(each)
            record = record_of(named, unit=named.name, source=source, stamp=stamp)
            return self._kept(each, named, record)

        return Job(each.file, read=read, finish=finish)

    def _film_jobs(self, each: Input) -> Iterator[Job | Answer]:
        try:
            require_name(each)
            video = Video(each.place)
        except BadInput as error:
            yield Answer(each.file, problem=str(error))
            return
        if self._screen:
            self._screen.begin(video)
        stamp = (0, time.time_ns()) if each.is_live else stamp_of(each)
        source = f"{each.file}@{stamp[1]}" if each.is_live else source_of(each)
        frames = Frames(video, limit=self._how.frames, stop=self._how.stop)
        yield from frames.jobs(
            partial(self._frame, each, source, stamp),
            source=source,
            stamp=stamp,
            tracker=Tracker(len(self._parser.labels)),
        )

    def _frame(
        self, each: Input, source: str, stamp: tuple[int, int], number: int, result: Result
    ) -> Answer:
        unit = self._names[each]
        name = f"{unit}_{number:06}"
        named = replace(result, name=name, file=f"{name}.png", is_frame=True)
        record = record_of(named, unit=unit, source=source, stamp=stamp, frame=number)
        return self._kept(each, named, record)

    def _kept(self, each: Input, result: Result, record: Record) -> Answer:
        """What is to be told of a result that has been written; in a thread that writes."""
        picture = self._screen.drawn(result) if self._screen else None
        if self._shelf is None:
            return Answer(each.file, record, picture=picture)
        self._shelf.journal.begin()
        try:
            record = self._shelf.add(result, record)
        except BadInput as error:  # about this picture alone
            return Answer(each.file, problem=f"{each.file}: {error}")
        return Answer(each.file, record, outputs=self._shelf.outputs(record), picture=picture)

    def _over(self, over: Over) -> Iterator[Answer]:
        """Behind the last frame of a video."""
        if self._screen:
            self._screen.close()
        if self._shelf and over.frames:
            self._shelf.ended(
                Ended(
                    over.source,
                    over.stamp,
                    now(),
                    frames=over.frames,
                    limit=self._how.frames,
                    problem=over.problem,
                )
            )
        if over.problem:
            yield Answer(over.file, problem=over.problem)

    def _finish(self, *, is_stopped: bool = False) -> None:
        if self._screen:
            self._screen.close()
        if self._shelf:
            self._shelf.finish(self._order(), self._parser.labels, is_stopped=is_stopped)

    def _order(self) -> Mapping[str, int]:
        return {self._names[each]: place for place, each in enumerate(self._inputs)}
