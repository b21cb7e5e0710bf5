"""The verb `parse`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Optional

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
from atrous.cli.placing import Places, make_shelf
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
from atrous.types import BadInput

__all__ = ["make_parser", "parse"]

TALKATIVE = 100
"""Pictures up to which each has a line on stderr."""
FOLDER = Path("parsed")


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
    out: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="folder for the results, or a video file for those of a video; may be given "
            "twice for both",
            show_default=str(FOLDER),
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="start the folder's list anew, skip nothing")
    ] = False,
    format: Annotated[
        str, typer.Option(help="of label files: coco, cityscapes, voc, ade20k or mapillary")
    ] = "coco",
    semantic: Annotated[bool, typer.Option("--semantic", help="write class maps too")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="write 16-bit confidence maps too")
    ] = False,
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
    batch: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="images of one size at a time", show_default="8 on CUDA, else 1"),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="threads that read, and that write", show_default="a core each, to 8"
        ),
    ] = None,
    frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="of each video and camera", show_default="all"),
    ] = None,
    stretch: Annotated[
        bool, typer.Option("--stretch", help="scale 16-bit and TIFF images by their own range")
    ] = False,
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
    _take_device(device)
    parser = make_parser(model, device, output_stride, settings, compile=compile, **seen)
    if shelf:
        shelf.check(parser.labels)
    talk = _Talk(as_json=as_json, quiet=quiet, total=_total(share.own(found), frames))
    with pressed("q", wanted=any(each.is_live for each in found)) as stop:
        size, threads = _batch(batch, device, found), _workers(workers)
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


def _take_device(device: str) -> None:
    """Of several processes of a machine, each takes a CUDA device of its own."""
    import os

    if int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1 and device in ("auto", "cuda"):
        import torch

        if count := torch.cuda.device_count():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % count)


def _batch(asked: int | None, device: str, inputs: Sequence[Any]) -> int:
    """What is asked for; else what suits the device, and one where a camera shows now."""
    from atrous.parser import pick_device

    is_fast = pick_device(device).type == "cuda" and not any(each.is_live for each in inputs)
    return asked or (8 if is_fast else 1)


def _workers(asked: int | None) -> int:
    import os

    return asked or min(8, max(2, os.cpu_count() or 1))


def _total(inputs: Sequence[Any], frames: int | None) -> int | None:
    """How many pictures there are; None where that cannot be said."""
    from atrous.video import Video

    total = 0
    for each in inputs:
        count = 1
        if each.is_live:
            count = frames or 0
        elif each.is_video:
            try:
                with Video(each.place) as video:
                    count = min(frames or video.told, video.told)
            except BadInput:
                continue
        if not count:
            return None
        total += count
    return total
