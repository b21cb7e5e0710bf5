"""Whether the list of an image's segments makes sense, and whether its label PNG says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.types import BadInput, Fault, Report, refuse

MAX_ID = 2**24 - 1
"""The largest id that three bytes hold."""

SegmentRows = NDArray[np.int64]
"""(n, 4) id, category id, crowd (0 or 1), area (-1 = not given): `segments_info`, small."""


def segment_rows(segments_info: Iterable[Mapping[str, Any]], source: object) -> SegmentRows:
    """`segments_info` as one small array; `source` is named in errors.

    Raises: BadInput if an entry lacks id or category_id, or they or the area are no integers.
    """
    rows: list[tuple[int, int, int, int]] = []
    try:
        rows.extend(map(_row, segments_info))
        return np.array(rows, dtype=np.int64).reshape(-1, 4)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        what = "segments_info needs whole numbers id and category_id in each entry, and as area"
        raise BadInput(
            f"{source}: entry {len(rows) + 1}: {what}, if any: give COCO panoptic JSON"
        ) from None


def usable_rows(
    rows: SegmentRows, *, source: object, class_ids: Mapping[int, int], report: Report = refuse
) -> SegmentRows:
    """The rows that can be segments: each id once, in three bytes, of a known category.

    report  hears of the others; of an id that stands twice the first row is kept
    """
    ids, categories = rows[:, 0].tolist(), rows[:, 1].tolist()
    if len(set(ids)) < len(ids):
        _, first = np.unique(rows[:, 0], return_index=True)
        what = f"{few(sorted({i for i in ids if ids.count(i) > 1}))} stand twice in segments_info"
        report(
            Fault(
                "images with segment ids listed twice",
                f"{source}: {what}: give each segment its own",
            )
        )
        rows = rows[np.sort(first)]
    if outside := sorted({i for i in ids if not 1 <= i <= MAX_ID}):
        what = f"{few(outside)} in segments_info cannot be a segment"
        mend = f"number segments within 1 and {MAX_ID}"
        report(Fault("images with segments of an impossible id", f"{source}: {what}: {mend}"))
        rows = rows[(rows[:, 0] >= 1) & (rows[:, 0] <= MAX_ID)]
    if unknown := sorted({c for c in categories if c not in class_ids}):
        known = f"the categories are {few(sorted(class_ids))}"
        of = few([i for i, c in zip(ids, categories, strict=True) if c not in class_ids])
        what = f"category {few(unknown)} ({of}) are not among the categories"
        mend = "add them or mend segments_info"
        report(
            Fault(
                "images with segments of an unknown category", f"{source}: {what} ({known}): {mend}"
            )
        )
        rows = rows[np.isin(rows[:, 1], list(class_ids))]
    return rows


def rows_with_pixels(
    rows: SegmentRows, areas: Mapping[int, int], *, source: object, report: Report = refuse
) -> SegmentRows:
    """The rows that the label PNG has pixels of.

    areas   id -> pixels in the PNG, void among them
    report  hears of ids that only one side has, and of areas that are not those of the PNG
    """
    if agrees(rows, areas):
        return rows
    listed = set(rows[:, 0].tolist())
    no_entry, no_pixels = sorted(areas.keys() - listed - {0}), sorted(listed - areas.keys())
    faults = [f"{few(no_entry)} have pixels but no entry in segments_info"] * bool(no_entry)
    faults += [f"{few(no_pixels)} have an entry but no pixels"] * bool(no_pixels)
    if faults:
        mend = "write PNG and JSON together again"
        what = f"{source}: {' and '.join(faults)}: {mend}"
        report(Fault("label PNGs with other segments than the JSON", what))
        rows = rows[np.isin(rows[:, 0], no_pixels, invert=True)]
    wrong = [(i, a) for i, _, _, a in rows.tolist() if a not in (-1, areas[i])]
    if wrong:
        segment, claimed = wrong[0]
        what = f"id {segment} has {areas[segment]} pixels but area {claimed} in segments_info"
        mend = "count areas again from the PNG"
        report(Fault("label PNGs with other areas than the JSON", f"{source}: {what}: {mend}"))
    return rows


def agrees(rows: SegmentRows, areas: Mapping[int, int]) -> bool:
    """Whether rows and pixels name the same segments, with the same areas."""
    if len(rows) != len(areas) - (0 in areas):
        return False
    return all(area in (-1, areas.get(i, -2)) and i in areas for i, _, _, area in rows.tolist())


def few(numbers: Iterable[int], word: str = "ids") -> str:
    """The first five of some numbers, and how many more there are."""
    listed = list(numbers)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f"{word} {', '.join(map(str, listed[:5]))}{more}"


def _row(entry: Mapping[str, Any]) -> tuple[int, int, int, int]:
    area = entry.get("area")
    crowd = int(bool(entry.get("iscrowd", 0)))
    whole = -1 if area is None else _whole(int(area) if area == int(area) else area)
    return _whole(entry["id"]), _whole(entry["category_id"]), crowd, whole


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return value
