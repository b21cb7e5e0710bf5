"""Pictures for people: what was found, what was true and where the two differ, over the photo.

colours.py   colours that stand apart, ink and paper, and hatching
layers.py    what a parse and a labelled image have in common for the brush
style.py     what a user can ask for
words.py     text, pills and legends
tint.py      colours over a photo
outlines.py  smooth lines around segments
tags.py      names on segments, inside their masks
overlays.py  all of these over a photo, with a legend
verdicts.py  where a prediction is wrong, and how
sheets.py    pictures in rows, under titles
panels.py    lines over steps, in one panel
curves.py    how training runs went, in panels; not imported here, for it needs matplotlib
"""

from __future__ import annotations

from atrous.draw.overlays import labelled_overlay, overlay
from atrous.draw.sheets import captioned, comparison, contact_sheet, side_by_side, thumbnail
from atrous.draw.style import BY, USUAL, Style
from atrous.draw.verdicts import errors

__all__ = [
    "Style",
    "USUAL",
    "BY",
    "overlay",
    "labelled_overlay",
    "errors",
    "side_by_side",
    "comparison",
    "contact_sheet",
    "thumbnail",
    "captioned",
]
