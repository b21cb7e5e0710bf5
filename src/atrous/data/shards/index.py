"""What a shard holds: the members of a tar, from its headers or from the index beside it.

SHARD.tar.index.json  {"format": 1, "size": bytes of the tar, "members": [[name, start, offset,
                      size], ...]}

An index is only a shortcut: one that does not fit the size of its shard is not used.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from atrous.data.shards.files import is_url, read_if_there, read_range, size_of
from atrous.types import BadInput

BLOCK = 512
"""Bytes of a tar's header; payloads are filled up to whole blocks."""
AHEAD = 1 << 14
"""Bytes that are read at once while the headers of a remote shard are looked for."""
INDEX = ".index.json"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar, in bytes from the tar's begin.

    start   of its headers
    offset  of its bytes
    """

    name: str
    start: int
    offset: int
    size: int

    @property
    def stop(self) -> int:
        """Where its bytes end."""
        return self.offset + self.size


def members_of(shard: str) -> tuple[Member, ...]:
    """The files in a shard, in their order; no payload is read.

    Raises: BadInput if it is not there, no plain tar, or cut off.
    """
    size = size_of(shard)
    has_index = not (is_url(shard) and "?" in shard)  # what is asked for is this file alone
    known = _from_index(read_if_there(shard + INDEX), size) if has_index else None
    return scanned(shard, size) if known is None else known


def scanned(shard: str, size: int) -> tuple[Member, ...]:
    """The files in a shard, from its headers.

    Raises: BadInput if it is no plain tar, or cut off.
    """
    head = read_range(shard, 0, min(size, 2))
    if head == b"\x1f\x8b":
        raise BadInput(
            f"{shard}: is compressed, and would be read from its begin each time: gunzip"
        )
    try:
        with _stream(shard, size) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            infos = list(tar)
    except (tarfile.TarError, EOFError) as error:
        what = f"no whole tar ({error})"
        raise BadInput(f"{shard}: {what}: copy or write it again") from None
    end = max((_padded(info.offset_data + info.size * info.isreg()) for info in infos), default=0)
    _require_end(shard, end, size)
    return tuple(Member(i.name, i.offset, i.offset_data, i.size) for i in infos if i.isreg())


def index_json(size: int, members: Iterable[Member]) -> dict[str, object]:
    """The index of a shard of `size` bytes."""
    return {"format": 1, "size": size, "members": [astuple(member) for member in members]}


def payload(data: bytes, start: int, member: Member, shard: str) -> bytes:
    """The bytes of a member out of `data`, which begins at `start` of the shard.

    Raises: BadInput if there is another member at this place: the index is of another shard.
    """
    place = member.offset - start
    try:
        info = tarfile.TarInfo.frombuf(data[place - BLOCK : place], "utf-8", "surrogateescape")
        is_right = info.size == member.size
    except tarfile.TarError:
        is_right = False
    if not is_right:
        mend = f"delete {shard}{INDEX}, or copy both again"
        raise BadInput(f"{shard}: {member.name} does not lie where the index says: {mend}")
    return data[place : place + member.size]


def _from_index(data: bytes | None, size: int) -> tuple[Member, ...] | None:
    """The members that an index lists; None if it is damaged or of another shard."""
    try:
        index: Any = json.loads(data or b"null")
        if index["format"] != 1 or index["size"] != size:
            return None
        members = tuple(Member(str(n), *map(int, numbers)) for n, *numbers in index["members"])
    except (ValueError, TypeError, KeyError):
        return None
    is_sound = all(0 <= m.start < m.offset <= m.stop <= size for m in members)
    return members if is_sound else None


def _require_end(shard: str, end: int, size: int) -> None:
    """A tar ends with a block of zeros: without it, members may be missing."""
    if end + BLOCK > size or any(read_range(shard, end, end + BLOCK)):
        what = "cut off: a tar ends with a block of zeros"
        raise BadInput(f"{shard}: {what}: copy or write it again")


def _padded(end: int) -> int:
    return -(-end // BLOCK) * BLOCK


def _stream(shard: str, size: int) -> Any:
    if is_url(shard):
        return BufferedReader(_Ranges(shard, size), AHEAD)
    return Path(shard).open("rb")


class _Ranges(RawIOBase):
    """A remote file that is read where it is asked for."""

    def __init__(self, shard: str, size: int) -> None:
        self._shard, self._size, self._place = shard, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        stop = min(self._place + len(buffer), self._size)
        if stop <= self._place:
            return 0
        data = read_range(self._shard, self._place, stop)
        buffer[: len(data)] = data
        self._place = stop
        return len(data)
