"""Key maps of the aligned Xceptions."""

from __future__ import annotations

from atrous.nn.xception import FLOWS


def timm_xception(depth: int) -> dict[str, str]:
    """Modules of timm's xception41, 65 or 71 -> ours, convolutions and norms apart.

    timm's xception41p and 65p are other networks: they have no norm behind a pointwise convolution.

    Raises: ValueError for other depths.
    """
    modules, projected = module_numbers(depth)
    rows: dict[str, str] = {}
    for place in range(2):
        rows |= _pair(f"stem.{place}.conv", f"stem.{place}.bn", f"backbone.root.{place}")
    for number in range(modules):
        there, here = f"blocks.{number}", f"backbone.units.{number}"
        for place in range(3):
            conv, ours = f"{there}.stack.conv{place + 1}", f"{here}.separable.{place}"
            rows |= _pair(f"{conv}.conv_dw", f"{conv}.bn_dw", f"{ours}.depthwise")
            rows |= _pair(f"{conv}.conv_pw", f"{conv}.bn_pw", f"{ours}.pointwise")
        if number in projected:
            shortcut = f"{there}.shortcut"
            rows |= _pair(f"{shortcut}.conv", f"{shortcut}.bn", f"{here}.shortcut")
    return rows


def module_numbers(depth: int) -> tuple[int, frozenset[int]]:
    """How many modules there are, and the numbers of those with a convolution as shortcut.

    Raises: ValueError for depths other than 41, 65 and 71.
    """
    if depth not in FLOWS:
        raise ValueError(f"depth is {depth}: Xception has {', '.join(map(str, FLOWS))}")
    entry, first_exit = flows(depth)
    return first_exit + 2, frozenset((*range(entry), first_exit))


def flows(depth: int) -> tuple[int, int]:
    """Number of the first module of the middle flow, and of the first of the exit flow."""
    entry = len(FLOWS[depth].entry)
    return entry, entry + FLOWS[depth].middle


def _pair(conv: str, norm: str, block: str) -> dict[str, str]:
    return {conv: f"{block}.conv", norm: f"{block}.norm"}
