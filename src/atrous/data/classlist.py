"""A list of classes in JSON, as the data set `folder` and shards have it.

[{"id": 1, "name": "road", "thing": false, "color": [128, 64, 128]}, ...]

`file_id` and `colour`, which `LabelSpace.to_json` writes, and COCO's `isthing` will do too. Thing
(false) and color may be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.types import BadInput

HIGHEST = 2**16 - 1
"""The largest id that a PNG of class ids holds."""
_FORM = "a class has an id, a name, and maybe thing and color"


def classes_of_rows(rows: Sequence[Any], *, source: object) -> LabelSpace:
    """The classes of a list, in its order; those without a color get one.

    Raises: BadInput if a row makes no sense, or an id stands twice; `source` begins the message.
    """
    colours = distinct_colours(len(rows))
    labels = tuple(_label(row, colours[i], source) for i, row in enumerate(rows))
    try:
        return LabelSpace(labels)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None


def require_for_class_maps(labels: LabelSpace, *, source: object) -> None:
    """Raises BadInput if a PNG of class ids cannot hold an id, or if two classes have one name."""
    seen: dict[str, int] = {}
    for label in labels.labels:
        if not 0 <= label.file_id <= HIGHEST:
            what = f"class {label.name!r} has the id {label.file_id}, which no PNG holds"
            raise BadInput(f"{source}: {what}: choose one from 0 to {HIGHEST}")
        if label.name in seen:
            what = f"ids {seen[label.name]} and {label.file_id} are both called {label.name!r}"
            raise BadInput(f"{source}: {what}: keep one of them, or name them apart")
        seen[label.name] = label.file_id


def _label(row: Any, spare: tuple[int, int, int], source: object) -> Label:
    try:
        return Label(_name(row), _colour(row, spare), _is_thing(row), _id(row))
    except (KeyError, TypeError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"{source}: {str(row)[:120]}: {why}: {_FORM}") from None


def _name(row: Any) -> str:
    if not isinstance(row, dict):
        raise TypeError("no {...}")
    name = row["name"]
    if not isinstance(name, str) or not name.strip() or len(name.splitlines()) > 1:
        raise TypeError(f"its name is {name!r}, not a line of text")
    return name


def _id(row: dict[str, Any]) -> int:
    found = row["file_id"] if "file_id" in row else row["id"]
    if type(found) is not int:
        raise TypeError(f"its id is {found!r}, no whole number")
    return found


def _is_thing(row: dict[str, Any]) -> bool:
    found = row.get("thing", row.get("isthing", False))
    if found not in (False, True):
        raise TypeError(f"its thing is {found!r}, neither true nor false")
    return bool(found)


def _colour(row: dict[str, Any], spare: tuple[int, int, int]) -> tuple[int, int, int]:
    found = row.get("colour", row.get("color", spare))
    try:
        red, green, blue = bytes([*found])  # bytes refuses all but 0..255
    except (TypeError, ValueError):
        raise TypeError(f"its color is {found!r}, not three numbers from 0 to 255") from None
    return red, green, blue
