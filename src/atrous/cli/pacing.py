"""At what pace the work of `parse` is done: how much of it at a time, and how much there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Optional

import typer

from atrous.types import BadInput

Batch = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="images of one size at a time", show_default="8 on CUDA, else 1"),
]
Workers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="threads that read, and that write", show_default="a core each, to 8"),
]
Frames = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="of each video and camera", show_default="all"),
]
Stretch = Annotated[
    bool, typer.Option("--stretch", help="scale 16-bit and TIFF images by their own range")
]


def take_device(device: str) -> None:
    """Of several processes of a machine, each takes a CUDA device of its own."""
    if int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1 and device in ("auto", "cuda"):
        import torch

        if count := torch.cuda.device_count():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % count)


def batch_of(asked: int | None, device: str, inputs: Sequence[Any]) -> int:
    """What is asked for; else what suits the device, and one where a camera shows now."""
    from atrous.parser import pick_device

    is_fast = pick_device(device).type == "cuda" and not any(each.is_live for each in inputs)
    return asked or (8 if is_fast else 1)


def threads_of(asked: int | None) -> int:
    """What is asked for; else a core each, 2 to 8."""
    return asked or min(8, max(2, os.cpu_count() or 1))


def pictures_in(inputs: Sequence[Any], frames: int | None) -> int | None:
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
