"""Claim: label PNGs are decoded several times as fast as by Pillow.

    python benchmarks/label_pngs.py

File to ids: with the extra `fast` (libdeflate), without it (zlib), and by Pillow. The files are
those that Pillow writes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from contest import contest, machine, on_one_core
from drawn_maps import scene
from numpy.typing import NDArray
from PIL import Image

from atrous.formats import encode_ids, png, read_class_map, read_ids

Read = Callable[[Path], NDArray[np.int32]]


def compete(title: str, path: Path, read: Read) -> None:
    """The three ways, after a check that they read the same."""

    def slowly() -> NDArray[np.int32]:
        with patch.object(png, "deflate", None):
            return read(path)

    def pillow() -> NDArray[np.int32]:
        with patch.object(png, "_decoded", lambda data, kinds: None):
            return read(path)

    assert (read(path) == pillow()).all()
    assert (slowly() == pillow()).all()
    contest(
        title,
        {"atrous, libdeflate": lambda: read(path), "atrous, zlib": slowly, "Pillow": pillow},
    )


def main() -> None:
    """Two sizes of segment ids, one of class ids and one of 16 bit."""
    on_one_core()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "label.png"
        for size in ((480, 640), (1024, 2048)):
            ids = scene(size, segments=60, seed=0)
            Image.fromarray(encode_ids(ids)).save(path)
            compete(f"Segment ids, RGB, {size[1]} x {size[0]}", path, read_ids)
        for bits in (8, 16):
            classes = (ids % 19).astype(np.uint8) if bits == 8 else ids.astype(np.uint16)
            Image.fromarray(classes).save(path)
            compete(f"Grey, {bits} bit, 2048 x 1024", path, read_class_map)


if __name__ == "__main__":
    main()
