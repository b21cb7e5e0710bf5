"""Labels that hold the colours of classes where their ids belong."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from atrous.doctor.kinds import COLOURS, STRANGE_COLOURS, TRIPLED
from atrous.labels import LabelSpace, voc_colours

_VOID = ((0, 0, 0), (255, 255, 255), (224, 224, 192))
"""Colours of void and background; the last is that of VOC."""
_ENOUGH = 0.9
"""The share of pixels that must have the colour of a class."""
_LUMA = np.array([0.299, 0.587, 0.114])
"""Source: ITU-R BT.601, which Pillow and OpenCV use."""


def named(ids: NDArray[np.int32], labels: LabelSpace) -> tuple[str, str, int]:
    """Which kind of fault an RGB label is, what is there, and a pixel of it, over all pixels.

    ids  (h, w) R + 256 G + 65536 B
    """
    colours, first, counts = np.unique(ids, return_index=True, return_counts=True)
    rgb = np.stack((colours & 255, colours >> 8 & 255, colours >> 16), axis=-1)
    at = int(first[rgb.any(-1)].min(initial=ids.size - 1))
    shown = f"{len(colours)} colours, {tuple(rgb[colours == ids.flat[at]][0].tolist())} the first"
    if (rgb == rgb[:, :1]).all():
        return TRIPLED, f"RGB with {len(colours)} values, each three times", at
    for order, words in ((rgb, ""), (rgb[:, ::-1], ", red and blue exchanged")):
        for palette, name in _palettes(labels):
            known = np.array([tuple(colour) in palette for colour in order.tolist()])
            if counts[known].sum() >= _ENOUGH * counts.sum():
                return COLOURS, f"{shown}: RGB in the colours of {name}{words}", at
    return STRANGE_COLOURS, f"{shown}, not those of the {len(labels)} classes", at


def greys(labels: LabelSpace) -> list[frozenset[int]]:
    """The grey values that the colours of the classes, and of void, turn into."""
    return [
        frozenset(np.concatenate((level, np.rint(level))).astype(int).tolist())
        for palette, _ in _palettes(labels)
        for level in [np.array(sorted(palette)) @ _LUMA]
    ]


def _palettes(labels: LabelSpace) -> Iterable[tuple[set[tuple[int, ...]], str]]:
    """The colours of the classes, and those of VOC for their ids: many tools know no others."""
    own = [label.colour for label in labels.labels]
    usual = [tuple(voc_colours()[x.file_id].tolist()) for x in labels.labels if x.file_id < 256]
    yield {*own, *_VOID}, "the classes"
    yield {*usual, *_VOID}, "VOC's palette for these ids"
