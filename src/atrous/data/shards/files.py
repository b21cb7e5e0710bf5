"""Where shards lie, and how parts of them are read: from local paths, and from URLs by fsspec.

DIR/SPLIT-000.tar ...        a folder, or the URL of one that can be listed
DIR/SPLIT/NAME.tar ...       or a folder for each split
DIR/{train,val}-{000..009}.tar   a pattern, where nothing can be listed

Nothing stays open: each read opens its file, so that any process and thread can read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from atrous.types import BadInput

_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERED = re.compile(r"(.+?)(?:[-_]\d+(?:[-_]of[-_]\d+)?)?\.tar")


class _Held(BytesIO):
    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name

    def __str__(self) -> str:
        return str(self.name)


def held(data: bytes, name: str) -> Any:
    """A file in memory that readers take as they take a path; `name` stands in their errors."""
    return _Held(data, name)


def shards_of(root: str) -> dict[str, tuple[str, ...]]:
    """Split -> its shards, in the order of their names.

    root  a folder, a pattern with braces, or one shard; a path or a URL

    Raises: BadInput if there is no shard, or the place cannot be listed.
    """
    if "{" in root or _plain(root).endswith(".tar"):
        found = [(split_of(path), path) for path in expanded(root)]
    else:
        found = list(_listed(root))
    if not found:
        what = "no SPLIT-*.tar and no folder SPLIT with *.tar in it"
        raise BadInput(f"{root}: {what}: write shards by atrous shard, or check the path")
    splits = dict.fromkeys(sorted(split for split, _ in found))
    return {name: tuple(sorted(p for split, p in found if split == name)) for name in splits}


def expanded(pattern: str) -> list[str]:
    """The paths of a pattern: {000..009} counts, {a,b} lists.

    Raises: BadInput if a brace is neither.
    """
    parts = _BRACES.split(pattern)
    choices = [[p] if i % 2 == 0 else _choices(p, pattern) for i, p in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*choices)]


def split_of(path: str) -> str:
    """The split of a shard, by its name: train-000.tar, train_00-of-10.tar and train.tar."""
    found = _NUMBERED.fullmatch(_plain(path).rpartition("/")[2])
    return found[1] if found else ""


def folder_of(path: str) -> str:
    """What stands before the last slash."""
    folder, slash, _ = _plain(path).rpartition("/")
    return folder if slash else "."


def is_url(path: str) -> bool:
    """Whether fsspec shall read it."""
    return "://" in path


def size_of(path: str) -> int:
    """The bytes of a file.

    Raises: BadInput if there is none.
    """
    with _told(path):
        if not is_url(path):
            return Path(path).stat().st_size
        files, place = _files(path)
        size = files.size(place)
        if size is None:
            raise BadInput(f"{path}: its server does not say how large it is: copy the shards")
        return int(size)


def read_range(path: str, start: int, stop: int) -> bytes:
    """The bytes of a file from `start` to before `stop`.

    Raises: BadInput if they are not all there.
    """
    with _told(path):
        if is_url(path):
            files, place = _files(path)
            data = bytes(files.cat_file(place, start=start, end=stop))
        else:
            with Path(path).open("rb", buffering=0) as file:
                file.seek(start)
                data = file.read(stop - start)
    if len(data) < stop - start:
        raise BadInput(f"{path}: ends before its last sample: copy it again")
    if len(data) > stop - start:
        raise BadInput(f"{path}: its server gives whole files alone, no ranges: copy the shards")
    return data


def read_if_there(path: str) -> bytes | None:
    """A whole file, None if there is none.

    Raises: BadInput if it is there and cannot be read.
    """
    with _told(path):
        if not is_url(path):
            return Path(path).read_bytes() if Path(path).exists() else None
        files, place = _files(path)
        try:
            return bytes(files.cat_file(place))
        except (FileNotFoundError, PermissionError):
            return None  # S3 without the right to list says "forbidden" of what is not there


def _listed(root: str) -> Iterator[tuple[str, str]]:
    """(split, shard) of a folder and of the folders in it."""
    for path, is_folder in _entries(root):
        name = path.rstrip("/").rpartition("/")[2]
        if is_folder and not name.startswith("."):
            yield from ((name, p) for p, inner in _entries(path) if _is_shard(p) and not inner)
        elif _is_shard(path):
            yield split_of(path), path


def _entries(folder: str) -> list[tuple[str, bool]]:
    """(path, whether it is a folder) of what lies in a folder."""
    with _told(folder):
        if not is_url(folder):
            if not Path(folder).is_dir():
                mend = "check the path, or write a pattern such as DIR/train-{000..009}.tar"
                raise BadInput(f"{folder}: no such folder: {mend}")
            with os.scandir(folder) as entries:  # knows folders without a look at each file
                return [(Path(entry).as_posix(), entry.is_dir()) for entry in entries]
        files, place = _files(folder)
        rows = files.ls(place, detail=True)
        return [(files.unstrip_protocol(r["name"]), r["type"] == "directory") for r in rows]


def _is_shard(path: str) -> bool:
    return path.endswith(".tar") and not path.rpartition("/")[2].startswith(".")


def _choices(inner: str, pattern: str) -> list[str]:
    counted = re.fullmatch(r"(\d+)\.\.(\d+)", inner)
    if counted:
        first, last = int(counted[1]), int(counted[2])
        if first <= last < first + 10**6:
            return [f"{i:0{len(counted[1])}}" for i in range(first, last + 1)]
    elif "," in inner:
        return inner.split(",")
    raise BadInput(f"{pattern}: {{{inner}}} is no pattern: write {{000..009}} or {{train,val}}")


def _plain(path: str) -> str:
    """Without what a URL asks after a question mark."""
    return path.partition("?")[0] if is_url(path) else path


def _files(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    files, place = fsspec.url_to_fs(url)
    return files, str(place)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Makes one line of whatever a file system has to complain of."""
    try:
        yield
    except (BadInput, MemoryError):
        raise
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file: check the path") from None
    except ImportError as error:
        what = f"{_line(error)}"
        raise BadInput(f"{path}: {what}: pip install what it needs, or copy the shards") from None
    except ValueError as error:  # fsspec: "Protocol not known"
        what = f"cannot be opened ({_line(error)})"
        raise BadInput(f"{path}: {what}: give a path, or a URL that fsspec knows") from None
    except Exception as error:  # every protocol has errors of its own
        what = f"cannot be read ({_line(error)})"
        raise BadInput(f"{path}: {what}: check the address and your rights") from None


def _line(error: Exception) -> str:
    """What an error says, on one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
