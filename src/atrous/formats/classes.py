"""Class maps as PNG: one class id a pixel, grey or palette, 8 or 16 bit."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from atrous.formats.images import contents, loaded, opened, raw_mode
from atrous.formats.png import decode_grey, decode_grey_runs
from atrous.types import BadInput, IdRuns

GREY = {"L", "P", "I;16", "I"}
"""Pillow's names of what holds numbers, not colours."""
_STRETCHED = {"L;2": 85, "L;4": 17}
"""Grey of 2 and 4 bit, and what Pillow multiplies it by."""


def read_class_map(path: str | os.PathLike[str]) -> NDArray[np.int32]:
    """(h, w) class ids as they are stored; of a palette PNG the indices, not the colours.

    Raises: BadInput if the file is no whole PNG of grey or palette pixels.
    """
    name, data = contents(path)
    plain = decode_grey(data)
    return _any_class_map(data, name) if plain is None else plain


def read_class_runs(path: str | os.PathLike[str]) -> IdRuns:
    """`read_class_map` as runs, faster for all that looks at each value once.

    Raises: BadInput if the file is no whole PNG of grey or palette pixels.
    """
    name, data = contents(path)
    plain = decode_grey_runs(data)
    return runs_of(_any_class_map(data, name)) if plain is None else plain


def runs_of(ids: NDArray[np.int32]) -> IdRuns:
    """The runs of a map."""
    flat = ids.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1)).astype(np.int32)
    height, width = ids.shape
    return IdRuns((height, width), np.append(starts, np.int32(flat.size)), flat[starts])


def _any_class_map(data: bytes, name: str) -> NDArray[np.int32]:
    image = opened(data, name=name)
    if image.format != "PNG" or image.mode not in GREY:
        what = "of one bit" if image.mode == "1" else f"{image.format} {image.mode}"
        mend = "save ids in 8 bit" if image.mode == "1" else "save the ids, not colours"
        raise BadInput(f"{name}: class ids need a grey or palette PNG, this is {what}: {mend}")
    scale = _STRETCHED.get(raw_mode(image), 1)
    loaded(image, name=name)
    return np.asarray(image).astype(np.int32) // scale
