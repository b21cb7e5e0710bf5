"""Files become starting points: a layout is recognised by its keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.convert.files import read_foreign
from atrous.convert.graft import VOC_CLASSES, head_of
from atrous.convert.layouts import LAYOUTS, recognise
from atrous.convert.naming import is_counter
from atrous.convert.start import Start
from atrous.run.checkpoint import Header, Weights, read_header
from atrous.types import BadInput

PUBLIC = {
    "system": "deeplabv3",
    "aspp": True,
    "aspp_rates": [],
    "image_pooling": True,
    "extra_conv": False,
    "padding": "symmetric",
}
"""What a DeepLabv3 of ours is whose head DeeperLab can begin with."""


def read_start(path: Path, *, layout: str | None = None) -> Start:
    """Reads a model file of ours or a public checkpoint.

    layout  its name, where the keys shall not decide

    Raises: BadInput if the file is missing or broken, or if its layout is unknown.
    """
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"--from {layout}: known are {', '.join(LAYOUTS)}")
    weights = read_foreign(path)
    found = recognise(weights, layout)
    if found is None:
        raise BadInput(f"{path}: {_strangeness(weights)}")
    try:
        start = LAYOUTS[found][1](weights)
        head = head_of(start.weights) if _brings_head(path) else start.head
    except KeyError as error:
        raise BadInput(f"{path}: looks like {found}, but lacks {error.args[0]}") from error
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise BadInput(f"{path}: looks like {found}, but is another network: {error}") from error
    known = set(start.sources.values())
    rest = (name for name in weights if name not in known and not is_counter(name))
    return replace(start, head=head, left_out=tuple(sorted(rest)))


def _strangeness(weights: Weights) -> str:
    other = recognise(weights)
    if other is not None:
        return f"its layout is {other}: leave --from out"
    first = min(weights, default="none")[:80]
    return f"unknown layout (first key {first!r}): known are {', '.join(LAYOUTS)}"


def _brings_head(path: Path) -> bool:
    """Whether a file is a model of ours that says to be a DeepLabv3 on VOC classes."""
    try:
        header = read_header(path)
    except BadInput:
        return False
    network = header.get("network", {})
    is_public = all(network.get(name) == value for name, value in PUBLIC.items())
    return is_public and _classes(header) == VOC_CLASSES


def _classes(header: Header) -> tuple[Any, ...]:
    return tuple(label["name"] for label in header["labels"])
