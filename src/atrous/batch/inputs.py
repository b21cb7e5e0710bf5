"""What the words of a command line name: images, folders, patterns, lists, videos, cameras."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from atrous.formats import image_files
from atrous.types import BadInput
from atrous.video import VIDEO_SUFFIXES

CAMERA = re.compile(r"(?:camera|webcam):(\d+)")
DEVICE = re.compile(r"/dev/video(\d+)")
FRAME = re.compile(r"(.*)_\d{6,}")
ADDRESS = re.compile(r"[a-z][a-z0-9+]+://")
PATTERN = re.compile(r"[*?\[]")
LIST = "-"


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to parse: an image or a video by its path, or a camera by its number."""

    place: Path | int
    is_video: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it is a camera."""
        return isinstance(self.place, int)

    @property
    def file(self) -> str:
        """What it is called in answers."""
        return f"camera:{self.place}" if self.is_live else str(self.place)

    @property
    def path(self) -> Path:
        """A path whose stem its results can be named after."""
        return self.place if isinstance(self.place, Path) else Path(f"camera{self.place}")


def find_inputs(words: Sequence[str], *, listed: BinaryIO | None = None) -> list[Input]:
    """What is named, each once, in the order in which it is named; folders by file name.

    words   files, folders (the images directly in them), patterns that no shell has expanded
            (`**` = any folders), `camera:N` and `webcam:N`, and `-`, the list
    listed  files and folders, one a line, or with NUL behind each

    Raises: BadInput if something does not exist, or a folder or a list names nothing.
    """
    found: dict[Input, None] = {}
    for word in words:
        named = _listed(listed) if word == LIST else _named(word)
        found |= dict.fromkeys(named)
    return list(found)


def _named(word: str) -> Iterator[Input]:
    camera = CAMERA.fullmatch(word)
    if camera:
        yield Input(int(camera[1]), is_video=True)
        return
    if ADDRESS.match(word):
        raise BadInput(f"{word}: is an address, not a file: save what is there, and name the file")
    if not word:
        raise BadInput("'': an empty name: give that of a file or a folder")
    is_pattern = PATTERN.search(word) and not Path(word).exists()
    for path in _matches(word) if is_pattern else [Path(word)]:
        yield from _existing(path)


def _matches(pattern: str) -> list[Path]:
    matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if not matches:
        raise BadInput(f"{pattern}: nothing is called so: check the pattern")
    files = [Path(match) for match in matches if not os.path.isdir(match)]
    if not files:
        what = f"name what is in them, such as '{pattern}/*.jpg'"
        raise BadInput(f"{pattern}: only folders are called so: {what}")
    return files


def _existing(path: Path) -> Iterator[Input]:
    if path.is_dir():
        inside = image_files(path)
        if not inside:
            what = f"name another, or a pattern such as '{path}/**/*.jpg'"
            raise BadInput(f"{path}: no images directly in this folder: {what}")
        yield from map(Input, inside)
    elif not path.exists():
        raise BadInput(f"{path}: no such file: check the path")
    elif (device := DEVICE.fullmatch(str(path))) and stat.S_ISCHR(path.stat().st_mode):
        yield Input(int(device[1]), is_video=True)
    else:
        yield Input(path, is_video=path.suffix.lower() in VIDEO_SUFFIXES)


def _listed(stream: BinaryIO | None) -> Iterator[Input]:
    data = stream.read() if stream else b""
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    named = [os.fsdecode(line) for line in lines if line.strip()]
    if not named:
        raise BadInput("-: the list on stdin is empty: pipe paths into it, one a line")
    for name in named:
        yield from _existing(Path(name))


def names(
    inputs: Iterable[Input], known: Mapping[str, str] = MappingProxyType({})
) -> dict[Input, str]:
    """A name for the results of each: its stem, with the folder where stems are alike.

    Names that are still alike are numbered: no two have one name, nor has a frame of a video, that
    is NAME_000001, the name of another. Videos come after images.

    known  name of what was named before, by `source_of`; they keep it, and nobody else gets it
    """
    ordered = sorted(inputs, key=lambda i: i.is_video)  # stable: else as they are
    stems = Counter(i.path.stem for i in ordered)
    taken, found = _Taken(known.values()), {}
    for each in ordered:
        before = known.get(source_of(each))
        stem, folder = each.path.stem, each.path
        wanted = stem if stems[stem] == 1 else f"{folder.resolve().parent.name}_{stem}"
        found[each] = before or taken.free(wanted, is_video=each.is_video)
    return found


def source_of(each: Input) -> str:
    """What an input is remembered by: its path from the root; a camera shows each time anew."""
    return "" if each.is_live else os.path.abspath(each.path)


class _Taken:
    """Names that are given, and those before the numbers of frames."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._framed = {match[1] for name in self._names if (match := FRAME.fullmatch(name))}
        self._films: set[str] = set()
        self._next: Counter[str] = Counter()

    def free(self, wanted: str, *, is_video: bool) -> str:
        """The name itself, or the first with a number behind it that nobody has."""
        name = wanted
        if not self._is_free(name, is_video):
            numbers = count(max(2, self._next[wanted]))
            number = next(n for n in numbers if self._is_free(f"{wanted}_{n}", is_video))
            name, self._next[wanted] = f"{wanted}_{number}", number + 1
        self._names.add(name)
        if is_video:
            self._films.add(name)
        if match := FRAME.fullmatch(name):
            self._framed.add(match[1])
        return name

    def _is_free(self, name: str, is_video: bool) -> bool:
        if name in self._names or (is_video and name in self._framed):
            return False
        match = FRAME.fullmatch(name)
        return not (match and match[1] in self._films)
