"""panoptic.json, made of what the journals of a folder hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from atrous.batch.journal import Journal, Known
from atrous.formats import panoptic_json, write_whole
from atrous.labels import LabelSpace

AT_A_TIME = 256
"""Pictures whose segments are in memory at a time."""


def write_panoptic_json(journal: Journal, lines: Iterable[Known], labels: LabelSpace) -> None:
    """Writes panoptic.json of a folder with the pictures of these lines, if there are any.

    Raises: BadInput if it cannot be written; what was there stays.
    """
    known = [line for line in lines if _has_ids(line)]
    if not known:
        return
    images: list[str] = []
    annotations: list[str] = []
    for part in _parts(journal, iter(known), labels):
        images += map(_text, part["images"])
        annotations += map(_text, part["annotations"])
    categories = map(_text, panoptic_json([], labels)["categories"])  # type: ignore[call-overload]
    lists = {"images": images, "annotations": annotations, "categories": categories}
    joined = ",".join(f'"{name}":[{",".join(rows)}]' for name, rows in lists.items())
    write_whole(journal.folder / "panoptic.json", f"{{{joined}}}\n".encode())


def _parts(
    journal: Journal, known: Iterator[Known], labels: LabelSpace
) -> Iterator[dict[str, Any]]:
    while lines := list(islice(known, AT_A_TIME)):
        entries = (record.entry() for record in journal.records(lines))
        yield panoptic_json(entries, labels)


def _has_ids(line: Known) -> bool:
    """Whether its segments are in a PNG of COCO's: results in other forms have no such JSON."""
    return any(output.startswith("panoptic/") for output in line.outputs)


def _text(row: object) -> str:
    """As `write_json` has it."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
