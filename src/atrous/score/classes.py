"""Whose classes: those that a name or a file stands for, and those that two sides share."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from atrous.data.folder import folder_classes
from atrous.formats import read_categories, read_json
from atrous.formats.mapillary import read_mapillary_classes
from atrous.labels import IGNORED, NAMED, LabelSpace
from atrous.types import BadInput, Fault, Report


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of class maps, and the file ids in them that are void."""

    labels: LabelSpace
    ignored: frozenset[int]


def classes_of(name: str) -> Classes:
    """Classes by the name of a data set, or from a file.

    A file is `classes.json` as the data set `folder` has it, Mapillary's config, or a JSON with
    COCO's `categories`.

    Raises: BadInput if there is no such name or file, or the file lists no classes.
    """
    if name in NAMED:
        return Classes(NAMED[name], IGNORED[name])
    path = Path(name)
    if not path.is_file():
        near = difflib.get_close_matches(name, NAMED, n=2, cutoff=0.4) or list(NAMED)
        what = f"neither a file nor a known list of classes; known is {', '.join(near)}"
        raise BadInput(f"--classes {name}: {what}")
    data = read_json(path)
    if isinstance(data, dict) and isinstance(data.get("categories"), list):
        return Classes(read_categories(data["categories"], path), frozenset({0}))
    if isinstance(data, dict) and isinstance(data.get("labels"), list):
        return Classes(*read_mapillary_classes(path))
    labels, ignored = folder_classes(path)
    return Classes(labels, frozenset({ignored}))


def shared_classes(
    own: LabelSpace, truth: LabelSpace, *, source: object, report: Report, things: bool = True
) -> dict[int, int]:
    """Class id of a prediction -> class id of the truth, by name.

    report  hears of classes that only one of them has, and of things that are stuff there
    things  whether it matters what is a thing

    Raises: BadInput if the lists are not the same and a name stands twice in one.
    """
    names = [label.name for label in own.labels]
    places = {label.name: i for i, label in enumerate(truth.labels)}
    if own != truth and (twice := _twice(names) or _twice([x.name for x in truth.labels])):
        raise BadInput(f"{source}: two classes are called {twice!r}: name them apart")
    strange, absent = [n for n in names if n not in places], sorted(places.keys() - set(names))
    if strange or absent:
        told = [f"{_few(strange)} only in the prediction"] * bool(strange)
        told += [f"{_few(absent)} only in the truth"] * bool(absent)
        mend = "score both with one list of classes"
        report(Fault("lists of classes that differ", f"{source}: {', '.join(told)}: {mend}"))
    for label in own.labels if things else ():
        if label.name in places and truth[places[label.name]].is_thing != label.is_thing:
            kinds = ("a thing", "stuff") if label.is_thing else ("stuff", "a thing")
            what = f"class {label.name!r} is {kinds[0]} but {kinds[1]} in the truth"
            report(Fault("classes that are things on one side alone", f"{source}: {what}: mend it"))
    if own == truth:
        return {i: i for i in range(len(own))}
    return {i: places[name] for i, name in enumerate(names) if name in places}


def _twice(names: list[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(repr, names[:4])) + more
