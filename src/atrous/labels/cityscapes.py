"""Cityscapes: the 19 evaluated classes, by label id and by train id; KITTI shares the label ids.

Label ids stand in the files and in submissions; train ids only between a network and its loss. The
two are easily confused: every train id is a label id too, of another class.

Source: cityscapesscripts/helpers/labels.py of mcordts/cityscapesScripts.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.labels.space import LabelSpace
from atrous.labels.table import read_table

CITYSCAPES = read_table(
    """
7 stuff 804080 road
8 stuff f423e8 sidewalk
11 stuff 464646 building
12 stuff 66669c wall
13 stuff be9999 fence
17 stuff 999999 pole
19 stuff faaa1e traffic light
20 stuff dcdc00 traffic sign
21 stuff 6b8e23 vegetation
22 stuff 98fb98 terrain
23 stuff 4682b4 sky
24 thing dc143c person
25 thing ff0000 rider
26 thing 00008e car
27 thing 000046 truck
28 thing 003c64 bus
31 thing 005064 train
32 thing 0000e6 motorcycle
33 thing 770b20 bicycle
"""
)
"""The evaluated classes; file ids are label ids."""

CITYSCAPES_IGNORED = frozenset(range(-1, 34)) - set(CITYSCAPES.class_ids())
"""Label ids that are not evaluated: void, what is too rare, and license plates (-1)."""

CITYSCAPES_TRAIN_IDS = LabelSpace(
    tuple(replace(label, file_id=i) for i, label in enumerate(CITYSCAPES.labels))
)
"""The same classes; file ids are train ids, 0 to 18."""

CITYSCAPES_TRAIN_IDS_IGNORED = frozenset({-1, 255})
"""Train ids that are not evaluated."""
