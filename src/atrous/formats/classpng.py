"""Writes class maps in the ids and colours of a data set's own files."""

from __future__ import annotations

import os
from io import BytesIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from atrous.formats.files import id_png, write_whole
from atrous.labels import LabelSpace
from atrous.types import ClassMap

Palette = NDArray[np.uint8]
"""(256, 3) RGB."""


def write_classes(
    path: str | os.PathLike[str],
    class_map: ClassMap,
    labels: LabelSpace,
    *,
    void: int,
    palette: Palette | None = None,
) -> None:
    """Writes (h, w) class ids, `labels.void` where there is none, as file ids; 8 bit if they fit.

    void     the file id for void
    palette  colours of a palette PNG; a grey one without

    Raises: ValueError if `void` is a class, a value is no class, or an id does not fit into 8 bit
    with a palette and 16 bit without; BadInput if the file cannot be written.
    """
    values = file_ids(class_map, labels, void=void)
    write_whole(path, id_png(_narrow(values)) if palette is None else palette_png(values, palette))


def file_ids(class_map: ClassMap, labels: LabelSpace, *, void: int) -> NDArray[np.uint16]:
    """(h, w) class ids as file ids, `void` where the class is `labels.void`.

    Raises: ValueError if `void` is a class, a value is no class, or an id is beyond 16 bit.
    """
    ids = [label.file_id for label in labels.labels]
    if void in ids:
        name = labels[ids.index(void)].name
        raise ValueError(f"{void} is the id of {name}: give a void that is no class")
    if not 0 <= min(*ids, void) <= max(*ids, void) < 2**16:
        what = f"file ids run from {min(*ids, void)} to {max(*ids, void)}"
        raise ValueError(f"{what}: a PNG holds 0 to {2**16 - 1}")
    table = np.full(labels.void + 1, void, dtype=np.uint16)
    table[: len(ids)] = ids
    stray = (class_map >= len(ids)) & (class_map != labels.void)
    if stray.any():
        value = int(class_map[stray][0])
        raise ValueError(f"class map holds {value}: give class ids below {len(ids)} or void")
    return table[class_map]


def palette_png(values: NDArray[np.uint16], palette: Palette) -> bytes:
    """An 8 bit palette PNG of (h, w) indices.

    Raises: ValueError if an index is beyond 255.
    """
    if values.size and values.max() > 255:
        raise ValueError(f"id {values.max()} is beyond 8 bit: a palette PNG holds 0 to 255")
    image = PIL.Image.fromarray(values.astype(np.uint8))
    image.putpalette(palette.tobytes())
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def palette_of(labels: LabelSpace) -> Palette:
    """The colours of the classes at their file ids, black elsewhere.

    Raises: ValueError if a file id is beyond 8 bit.
    """
    palette = np.zeros((256, 3), dtype=np.uint8)
    for label in labels.labels:
        if not 0 <= label.file_id < 256:
            what = f"id {label.file_id} of {label.name} is beyond 8 bit"
            raise ValueError(f"{what}: a palette has 256 colours")
        palette[label.file_id] = label.colour
    return palette


def _narrow(values: NDArray[np.uint16]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    return values.astype(np.uint8) if not values.size or values.max() < 256 else values
