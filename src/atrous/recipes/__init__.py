"""Every recipe by name: the only place where network, data and schedule meet."""

from __future__ import annotations

import difflib

from atrous.labels import unnamed
from atrous.recipes import (
    deeperlab,
    deeperlab_ablations,
    deeplabv3,
    fcrn,
    fcrn_cityscapes,
    pspnet,
)
from atrous.recipes.recipe import Recipe, Reported
from atrous.systems import AnySystem
from atrous.types import BadInput

__all__ = ["RECIPES", "Recipe", "Reported", "create", "find"]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *deeperlab.RECIPES,
        *deeperlab_ablations.RECIPES,
        *deeplabv3.RECIPES,
        *fcrn.RECIPES,
        *fcrn_cityscapes.RECIPES,
        *pspnet.RECIPES,
    )
}
COMMON = ("deeperlab-light", "deeplabv3-resnet101", "pspnet-resnet50", "fcrn-resnet101")
"""What is suggested where no name is near."""


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises: BadInput if there is none; the nearest names are suggested.
    """
    if name in RECIPES:
        return RECIPES[name]
    begun = [common for common in COMMON if name and common.startswith(name)]
    near = begun or difflib.get_close_matches(name, RECIPES, n=2) or COMMON
    raise BadInput(f"no recipe is called {name!r}: did you mean {' or '.join(near)}?")


def create(name: str, *, classes: int) -> AnySystem:
    """The untrained network of a recipe, an `nn.Module` from images (b, 3, h, w) to maps.

    Classes are all things, without names; train with data for real ones.

    Raises: BadInput if there is no recipe of that name or no class.
    """
    return find(name).build(unnamed(classes))
