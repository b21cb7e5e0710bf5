"""Scores labels against labels, from files of any make; no model and no torch.

opening.py     opens a side: COCO panoptic, COCO instances, or a folder of label files
labelfiles.py  the folders of VOC, Cityscapes, ADE20K, Mapillary, KITTI, and plain class maps
classes.py     whose classes a side has
sides.py       what a side is, and the sides that hold segments or classes
masks.py       the sides that hold masks which may overlap
pairing.py     which images of two sides belong together
compare.py     one image on both sides
run.py         all of them, in several processes
faults.py      what a lenient comparison stepped over
report.py      a table of the images, pictures of the worst
"""

from __future__ import annotations

from atrous.score.compare import Rules
from atrous.score.opening import FORMATS, Place, open_prediction, open_truth
from atrous.score.run import Outcome, score

__all__ = ["FORMATS", "Place", "open_truth", "open_prediction", "Rules", "score", "Outcome"]
