"""The system, the input rule, the fusion numbers and the views that a model file describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from atrous.data.transforms import InputRule
from atrous.labels import LabelSpace
from atrous.run.checkpoint import Header
from atrous.run.predict import Views
from atrous.systems import KINDS, AnyFusion, AnySystem, Kind, build
from atrous.types import BadInput

T = TypeVar("T")


def system_of(header: Header) -> tuple[AnySystem, InputRule]:
    """The untrained system that a model file describes, and its input rule.

    Raises: BadInput if the file holds a system that this version does not know, or one that cannot
    be.
    """
    kind, network = _kind_in(header)
    with _possible():
        settings, labels = revive(kind.network, network), LabelSpace.from_json(header["labels"])
        built = build(settings, labels, fusion=fusion_of(header))
        return built, revive(InputRule, header["input"])


def fusion_of(header: Header) -> AnyFusion:
    """The fusion numbers of a model file."""
    kind, _ = _kind_in(header)
    with _possible():
        return revive(kind.fusion, header["fusion"]) if kind.fusion else None


def views_of(header: Header) -> Views:
    """In which views a model sees an image where nothing else is asked for."""
    with _possible():
        return revive(Views, header.get("views", {}))


@contextmanager
def _possible() -> Iterator[None]:
    """Raises BadInput where a model file says what cannot be."""
    try:
        yield
    except BadInput:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the model cannot be as its file says: {error}: save it again") from error


def _kind_in(header: Header) -> tuple[Kind, dict[str, Any]]:
    network = dict(header.get("network", {}))
    name = network.pop("system", None)
    if name is None:
        raise BadInput("the file holds weights alone, no network: train from it by --init")
    for kind in KINDS:
        if kind.name == name:
            return kind, network
    raise BadInput(f"this version knows no system {name!r}: update atrous")


def revive(kind: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass from plain data; lists become tuples.

    Raises: BadInput for a field that the class does not have.
    """
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - known)
    if unknown:
        raise BadInput(f"the model has {unknown}, which this version does not know: update atrous")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})
