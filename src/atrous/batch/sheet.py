"""contact_sheet.png: the overlays of a folder on one page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

from atrous.batch.journal import Known
from atrous.draw import captioned, contact_sheet
from atrous.formats import read_image, write_image
from atrous.types import BadInput, Image

MOST = 100
"""Pictures on a sheet: of more, as many are shown that lie evenly among them."""
LONGEST_PX = 480
"""Of a picture on it: so words on it can be read, and a page is some 5000 pixels wide at most."""
READERS = 2
"""Overlays that are read at a time: so many are in memory, whatever a folder holds."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page, and how many of how many pictures are on it."""

    path: Path
    shown: int
    total: int

    def __str__(self) -> str:
        return f"{self.path}: {self.shown} of {self.total} pictures on one page"


def write_contact_sheet(folder: Path, lines: Sequence[Known]) -> Sheet | None:
    """Writes the overlays of the lines under their names, in rows; the form is that of overlays.

    Overlays that cannot be read any more are left out; without any there is no sheet.

    Raises: BadInput if it cannot be written; what was there stays.
    """
    overlays = [x for line in lines for x in line.outputs if x.startswith("overlay/")]
    most = min(MOST, len(overlays))
    paths = [folder / overlays[n * len(overlays) // most] for n in range(most)]
    with ThreadPoolExecutor(READERS) as readers:
        cells = [cell for cell in readers.map(_cell, paths) if cell is not None]
    if not cells:
        return None
    path = folder / f"contact_sheet{Path(overlays[0]).suffix}"
    write_image(path, contact_sheet(cells, columns=ceil(sqrt(len(cells))), shrink=False))
    return Sheet(path, len(cells), len(overlays))


def _cell(path: Path) -> Image | None:
    """An overlay as it is on a sheet; None if it cannot be read."""
    with suppress(BadInput):
        return captioned(read_image(path), path.stem, longest_px=LONGEST_PX)
    return None
