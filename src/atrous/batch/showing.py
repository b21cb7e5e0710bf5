"""The film of a parsed video: its frames with their segments painted over."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from atrous.draw import Style
from atrous.result import Result
from atrous.types import Image
from atrous.video import Film, Video


class Screen:
    """Shows the frames of one video in a film of its size and speed.

    What a camera shows is repeated as long as it was to be seen: however long parsing takes, the
    film runs as fast as the time did.
    """

    def __init__(self, path: Path, style: Style) -> None:
        self._path, self._style = path, replace(style, legend=False)
        self._film = Film(path, fps=1.0)  # tells of a bad ending at once
        self._is_live, self._fps, self._begun = False, 0.0, 0.0

    def begin(self, video: Video) -> None:
        """Prepares a film of this video; nothing is written yet."""
        self._is_live, self._fps, self._begun = video.is_live, video.fps, time.monotonic()
        self._film = Film(self._path, fps=video.fps)

    def drawn(self, result: Result) -> Image:
        """A frame of the film, in any thread; (h, w, 3) of the size of the image."""
        return result.painted(self._style)

    def show(self, picture: Image) -> None:
        """Adds a frame to the film.

        Raises: Failed if there is no room for it; BadInput if there can be no film.
        """
        times = 1
        if self._is_live:
            passed = time.monotonic() - self._begun
            times = max(1, round(passed * self._fps) - self._film.frames)
        for _ in range(times):
            self._film.add(picture)

    def close(self) -> None:
        """Gives the film its name; again does nothing.

        Raises: Failed if it is not whole.
        """
        self._film.close()
