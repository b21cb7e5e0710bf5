"""What every backbone offers, and which ones there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

from atrous.nn.mobilenet import MobileNetV2
from atrous.nn.resnet import COUNTS, ResNet
from atrous.nn.xception import FLOWS, Xception

Backbone = MobileNetV2 | ResNet | Xception
"""Has `channels`, and answers `Features`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What can be chosen about a backbone; see `ResNet` for all but the first."""

    output_stride: int = 16
    multi_grid: tuple[int, ...] = ()
    root: str = "7x7"
    stride_at: str = "last_3x3"
    blocks: int = 4
    all_units: bool = False
    dropout: tuple[float, ...] = ()


Builder = Callable[[Layout], Backbone]


def _mobile(layout: Layout, *, kernel: int, width: float = 1.0) -> Backbone:
    return MobileNetV2(kernel=kernel, width=width, output_stride=layout.output_stride)


def _residual(layout: Layout, *, depth: int) -> Backbone:
    return ResNet(
        depth=depth,
        output_stride=layout.output_stride,
        root=layout.root,
        stride_at=layout.stride_at,
        multi_grid=layout.multi_grid,
        blocks=layout.blocks,
        all_units=layout.all_units,
        dropout=layout.dropout,
    )


def _xception(layout: Layout, *, depth: int) -> Backbone:
    grid = layout.multi_grid or (1, 1, 1)
    return Xception(depth=depth, output_stride=layout.output_stride, multi_grid=grid)


RESIDUAL = ("multi_grid", "root", "stride_at", "blocks", "all_units", "dropout")

BACKBONES: dict[str, tuple[Builder, tuple[str, ...]]] = {
    "mobilenet-v2": (partial(_mobile, kernel=3), ()),
    "mobilenet-v2-half": (partial(_mobile, kernel=3, width=0.5), ()),
    "mobilenet-v2-wide5": (partial(_mobile, kernel=5), ()),
    "mobilenet-v2-wide7": (partial(_mobile, kernel=7), ()),
    **{f"resnet-{depth}": (partial(_residual, depth=depth), RESIDUAL) for depth in COUNTS},
    **{f"xception-{depth}": (partial(_xception, depth=depth), ("multi_grid",)) for depth in FLOWS},
}
"""How each is built, and which fields of `Layout` it knows beside the output stride."""


def build_backbone(name: str, layout: Layout) -> Backbone:
    """The backbone of that name, untrained.

    Raises: ValueError if there is none of that name, or if it has no such choice.
    """
    if name not in BACKBONES:
        raise ValueError(f"no backbone is called {name!r}: there are {', '.join(BACKBONES)}")
    build, known = BACKBONES[name]
    plain = Layout(output_stride=layout.output_stride)
    odd = [f.name for f in fields(Layout) if getattr(layout, f.name) != getattr(plain, f.name)]
    if lacking := [choice for choice in odd if choice not in known]:
        raise ValueError(
            f"{name} has no choice of {', '.join(lacking)}: set "
            + ", ".join(
                f"network.{choice}={_setting(getattr(plain, choice))}" for choice in lacking
            )
            + ", or choose a backbone that has it"
        )
    return build(layout)


def _setting(value: object) -> str:
    """A value as a setting of the command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
