"""Small disks in memory, to fill up: in a mount namespace that ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o "size=$2,nr_inodes=$3,$4" tmpfs "$1" && echo mounted && read -r _'
ALONE = 'unshare -m true && exec unshare -m "$@"; exec unshare -Urm "$@"'
"""Root's own right to mount, or the one that everybody has in a user namespace."""


@contextmanager
def mounted(folder: Path, *, size: int, files: int, right: str = "rw") -> Iterator[Path]:
    """A disk of so many bytes and files over an empty folder, where the system lets us mount.

    right  "rw", or "ro" for one that cannot be written to
    """
    if sys.platform != "linux":
        pytest.skip("needs a tmpfs to fill")
    mount = ["sh", "-c", MOUNT, "sh", str(folder), str(size), str(files), right]
    command, pipe = ["sh", "-c", ALONE, "sh", *mount], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as holder:
        assert holder.stdin
        assert holder.stdout
        is_mounted = holder.stdout.readline() == "mounted\n"
        disk = Path(f"/proc/{holder.pid}/root{folder}")
        if not is_mounted or not os.access(disk, os.W_OK if right == "rw" else os.R_OK):
            pytest.skip("needs the right to mount a tmpfs, as root or in a user namespace")
        try:
            yield disk
        finally:
            holder.stdin.close()  # it ends, and its mount with it


def room(disk: Path) -> int:
    """Bytes that are free on it."""
    told = os.statvfs(disk)
    return told.f_bavail * told.f_frsize


def fill(disk: Path, *, free: int) -> None:
    """Writes a file `other` that leaves so many bytes."""
    (disk / "other").write_bytes(bytes(room(disk) - free))
