"""Video files and cameras, frame by frame, and films that are there whole or not at all."""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from atrous.types import BadInput, Failed, Image

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv", ".flv"),
        *(".3gp", ".mts", ".m2ts"),
    }
)
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""What films are written in: codecs that OpenCV's wheel has of its own."""
USUAL_FPS = 25.0
RESERVE = 2**18
"""Bytes that stay free on the disk besides what a frame may take, so that a film can be closed."""


class Video:
    """The frames of a file or of a camera, one after the other.

    place  a file, or the number of a camera

    Raises: BadInput if it cannot be opened, or has no frame.
    """

    def __init__(self, place: Path | int) -> None:
        self.name = f"camera:{place}" if isinstance(place, int) else str(place)
        self.is_live = isinstance(place, int)
        if isinstance(place, Path):
            _require_file(place)
        _hush()
        source, backend = (place, cv2.CAP_ANY) if self.is_live else (str(place), cv2.CAP_FFMPEG)
        self._stream = cv2.VideoCapture(source, backend)
        self._first = self._decoded()
        if self._first is None:
            self._stream.release()
            raise BadInput(f"{self.name}: {_nothing(self.is_live)}")
        self.frames = 0
        """How many have been read."""

    @property
    def fps(self) -> float:
        """Frames a second; 25 where the file does not say."""
        told = float(self._stream.get(cv2.CAP_PROP_FPS))
        return told if math.isfinite(told) and 0 < told <= 1000 else USUAL_FPS

    @property
    def told(self) -> int:
        """How many frames a file says that it has, 0 where it says nothing; it may be wrong."""
        count = float(self._stream.get(cv2.CAP_PROP_FRAME_COUNT))
        known = not self.is_live and math.isfinite(count) and 0 < count < 2**31
        return int(count) if known else 0

    @property
    def missing(self) -> str:
        """What is wrong with a video that has ended, in words; empty where nothing is."""
        if self.is_live:
            return f"stopped after {self.frames} frames: what it showed is kept; check its cable"
        if self.told and self.frames + 2 < 0.95 * self.told:
            told = f"ends after {self.frames} of {self.told} frames"
            return f"{told}, the others are damaged or cut off: what was read is kept"
        return ""

    def read(self) -> Image | None:
        """The next frame, (h, w, 3) RGB, upright; None when there is none left."""
        frame, self._first = self._first, None
        frame = self._decoded() if frame is None else frame
        self.frames += frame is not None
        return frame

    def __iter__(self) -> Iterator[Image]:
        while (frame := self.read()) is not None:
            yield frame

    def close(self) -> None:
        """Gives the file or the camera back."""
        self._stream.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decoded(self) -> Image | None:
        try:
            is_there, frame = self._stream.read()
        except cv2.error:  # what some drivers answer when a camera is pulled out
            return None
        if not is_there:
            return None
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class Film:
    """A video that is written under a hidden name and gets its own when it is whole.

    Frames of an odd height or width lose their last row or column to the codec: one that repeats
    it is added. There is no sound.

    path  ends in one of `CODECS`

    Raises: BadInput for another ending, or if there can be no file.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        codec = CODECS.get(path.suffix.lower())
        if codec is None:
            raise BadInput(f"{path}: films end in {', '.join(CODECS)}: choose one of these")
        self.path, self._fps, self._codec = path, fps, codec
        self._beside = path.parent / f".{uuid.uuid4().hex}.tmp{path.suffix.lower()}"
        self._writer: cv2.VideoWriter | None = None
        self._size_hw = (0, 0)
        self.frames = 0
        """How many have been written."""

    def add(self, picture: Image) -> None:
        """Writes one frame, (h, w, 3) RGB; the first says how large all are.

        Raises: Failed if there is no room for it; the film can be closed then. BadInput if there
        can be no such file.
        """
        even = _even(picture)
        if self._writer is None:
            self._begin((even.shape[0], even.shape[1]))
        elif even.shape[:2] != self._size_hw:
            resized = cv2.resize(even, self._size_hw[::-1], interpolation=cv2.INTER_AREA)
            even = np.asarray(resized, dtype=np.uint8)
        self._require_room(even.nbytes)
        assert self._writer is not None
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Gives the film its name; one without frames leaves nothing.

        Raises: Failed if it turns out not to be whole; nothing is left then.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            if not _is_whole(self._beside):
                what = "the film could not be written to its end; is the disk full?"
                raise Failed(f"{self.path}: {what} Make room and run it again")
            self._beside.replace(self.path)
        finally:
            with suppress(OSError):
                self._beside.unlink()

    def _begin(self, size_hw: tuple[int, int]) -> None:
        _hush()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size_hw, height_width = size_hw, size_hw
        self._require_room(2 * math.prod(size_hw))
        code = cv2.VideoWriter.fourcc(*self._codec)
        self._writer = cv2.VideoWriter(
            str(self._beside), cv2.CAP_FFMPEG, code, self._fps, height_width[::-1]
        )
        if not self._writer.isOpened():
            self._writer = None
            with suppress(OSError):
                self._beside.unlink()
            why = f"no film of {size_hw[0]}x{size_hw[1]} pixels can be written here"
            raise BadInput(f"{self.path}: {why}: choose another place, or a folder")

    def _require_room(self, raw: int) -> None:
        """The codec tells nobody of a full disk: so there must be room for all that it may need.

        raw  bytes of a frame's pixels, which it takes at the very most; its index takes some too
        """
        free = shutil.disk_usage(self.path.parent).free
        if free < raw + 64 * self.frames + RESERVE:
            kept = f"its first {self.frames} frames are kept" if self.frames else "nothing is"
            raise Failed(f"{self.path}: no room for more on this disk, {kept}: make room for it")


def _even(picture: Image) -> Image:
    """The picture with a last row or column repeated where its sides are odd."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _is_whole(path: Path) -> bool:
    try:
        with Video(path):
            return True
    except BadInput:
        return False


def _require_file(path: Path) -> None:
    """Raises BadInput if there is no such file, or nothing in it."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file: check the path") from None
    if not size and path.is_file():
        raise BadInput(f"{path}: the file is empty: copy or export it again")


def _nothing(is_live: bool) -> str:
    if is_live:
        return "no picture comes from this camera: check its number, its cable and who else has it"
    return "no frame can be read, or it is no video: copy or export it again"


def _hush() -> None:
    """Keeps the words of FFmpeg and OpenCV off stderr: we say what is wrong in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
