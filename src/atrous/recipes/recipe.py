"""A recipe: network, input, losses, fusion and schedule in one frozen value."""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch

from atrous.data.transforms import InputRule
from atrous.labels import LabelSpace
from atrous.run.checkpoint import Header
from atrous.run.predict import Views
from atrous.run.settings import TrainSettings
from atrous.systems import (
    AnyFusion,
    AnyLoss,
    AnyNetwork,
    AnySystem,
    build,
    described,
    keep_learnt,
    kind_of,
)
from atrous.types import BadInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reported:
    """A row of a paper's table: where it stands and what it says, in percent."""

    where: str
    data: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All numbers that make a model, but the classes, which come from the data.

    init_from  weights to begin with where the command names none: a path, or
               hf:OWNER/REPOSITORY/FILE; "" = none
    split      what is learnt from where the command names none; "" = train
    views      in which views an image is seen where the command says nothing
    then       the next stage of the training, which begins with the weights of this one and has its
               seed; None = this is the last
    """

    name: str
    network: AnyNetwork
    input: InputRule
    train: TrainSettings
    losses: AnyLoss
    fusion: AnyFusion = None
    seed: int = 0
    init_from: str = ""
    split: str = ""
    then: Recipe | None = None
    views: Views = field(default_factory=Views)
    reported: tuple[Reported, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"seed is {self.seed}: it must be from 0 to 2^63 - 1")
        kind = kind_of(self.network)
        if type(self.losses) is not kind.losses or type(self.fusion) is not (
            kind.fusion or type(None)
        ):
            raise ValueError(f"recipe {self.name}: losses or fusion are not those of {kind.name}")
        if self.then is None:
            return
        if kind_of(self.then.network) is not kind or self.then.init_from:
            what = f"the stage after it must be of {kind.name} too, and begin with its weights"
            raise ValueError(f"recipe {self.name}: {what}: leave its init_from empty")
        if self.then.seed != self.seed:  # Invariant: one seed for all stages, the first one's
            object.__setattr__(self, "then", replace(self.then, seed=self.seed))

    @property
    def stages(self) -> tuple[Recipe, ...]:
        """The recipe and those after it, in the order of the training."""
        return (self, *(self.then.stages if self.then else ()))

    def build(self, labels: LabelSpace) -> AnySystem:
        """The untrained system for these classes.

        Raises: BadInput if the network's numbers do not make one, or if the stage after it could
        not begin with its weights.
        """
        try:
            built = build(self.network, labels, fusion=self.fusion, losses=self.losses)
        except ValueError as error:
            raise BadInput(f"recipe {self.name}: {error}") from error
        if self.then is not None:
            with torch.device("meta"):
                _require_same_weights(built, self.then.build(labels), name=self.name)
        return built

    def header(self, labels: LabelSpace) -> Header:
        """Metadata of a model file; all but `recipe` is read for prediction."""
        return {
            "network": described(self.network),
            "labels": labels.to_json(),
            "input": asdict(self.input),
            "fusion": asdict(self.fusion) if self.fusion else {},
            **({"views": asdict(self.views)} if self.views != Views() else {}),
            "recipe": self.record(),
        }

    def record(self) -> dict[str, Any]:
        """The recipe's numbers as plain data."""
        texts = {"init_from": self.init_from, "split": self.split}
        return {
            "name": self.name,
            "seed": self.seed,
            **{name: text for name, text in texts.items() if text},
            **{part: asdict(getattr(self, part)) for part in ("losses", "train")},
            **({"then": self.then._whole_record()} if self.then else {}),
        }

    def _whole_record(self) -> dict[str, Any]:
        """The numbers of a later stage, which no header has."""
        return {
            **self.record(),
            "network": described(self.network),
            "input": asdict(self.input),
            "fusion": asdict(self.fusion) if self.fusion else {},
        }


def _require_same_weights(first: AnySystem, then: AnySystem, *, name: str) -> None:
    """Raises BadInput where two stages have tensors of other names or shapes."""
    shapes = [{k: tuple(v.shape) for k, v in x.state_dict().items()} for x in (first, then)]
    other = sorted(k for k in {**shapes[0], **shapes[1]} if shapes[0].get(k) != shapes[1].get(k))
    if other:
        here, there = (shape.get(other[0], "not there") for shape in shapes)
        raise BadInput(
            f"recipe {name}: the stage after it has other weights: {other[0]} is {here}, then "
            f"{there}: set both alike, such as network.backbone and then.network.backbone"
        )


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with settings such as "train.lr=0.007" or "seed=3" applied in turn.

    Those of a later stage begin with "then.", or "then.then.".

    Raises: BadInput for an unknown setting (the nearest one is named) or a value of another type.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: write NAME=VALUE, such as train.lr=0.007")
        recipe = _set(recipe, path.strip().split("."), text.strip(), path.strip())
    return recipe


def tuned(fusion: AnyFusion, settings: Iterable[str]) -> AnyFusion:
    """Fusion numbers of a trained model with settings such as "fusion.instances=0" applied.

    Raises: BadInput as `override`, for anything but fusion numbers, and for those of them that the
    network has learnt.
    """
    trained = fusion
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not path.startswith("fusion."):
            raise BadInput(f"--set {setting}: a trained model takes settings of fusion alone")
        if fusion is None:
            raise BadInput(f"--set {setting}: this model finds no instances: leave it out")
        if not equals:
            raise BadInput(f"--set {setting}: write NAME=VALUE, such as fusion.instances=50")
        fusion = _set(fusion, path.strip().split(".")[1:], text.strip(), path.strip())
    keep_learnt(trained, fusion)
    return fusion


def _set(value: T, path: list[str], text: str, whole: str) -> T:
    names = {f.name: f for f in fields(value)}  # type: ignore[arg-type]
    if path[0] not in names or path[0] in ("name", "reported"):
        raise BadInput(f"--set {whole}: no such setting{_nearest(path[0], names)}")
    old = getattr(value, path[0])
    if path[0] == "then":
        _require_stage(old, path[1:], whole)
    if is_dataclass(old) != (len(path) > 1):
        raise BadInput(f"--set {whole}: name one number, such as train.lr")
    if len(path) > 1:
        new = _set(old, path[1:], text, whole)
    else:
        new = _read(text, typing.get_type_hints(type(value))[path[0]], whole)
    try:
        return replace(value, **{path[0]: new})  # type: ignore[type-var]
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"--set {whole}: {error}") from error


def _require_stage(then: Recipe | None, path: list[str], whole: str) -> None:
    """Checks that there is a next stage, and that what is set of it is its own."""
    if then is None:
        count = len(whole.split(".")) - len(path)
        several = "one stage" if count == 1 else f"{count} stages"
        raise BadInput(f"--set {whole}: this recipe has {several}")
    if path == ["seed"]:
        raise BadInput(f"--set {whole}: all stages have one seed: set seed")
    if path == ["init_from"]:
        raise BadInput(f"--set {whole}: this stage begins with the weights of the one before")


def _read(text: str, kind: Any, whole: str) -> Any:
    """A value of the type that a setting has."""
    if typing.get_origin(kind) is tuple or isinstance(kind, types.GenericAlias):
        inner = text.strip("()[] ")
        parts, given = typing.get_args(kind), inner.split(",") if inner else []
        kinds = parts[:1] * len(given) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(given):
            raise BadInput(f"--set {whole}: {text!r} needs {len(kinds)} numbers with commas")
        return tuple(_read(g.strip(), k, whole) for g, k in zip(given, kinds, strict=True))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise BadInput(f"--set {whole}: {text!r} is neither true nor false")
        return text.lower() == "true"
    try:
        value = kind(text)
    except ValueError as error:
        raise BadInput(f"--set {whole}: {text!r} is no {kind.__name__}: give one") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"--set {whole}: {text!r} is not finite: give a number")
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=2)
    return f": did you mean {' or '.join(near)}?" if near else f": there are {', '.join(known)}"
