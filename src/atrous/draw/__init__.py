"""Pictures for people: what was found, what was true and where the two differ, over the photo.

colours.py   colours that stand apart, ink and paper, and hatching
layers.py    what a parse and a labelled image have in common for the brush
words.py     text, pills and legends
overlays.py  segments over their photo, with names, outlines and a legend
verdicts.py  where a prediction is wrong, and how
sheets.py    pictures in rows, under titles
panels.py    lines over steps, in one panel
curves.py    how training runs went, in panels; not imported here, for it needs matplotlib
"""

from __future__ import annotations

from atrous.draw.overlays import labelled_overlay, overlay
from atrous.draw.sheets import comparison, contact_sheet, side_by_side
from atrous.draw.verdicts import errors

__all__ = [
    "overlay",
    "labelled_overlay",
    "errors",
    "side_by_side",
    "comparison",
    "contact_sheet",
]
