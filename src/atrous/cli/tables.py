"""Scores as a table on stderr."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from atrous.card import percent

COLUMNS = {
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
    "PC": "covering",
    "IoU": "iou",
    "AP50": "ap_50",
    "APvol": "ap_vol",
    "COCO": "coco_ap",
}
COUNTS = {"TP": "tp", "FP": "fp", "FN": "fn"}


def score_table(answer: dict[str, Any], *, per_class: bool) -> None:
    """Prints the answer of `eval` or `score`, in percent: a row a class if wanted, and the means.

    Only the columns that some class has are shown.
    """
    rows = answer["per_class"]
    shares, counts = (
        {title: name for title, name in columns.items() if any(name in row for row in rows)}
        for columns in (COLUMNS, COUNTS if per_class else {})
    )
    title, caption = f"{answer['images']} images, percent", _caption(answer)
    table = Table(title=title, caption=caption, box=None, padding=(0, 1, 0, 0))
    for title in ("class" if per_class else "", *shares, *counts):
        is_name = title not in shares | counts
        table.add_column(title, justify="left" if is_name else "right", no_wrap=True)
    for row in rows if per_class else ():
        cells = [percent(row.get(name)) for name in shares.values()]
        table.add_row(row["name"], *cells, *(str(row.get(name, "-")) for name in counts.values()))
    for name, means in _means(answer).items():
        table.add_row(
            name, *(percent(means[c]) if c in means else "" for c in shares.values()), style="bold"
        )
    Console(stderr=True).print(table)


CAPTION = {
    ("covering", "paper"): "PC by the paper",
    ("semantic", "pixel_accuracy"): "pixel accuracy",
    ("semantic", "mean_accuracy"): "mean accuracy",
    ("semantic", "weighted_iou"): "weighted IoU",
    ("instance", "map_70"): "AP70",
    ("coco", "ap_50"): "COCO AP 50",
    ("coco", "ap_75"): "75",
    ("coco", "ap_small"): "small",
    ("coco", "ap_medium"): "medium",
    ("coco", "ap_large"): "large",
}
"""What is no mean over classes, or has no column."""


def _caption(answer: dict[str, Any]) -> str:
    told = ((words, answer[p][n]) for (p, n), words in CAPTION.items() if p in answer)
    return ", ".join(f"{words} {percent(value)}" for words, value in told)


def _means(answer: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Row -> column -> mean over classes."""
    rest = {
        "covering": answer.get("covering", {}).get("normalised"),
        "iou": answer.get("semantic", {}).get("miou"),
        "ap_50": answer.get("instance", {}).get("map_50"),
        "ap_vol": answer.get("instance", {}).get("map_vol"),
        "coco_ap": answer.get("coco", {}).get("ap"),
    }
    rows = {name.replace("_", " "): part for name, part in answer.get("panoptic", {}).items()}
    return {"all": rest | rows.pop("all", {}), **rows}


def time_table(timing: Any, machine: dict[str, Any]) -> None:
    """Prints what `bench` timed at one size: a row a stage, then what the paper says."""
    height, width = timing.input_hw
    where = f"{machine['device']}, {machine['machine']}, {machine['threads']} threads"
    title = f"{timing.model} at {height}x{width}, {timing.batch} at a time; {where}"
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("ms an image", "median", "least", "most"):
        table.add_column(name, justify="left" if name == "ms an image" else "right")
    for stage in timing.stages:
        times = (stage.median_ms, stage.least_ms, stage.most_ms)
        table.add_row(stage.name, *(f"{ms:.2f}" for ms in times))
    table.add_row("fusion", f"{timing.fusion_ms:.2f}", style="bold")
    table.add_row("images/s", f"{timing.images_per_second:.2f}", style="bold")
    console = Console(stderr=True, soft_wrap=True)
    for part in (title, table, _beside(timing), ""):
        console.print(part, highlight=False)


def _beside(timing: Any) -> str:
    """The paper's figures, where it has some for this network, its fusion and this size."""
    if not timing.paper:
        return "the paper gives no times for this network and fusion at this size"
    said = timing.paper
    fps = f"{said['cpu_fps']} images/s on its CPU, {said['gpu_fps']} on its GPU without fusion"
    return f"the paper: fusion {said['fusion_ms']:.0f} ms, {fps}"
