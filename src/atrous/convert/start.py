"""What a training, or a model of ours, begins with."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from atrous.data.transforms import InputRule
from atrous.run.checkpoint import Weights
from atrous.systems import AnyNetwork

IMAGENET = InputRule(
    mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375), longest_side=0, multiple=8
)


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with, under our names.

    layout   "atrous", or a public one
    sources  name of ours -> name in the file, where it is another; also of what the file lacks
    left_out names in the file of what has no name among ours; counters of steps are not told
    network  the network that the weights make up; None where they are a backbone's alone
    backbone its name; empty where `network` says it, or where the file is ours
    root     of that backbone, if it is a ResNet
    rule     the input that they were trained with
    folded   names of the blocks whose norm came folded into a bias
    eps      of the norms of a mobile backbone, where it is not ours
    head     the classifying end of a DeepLabv3 on VOC classes, under its own names; see `graft`
    fusion   the fusion numbers of a model of ours
    """

    layout: str
    weights: Weights
    sources: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    network: AnyNetwork | None = None
    backbone: str = ""
    root: str = "7x7"
    rule: InputRule = IMAGENET
    folded: tuple[str, ...] = ()
    eps: float | None = None
    head: Weights = field(default_factory=dict)
    fusion: dict[str, Any] = field(default_factory=dict)

    def unused(self, used: Container[str]) -> tuple[str, ...]:
        """Names in the file of all that is left out where `used`, of our names, finds a place."""
        more = (self.sources.get(name, name) for name in self.weights if name not in used)
        return tuple(sorted((*self.left_out, *more)))
