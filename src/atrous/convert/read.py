"""Files become starting points: a layout is recognised by its keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.convert.files import MEND, check_floating, read_foreign
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

    Raises: BadInput if the file is missing or broken, if its layout is unknown, or if a weight in
    it is of whole numbers.
    """
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"--from {layout}: known are {', '.join(LAYOUTS)}")
    weights, header = read_foreign(path), _header(path)
    found = recognise(weights, layout)
    if found is None:
        raise BadInput(f"{path}: {_strangeness(weights)}")
    try:
        start = LAYOUTS[found][1](weights)
        head = head_of(start.weights) if _brings_head(header) else start.head
    except KeyError as error:
        raise BadInput(f"{path}: looks like {found}, but lacks {error.args[0]}: {MEND}") from error
    except ValueError as error:
        told = f"looks like {found}, but is another network ({error})"
        raise BadInput(f"{path}: {told}: {MEND}") from error
    except (IndexError, TypeError, RuntimeError) as error:  # torch's words, of shapes that clash
        told = f"looks like {found}, but has tensors of other shapes"
        raise BadInput(f"{path}: {told}: {MEND}") from error
    known = set(start.sources.values())
    check_floating(path, weights, start.sources.values())
    rest = (name for name in weights if name not in known and not is_counter(name))
    fusion = header.get("fusion", {})
    return replace(start, head=head, fusion=fusion, left_out=tuple(sorted(rest)))


def _strangeness(weights: Weights) -> str:
    other = recognise(weights)
    if other is not None:
        return f"its layout is {other}: leave --from out"
    first = min(weights, default="none")[:80]
    return f"unknown layout (first key {first!r}): known are {', '.join(LAYOUTS)}"


def _header(path: Path) -> Header:
    """The metadata of a model of ours; of any other file none."""
    try:
        return read_header(path)
    except BadInput:
        return {}


def _brings_head(header: Header) -> bool:
    """Whether a file is a model of ours that says to be a DeepLabv3 on VOC classes."""
    network = header.get("network", {})
    is_public = all(network.get(name) == value for name, value in PUBLIC.items())
    return is_public and _classes(header) == VOC_CLASSES


def _classes(header: Header) -> tuple[Any, ...]:
    return tuple(label["name"] for label in header["labels"])
