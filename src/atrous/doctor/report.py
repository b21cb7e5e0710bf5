"""What was found, as JSON and as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from atrous.doctor.findings import VOID, Findings, quantile
from atrous.doctor.kinds import FAULT, KINDS, severity
from atrous.doctor.run import Diagnosis

QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
CLASS_ROWS, LEAST_NAME = 40, 8
"""Classes that the table shows, JSON has all; and letters of a name that are left."""


def to_json(diagnosis: Diagnosis, *, examples: int) -> dict[str, Any]:
    """Plain data; shares are of all pixels, void among them, areas in pixels."""
    plan = diagnosis.plan
    return {
        "schema": 1,
        "spec": plan.spec,
        "healthy": diagnosis.is_healthy,
        "splits": {
            split.name: _split(diagnosis.splits[i], len(plan.members(i)))
            for i, split in enumerate(plan.splits)
        },
        "classes": _classes(diagnosis),
        "faults": rows(diagnosis, examples=examples),
    }


def rows(diagnosis: Diagnosis, *, examples: int) -> list[dict[str, Any]]:
    """A row for each kind in each split, faults first; examples are the first in order."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for split, x in diagnosis.told:
        mend = x.mend or (KINDS[x.kind].mend if x.kind in KINDS else "")
        start = {"kind": x.kind, "severity": severity(x.kind), "count": 0, "split": split}
        row = found.setdefault((x.kind, split), start | {"mend": mend, "examples": []})
        row["count"] += x.count
        if len(row["examples"]) < examples:
            row["examples"].append({"file": x.file, "place": x.place, "message": x.what})
    return list(found.values())


def tables(diagnosis: Diagnosis, *, examples: int) -> None:
    """Prints faults, warnings, splits and classes on stderr."""
    console = Console(stderr=True, highlight=False)
    console.print(_class_table(diagnosis, console.width))
    for row in reversed(rows(diagnosis, examples=examples)):
        _print_row(console, row)
    found = rows(diagnosis, examples=0)
    faults = sum(row["count"] for row in found if row["severity"] == FAULT)
    warnings = sum(row["count"] for row in found) - faults
    images = ", ".join(
        f"{split.name} {len(diagnosis.plan.members(i)):,}"
        for i, split in enumerate(diagnosis.plan.splits)
    )
    said = f"{faults:,} fault{'s' * (faults != 1)}" if faults else "no faults"
    noun = f"warning{'s' * (warnings != 1)}"
    head = f"{diagnosis.plan.spec}: {images}: {said}, {warnings:,} {noun}"
    console.print(escape(head), soft_wrap=True)


def _print_row(console: Console, row: dict[str, Any]) -> None:
    style = "bold red" if row["severity"] == FAULT else "yellow"
    head = f"{row['severity']}: {row['kind']}: {row['count']:,} in {row['split']}"
    console.print(escape(head), style=style, soft_wrap=True)
    for example in row["examples"]:
        text = f"  {example['file']}: {example['place']}: {example['message']}"
        console.print(escape(text), soft_wrap=True)
    if row["mend"]:
        console.print(escape(f"  mend: {row['mend']}"), soft_wrap=True)


def _split(findings: Findings, images: int) -> dict[str, Any]:
    pixels = findings.pixels.total()
    sizes = sorted(findings.sizes, key=lambda size: (size[0] * size[1], size))
    return {
        "images": images,
        "labels_read": findings.images,
        "void": findings.pixels[VOID] / pixels if pixels else None,
        "smallest_hw": list(sizes[0]) if sizes else None,
        "largest_hw": list(sizes[-1]) if sizes else None,
    }


def _classes(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """A row for each class of any split, with what each split has of it."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for i, split in enumerate(diagnosis.plan.splits):
        labels = split.source.labels.labels if split.source else ()
        for class_id, label in enumerate(labels):
            start = {"name": label.name, "file_id": label.file_id, "thing": label.is_thing}
            row = found.setdefault((label.file_id, label.name), start | {"splits": {}})
            row["splits"][split.name] = _class(diagnosis.splits[i], class_id, label.is_thing)
    return list(found.values())


def _class(findings: Findings, class_id: int, is_thing: bool) -> dict[str, Any]:
    pixels = findings.pixels.total()
    areas: Mapping[int, int] = findings.areas.get(class_id, {})
    row: dict[str, Any] = {
        "pixels": findings.pixels[class_id] / pixels if pixels else None,
        "images": findings.seen[class_id],
    }
    if is_thing:
        row["instances"] = sum(areas.values())
        sizes = {name: quantile(areas, share) for name, share in QUANTILES.items()}
        row["sizes"] = sizes if areas else None
    return row


def _class_table(diagnosis: Diagnosis, width: int) -> Table:
    """The table of classes; a narrow terminal cuts names and lacks columns, but no number."""
    classes, columns = _classes(diagnosis), _columns(diagnosis)
    more = f"{len(classes) - CLASS_ROWS} classes more: --json" if classes[CLASS_ROWS:] else None
    names = [" ".join(row["name"].split()) for row in classes[:CLASS_ROWS]]
    widest = max(map(len, ("class", *names)))
    sizes = [max(map(len, column)) + 1 for column in columns]
    while len(columns) > 1 and sum(sizes) + min(widest, LEAST_NAME) > width:
        columns, sizes = columns[:-1], sizes[:-1]
    left = max(LEAST_NAME, width - sum(sizes) - 1)
    table = Table(
        title="share of pixels, images, things", caption=more, box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("class", no_wrap=True)
    for title, *_ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for place, name in enumerate(names):
        cut = name if len(name) <= left else f"{name[: left - 1]}\N{HORIZONTAL ELLIPSIS}"
        table.add_row(escape(cut), *(column[1 + place] for column in columns))
    return table


def _columns(diagnosis: Diagnosis) -> list[list[str]]:
    """Titles with their cells, the most important first."""
    classes = _classes(diagnosis)
    shown, columns = classes[:CLASS_ROWS], []
    for split in diagnosis.plan.splits:
        cells = [_cells(row["splits"].get(split.name)) for row in shown]
        columns += [[f"{split.name} %", *(c[0] for c in cells)], ["images", *(c[1] for c in cells)]]
    if any(row["thing"] for row in classes):
        sizes = [_size_cells(diagnosis, row) for row in shown]
        titles = ("things", "5% px", "median", "95%")
        columns += [[title, *(c[i] for c in sizes)] for i, title in enumerate(titles)]
    return columns


def _cells(part: dict[str, Any] | None) -> tuple[str, str]:
    if part is None or part["pixels"] is None:
        return "-", "-"
    return f"{100 * part['pixels']:.2f}", f"{part['images']:,}"


def _size_cells(diagnosis: Diagnosis, row: dict[str, Any]) -> list[str]:
    """The things of all samples, and how large they are."""
    if not row["thing"]:
        return ["", "", "", ""]
    areas: dict[int, int] = {}
    for i, split in enumerate(diagnosis.plan.splits):
        names = [label.name for label in split.source.labels.labels] if split.source else []
        place = names.index(row["name"]) if row["name"] in names else -1
        for area, count in diagnosis.homes[i].areas.get(place, {}).items():
            areas[area] = areas.get(area, 0) + count
    count = sum(areas.values())
    return [f"{count:,}", *(f"{quantile(areas, q):,}" if count else "-" for q in (0.05, 0.5, 0.95))]
