"""Cityscapes' results for instances: a text for each image that lists masks, both directions.

A line is `path/of/mask.png labelId confidence`: the path is relative to the text, a PNG that is
not 0 inside; label ids, not train ids. Masks may lie over each other. KITTI has the same texts.

Source: evaluation/evalInstanceLevelSemanticLabeling.py of mcordts/cityscapesScripts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.formats.cityscapes import unevaluated
from atrous.formats.files import id_png, write_text, write_whole
from atrous.formats.images import contents, loaded, opened
from atrous.formats.rle import Mask, area, decode_mask, encode_mask
from atrous.labels import CITYSCAPES, LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances, Report, refuse


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its place from 1, and what it says."""

    place: int
    mask: Path
    file_id: int
    score: float


def read_mask_list(
    path: str | os.PathLike[str],
    labels: LabelSpace = CITYSCAPES,
    *,
    size_hw: tuple[int, int],
    root: str | os.PathLike[str] | None = None,
    ignored: Collection[int] | None = None,
    report: Report = refuse,
) -> Instances:
    """The instances that a text lists, in its order; ids are the places of their lines.

    Empty masks and ignored ids are left out, as in the official score.

    size_hw  size of the image
    ignored  label ids to leave out; those of `unevaluated` where they are not given
    root     the folder that masks must lie in; that of the text where it is not given
    report   hears of lines that cannot be used, which are left out if it returns

    Raises: BadInput if the text cannot be read, a line says something else, a mask lies outside of
    `root`, is missing or has another size, or an id is no class of things.
    """
    text = Path(path)
    inside = Path(os.path.abspath(text.parent if root is None else root))
    void = unevaluated(labels) if ignored is None else ignored
    items: list[Instance] = []
    for line in _lines(text, report):
        class_id = _class_id(line, labels, ignored=void, source=text, report=report)
        if not line.mask.is_relative_to(inside):
            what = f"line {line.place} names {line.mask}, which is outside of {inside}"
            report(Fault("masks outside of their folder", f"{text}: {what}: give paths within"))
        elif class_id is not None:
            runs = encode_mask(_read_mask(line.mask, size_hw))
            if area(runs):
                items.append(Instance(line.place, class_id, runs, line.score))
    return Instances(size_hw, tuple(items))


def write_mask_list(
    path: str | os.PathLike[str],
    instances: Instances,
    labels: LabelSpace = CITYSCAPES,
    *,
    folder: str = "masks",
) -> None:
    """Writes a text and its masks, 0 and 255, to `folder` beside it; the text comes last.

    Raises: ValueError if the form cannot hold it: an instance without score or pixels, a crowd,
    stuff, a name with a space; BadInput if a file cannot be written.
    """
    text, lines = Path(path), []
    if any(sign.isspace() for sign in f"{folder}{text.stem}"):
        raise ValueError(f"{folder}/{text.stem}: names in a list of masks have no spaces")
    for place, item in enumerate(instances.items):
        _require_writable(item, labels)
        name = f"{folder}/{text.stem}_{place:03d}.png"
        mask = decode_mask(item.runs, instances.size_hw)
        write_whole(text.parent / name, id_png(mask.astype(np.uint8) * np.uint8(255)))
        lines.append(f"{name} {labels[item.class_id].file_id} {float(item.score or 0)!r}\n")
    write_text(text, "".join(lines))


def _lines(text: Path, report: Report) -> Iterator[Line]:
    try:
        rows = text.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{text}: cannot be read as text: give a list of masks") from None
    for place, row in enumerate(rows, 1):
        if not row.strip():
            continue
        line = _line(row, place, text.parent)
        if line is None:
            what = f"line {place} is {row[:80]!r}"
            message = f"{text}: {what}: write path, label id and confidence, with one space each"
            report(Fault("lines of another form", message))
        else:
            yield line


def _line(row: str, place: int, folder: Path) -> Line | None:
    try:
        name, file_id, score = row.split()
        number = float(file_id)  # some write 26.0
        line = Line(place, Path(os.path.abspath(folder / name)), int(number), float(score))
    except (ValueError, OverflowError, OSError):
        return None
    is_sound = number == line.file_id and math.isfinite(line.score) and not Path(name).is_absolute()
    return line if is_sound else None


def _class_id(
    line: Line, labels: LabelSpace, *, ignored: Collection[int], source: object, report: Report
) -> int | None:
    """The class of a line; None where it is to be left out."""
    class_id = labels.class_ids().get(line.file_id)
    if class_id is not None and labels[class_id].is_thing:
        return class_id
    if class_id is not None or line.file_id not in ignored:
        kind = "none of the classes" if class_id is None else f"{labels[class_id].name}, stuff"
        what = f"line {line.place} has the label id {line.file_id}, {kind}"
        report(Fault("masks of no class of things", f"{source}: {what}: give ids of things"))
    return None


def _read_mask(path: Path, size_hw: tuple[int, int]) -> Mask:
    name, data = contents(path)
    image = opened(data, name=name)
    loaded(image, name=name)
    deep = image.mode.startswith("I")
    mask = np.asarray(image if deep else image.convert("L")) != 0
    if mask.shape != size_hw:
        sizes = [" x ".join(map(str, size)) for size in (mask.shape, size_hw)]
        raise BadInput(f"{path}: is {sizes[0]} but its image is {sizes[1]}: give both one size")
    return np.asarray(mask)


def _require_writable(item: Instance, labels: LabelSpace) -> None:
    label = labels[item.class_id]
    faults = {
        f"is of {label.name}, which is stuff": not label.is_thing,
        "is a crowd": item.is_crowd,
        "has no score": item.score is None or not math.isfinite(item.score),
        "has no pixels": not area(item.runs),
    }
    for what, is_so in faults.items():
        if is_so:
            raise ValueError(f"instance {item.id} {what}: a list of masks cannot hold it")
