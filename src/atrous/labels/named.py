"""The label spaces that are known by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
from atrous.labels.space import LabelSpace
from atrous.labels.voc import VOC, VOC_IGNORED

NAMED: Mapping[str, LabelSpace] = MappingProxyType(
    {
        "voc": VOC,
        "cityscapes": CITYSCAPES,
        "cityscapes-train-ids": CITYSCAPES_TRAIN_IDS,
        "ade20k": ADE20K,
        "coco-panoptic": COCO_PANOPTIC,
        "camvid": CAMVID,
        "pascal-context-59": PASCAL_CONTEXT_59,
        "pascal-context-60": PASCAL_CONTEXT_60,
    }
)
"""Name -> classes. Mapillary's are not here: its files carry their list, see `formats`."""

IGNORED: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "voc": VOC_IGNORED,
        "cityscapes": CITYSCAPES_IGNORED,
        "cityscapes-train-ids": CITYSCAPES_TRAIN_IDS_IGNORED,
        "ade20k": ADE20K_IGNORED,
        "coco-panoptic": COCO_PANOPTIC_IGNORED,
        "camvid": CAMVID_IGNORED,
        "pascal-context-59": PASCAL_CONTEXT_59_IGNORED,
        "pascal-context-60": PASCAL_CONTEXT_60_IGNORED,
    }
)
"""Name -> the file ids that are void on reading; an id of neither is an error."""
