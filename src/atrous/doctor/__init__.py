"""Names every fault of a data set before an hour is lost on it; no model and no torch.

kinds.py     what can be wrong, how bad that is, and the mend
findings.py  what was seen in some images; adds up in any order
pieces.py    connected pieces of a map, and borders that ramp from value to value
colours.py   colours of classes where ids belong
labelfile.py the pixels of a label file as they are stored
values.py    what stored values stand for: ids of no class, and values blended into others
photos.py    one photo: what it is, and what is odd about it
segments.py  the segments of one image: pieces, sizes, and the JSON beside them
masks.py     masks of COCO instances
examine.py   one image
opening.py   the splits of a data set, and what is wrong with its lists
run.py       all images, in several processes
shifts.py    label values that lie beside those of the class list
judge.py     what all images of a split show together
compare.py   what splits show beside each other
leaks.py     the same pixels twice
verdict.py   all that was found, put together
report.py    JSON and tables
sheet.py     pictures, faulty ones first
"""

from __future__ import annotations

from atrous.doctor.opening import Plan, plan
from atrous.doctor.run import Diagnosis, diagnose

__all__ = ["Plan", "plan", "Diagnosis", "diagnose"]
