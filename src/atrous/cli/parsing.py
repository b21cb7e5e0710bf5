"""The verb `parse`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from typing import Annotated, Any

import typer

from atrous.cli.app import DEFAULT_MODEL, Device, Model, Quiet, Settings, app, complain, is_first
from atrous.cli.drawing import (
    Alpha,
    By,
    ContactSheet,
    NoContours,
    NoLabels,
    NoLegend,
    Overlay,
    Picture,
)
from atrous.cli.keys import pressed
from atrous.cli.pacing import (
    Batch,
    Frames,
    Stretch,
    Workers,
    batch_of,
    pictures_in,
    take_device,
    threads_of,
)
from atrous.cli.placing import (
    FOLDER,
    Confidence,
    Format,
    Out,
    Overwrite,
    Places,
    Semantic,
    make_shelf,
)
from atrous.cli.seeing import (
    Compile,
    Flip,
    LeastArea,
    OutputStride,
    Precision,
    RejectBelow,
    Scales,
    Tile,
    Window,
    make_parser,
)

__all__ = ["make_parser", "parse"]

TALKATIVE = 100
"""Pictures up to which each has a line on stderr."""


@app.command()
def parse(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|DIR|PATTERN|VIDEO|camera:N|-...",
            help="what to parse; - = a list on stdin",
        ),
    ],
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    overwrite: Overwrite = False,
    format: Format = "coco",
    semantic: Semantic = False,
    confidence: Confidence = False,
    contact_sheet: ContactSheet = False,
    overlay: Overlay = "overlay",
    picture: Picture = "png",
    by: By = "instance",
    alpha: Alpha = 0.5,
    no_contours: NoContours = False,
    no_labels: NoLabels = False,
    no_legend: NoLegend = False,
    output_stride: OutputStride = None,
    scales: Scales = None,
    flip: Flip = None,
    window: Window = None,
    tile: Tile = None,
    reject_below: RejectBelow = None,
    least_area: LeastArea = None,
    settings: Settings = None,
    precision: Precision = "auto",
    compile: Compile = False,
    batch: Batch = None,
    workers: Workers = None,
    frames: Frames = None,
    stretch: Stretch = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON line an image")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse images and videos; write overlays, segment ids and COCO panoptic JSON.

    What is in the folder already is skipped: the same command goes on where
    it stopped.

    A camera shows until q, Ctrl-C or --frames.

    Under torchrun the inputs are shared out.
    """
    from atrous.batch import How, Share, find_inputs, parse_all
    from atrous.draw import Style

    found = find_inputs(inputs, listed=sys.stdin.buffer if "-" in inputs else None)
    places, share = Places.of(out or [FOLDER], found), Share.told()
    if contact_sheet:
        places.require_sheet(overlay, found)
    seen: dict[str, Any] = {"scales": scales, "flip": flip, "window": window, "tile": tile}
    seen |= {"precision": precision, "reject_below": reject_below, "least_area": least_area}
    settled = {"output_stride": output_stride, "set": settings, **seen, "stretch": stretch}
    style = Style(by, alpha, not no_contours, not no_labels, not no_legend)
    look = {"format": format, "overlay": overlay, "picture": picture, "style": style}
    maps = {"semantic": semantic, "confidence": confidence}
    about: Any = {"seen": settled, "look": look, "maps": maps}
    about |= {"has_sheet": contact_sheet, "overwrite": overwrite}
    shelf = make_shelf(places.folder, model, **about) if places.folder else None
    take_device(device)
    parser = make_parser(model, device, output_stride, settings, compile=compile, **seen)
    if shelf:
        shelf.check(parser.labels)
    talk = _Talk(as_json=as_json, quiet=quiet, total=pictures_in(share.own(found), frames))
    with pressed("q", wanted=any(each.is_live for each in found)) as stop:
        size, threads = batch_of(batch, device, found), threads_of(workers)
        how = How(size, threads, stretch, frames or 0, stop, style)
        options: Any = {"shelf": shelf, "film": places.film, "how": how, "share": share}
        with closing(parse_all(parser, found, **options)) as answers:
            code = talk.listen(answers)
    talk.sum_up(str(places), shelf and shelf.sheet)
    return code


class _Talk:
    """What people and programs are told of the answers."""

    def __init__(self, *, as_json: bool, quiet: bool, total: int | None) -> None:
        self._as_json, self._quiet, self._total = as_json, quiet, total
        self._new = self._old = self._bad = 0
        self._begun = time.monotonic()

    def listen(self, answers: Any) -> int:
        """Tells of each answer; returns the exit code."""
        from atrous.progress import progress

        with progress(self._total, quiet=self._quiet or not is_first()) as advance:
            for done, answer in enumerate(answers, start=1):
                self._tell(answer)
                advance(done)
        if self._bad and not self._new and not self._old and self._bad == 1:
            return 2
        return 1 if self._bad else 0

    def _tell(self, answer: Any) -> None:
        if answer.problem:
            self._bad += 1
            complain(answer.problem)
            return
        self._old, self._new = self._old + answer.is_old, self._new + (not answer.is_old)
        if self._as_json:
            print(json.dumps(answer.to_json()), flush=True)
        elif not self._quiet and not answer.is_old and (self._total or TALKATIVE) <= TALKATIVE:
            print(f"{answer.title}: {answer.words}", file=sys.stderr)

    def sum_up(self, places: str, sheet: Any) -> None:
        """The last lines: how many, how fast, where; and what is on the contact sheet."""
        parsed = self._new + self._old
        if self._quiet or (not parsed and self._bad == 1):
            return
        before = f" ({self._old} were done before)" if self._old else ""
        speed = self._new / max(time.monotonic() - self._begun, 1e-9)
        fast = f", {speed:.2g} images/s" if self._new else ""
        where = f", see {places}" if parsed else ""
        print(f"{parsed} of {parsed + self._bad} parsed{before}{fast}{where}", file=sys.stderr)
        if sheet:
            print(sheet, file=sys.stderr)
