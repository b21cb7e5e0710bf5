"""What the classes of a data set are called, look like and count as; one page for each data set.

space.py       Label, LabelSpace, and colours for classes that have none
table.py       label spaces as text, a line a class
voc.py         PASCAL VOC, with its colour map
cityscapes.py  Cityscapes and KITTI, by label id and by train id
ade20k.py      ADE20K SceneParse150
coco.py        COCO panoptic
context.py     PASCAL-Context
camvid.py      CamVid
named.py       all of them by name
"""

from __future__ import annotations

from atrous.labels.ade20k import ADE20K, ADE20K_IGNORED
from atrous.labels.camvid import CAMVID, CAMVID_IGNORED
from atrous.labels.cityscapes import (
    CITYSCAPES,
    CITYSCAPES_IGNORED,
    CITYSCAPES_TRAIN_IDS,
    CITYSCAPES_TRAIN_IDS_IGNORED,
)
from atrous.labels.coco import COCO_PANOPTIC, COCO_PANOPTIC_IGNORED
from atrous.labels.context import (
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_59_IGNORED,
    PASCAL_CONTEXT_60,
    PASCAL_CONTEXT_60_IGNORED,
)
from atrous.labels.named import IGNORED, NAMED
from atrous.labels.space import Label, LabelSpace, distinct_colours, unnamed
from atrous.labels.table import read_table
from atrous.labels.voc import VOC, VOC_IGNORED, voc_colours

__all__ = [
    "Label",
    "LabelSpace",
    "distinct_colours",
    "unnamed",
    "read_table",
    "NAMED",
    "IGNORED",
    "VOC",
    "VOC_IGNORED",
    "voc_colours",
    "CITYSCAPES",
    "CITYSCAPES_IGNORED",
    "CITYSCAPES_TRAIN_IDS",
    "CITYSCAPES_TRAIN_IDS_IGNORED",
    "ADE20K",
    "ADE20K_IGNORED",
    "COCO_PANOPTIC",
    "COCO_PANOPTIC_IGNORED",
    "PASCAL_CONTEXT_59",
    "PASCAL_CONTEXT_59_IGNORED",
    "PASCAL_CONTEXT_60",
    "PASCAL_CONTEXT_60_IGNORED",
    "CAMVID",
    "CAMVID_IGNORED",
]
