"""The classes of a data set in shards, which stand beside them.

classes.json or labels.json, beside the shards of a split or above its folder:

[{"file_id": 1, "name": "road", "thing": false, "colour": [128, 64, 128]}, ...]

file_id is what category_id means in KEY.json, and what pixels of class maps hold. Thing (false) and
colour may be left out. The classes.json of the form `folder` will do too, with its ignore_label;
without one, the pixels of class maps that are 255 are void (65535 beyond 255 classes).
"""

from __future__ import annotations

from typing import Any

from atrous.data.classlist import classes_of_rows
from atrous.data.shards.files import folder_of, held, read_if_there
from atrous.formats import read_json
from atrous.labels import LabelSpace
from atrous.types import BadInput

CLASSES = ("classes.json", "labels.json")
_FORM = 'write [{"file_id": 1, "name": "road", "thing": false}, ...]'


def read_shard_classes(shard: str, split: str) -> tuple[LabelSpace, frozenset[int]]:
    """The classes that belong to a shard, and the ids of class maps that are void.

    Raises: BadInput if there is no list of classes, or it is of another form.
    """
    folder = folder_of(shard)
    above = [folder_of(folder)] if folder.rpartition("/")[2] == split else []
    for place in (f"{where}/{name}" for where in (folder, *above) for name in CLASSES):
        data = read_if_there(place)
        if data is not None:
            return _classes(read_json(held(data, place)), place)
    raise BadInput(f"{folder}: no {' or '.join(CLASSES)} beside the shards: {_FORM}")


def _classes(value: Any, place: str) -> tuple[LabelSpace, frozenset[int]]:
    rows = value.get("classes") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise BadInput(f"{place}: lists no classes: {_FORM}")
    labels = classes_of_rows(rows, source=place)
    void = value.get("ignore_label", labels.void) if isinstance(value, dict) else labels.void
    if type(void) is not int:
        raise BadInput(f"{place}: ignore_label is {void!r}: give a whole number, such as 255")
    return labels, frozenset({void} - {label.file_id for label in labels.labels})
