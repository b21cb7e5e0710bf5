"""A file that grows by lines, read on from where it was left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


class Tail:
    """The whole lines of a file, each once; all of them again once the file is begun anew.

    It is begun anew if its first line is another, however long it has grown since.

    is_stale  what it holds counts for nothing until it is begun anew, or somebody writes on
    """

    def __init__(self, path: Path, *, is_stale: bool = False) -> None:
        self._path, self._place = path, 0
        self._first, self._stale_size = b"", -1
        if is_stale:
            with suppress(FileNotFoundError), path.open("rb") as file:
                self._first, self._stale_size = file.readline(), file.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are new, each with its place; none are left of before one at 0."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            first, size = file.readline(), file.seek(0, os.SEEK_END)
            if (first, size) == (self._first, self._stale_size):
                return
            if first != self._first:
                self._place = 0
            self._first, self._stale_size = first, -1
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                place, self._place = self._place, self._place + len(line)
                yield place, line
