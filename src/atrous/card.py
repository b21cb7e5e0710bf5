"""Model cards: what a model is, what it learnt from, what it scores and where it fails.

A card is Markdown, made of what a model file, its run folder, its training data and the answers of
`atrous eval` say. What no file knows, licences and limits, comes as notes.

Source: Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atrous.data.source import Source
from atrous.metrics.scores import COMMON

Row = Sequence[object]


def counts(data: Source) -> dict[str, tuple[int, int]]:
    """(segments, images) of each class in a data set; crowds do not count."""
    segments: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for index in range(len(data)):
        classes = [r.class_id for r in data[index].truth.regions if not r.is_crowd]
        segments.update(classes)
        images.update(set(classes))
    return {label.name: (segments[i], images[i]) for i, label in enumerate(data.labels.labels)}


def table(head: Sequence[str], rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(x) for x in line) + " |" for line in lines) + "\n"


def card(
    name: str,
    *,
    facts: Mapping[str, object],
    run: Mapping[str, Any],
    learnt: Mapping[str, tuple[int, int]],
    scores: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, str],
    notes: str,
) -> str:
    """The card's text.

    facts     what the model file says, by name
    run       `run.json` of the training, and `seconds` and `steps` of its last state
    learnt    see `counts`
    scores    answers of `atrous eval`; the first one's classes are listed
    pictures  words -> path of a picture beside the card
    """
    shown = "".join(f"![{words}]({path})\n\n" for words, path in pictures.items())
    parts = {
        "": shown + table(("", ""), facts.items()),
        "Scores": _scores(scores),
        "Classes": _classes(learnt, scores),
        "Training": _training(run),
    }
    text = "".join(
        f"## {title}\n\n{body}\n" if title else f"{body}\n" for title, body in parts.items()
    )
    return f"# {name}\n\n{text}{notes.strip()}\n"


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    head = ("data", "images", "settings", "PQ", "PQ things", "things of any class", "PC", "mIoU")
    wanted = f"mIoU, {COMMON} or more"
    rows = [
        (
            f"{bare(score['data'])}, {bare(score['split'])}",
            score["images"],
            bare(" ".join(score["settings"])) or "as packaged",
            *(percent(score["panoptic"][p]["pq"]) for p in ("all", "things", "things_any_class")),
            percent(score["covering"]["paper"]),
            percent(score["semantic"]["miou"]),
            percent(score["semantic"][f"miou_{COMMON}"]),
        )
        for score in scores
    ]
    words = (
        "In percent. PC is Parsing Covering by the paper's formula; the last column is the mean "
        f"over the classes with at least {COMMON} true segments. With `fusion.instances=0` things "
        "are one segment a class.\n"
    )
    return f"{table((*head, wanted), rows)}\n{words}"


def _classes(learnt: Mapping[str, tuple[int, int]], scores: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    found = {row["name"]: row for row in scores[0]["per_class"]} if scores else {}
    for name, (segments, images) in learnt.items():
        row = found.get(name, {})
        held = row["tp"] + row["fn"] if row else "-"
        marks = (percent(row.get(k)) for k in ("iou", "pq"))
        rows.append((name, segments, images, held, *marks))
    head = ("class", "segments learnt from", "in images", "segments scored", "IoU", "PQ")
    rare = [name for name, (segments, _) in learnt.items() if segments < COMMON]
    text = table(head, rows)
    if rare:
        text += (
            f"\nFewer than {COMMON} segments were learnt from of: {', '.join(rare)}. What the "
            "model knows of these it owes to the weights that its training began with.\n"
        )
    return text


def _training(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run["versions"].items()))
    seconds = run.get("seconds")
    facts = {
        "command": f"`{bare(run['command'])}`" if run.get("command") else "not recorded",
        "images": run["recipe"]["images"],
        "steps": run.get("steps", "-"),
        "hours": "not recorded" if seconds is None else f"{seconds / 3600:.2f}",
        "machine": f"{run.get('cores', '?')} cores ({run['cpu']}), {run['threads']} threads",
        "versions": versions,
    }
    return table(("", ""), facts.items())


def bare(text: str) -> str:
    """Words without the folders of the machine that they were typed on."""
    return shlex.join(
        re.sub(r"(?<![\w.])(?:~|\.{1,2})?/(?:[^/\s=@]+/)*", "", w) for w in shlex.split(text)
    )


def percent(share: float | None) -> str:
    """A fraction in percent, "-" where nothing can be said."""
    return "-" if share is None else f"{100 * share:.1f}"
