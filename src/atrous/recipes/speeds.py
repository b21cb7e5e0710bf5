"""What the papers say of speed: images a second, and milliseconds of fusion.

DeeperLab's are of a Xeon E5-1650 v3 and a V100; those of the GPU leave the fusion out, which the
paper has on the CPU. The other papers give none.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.recipes.deeperlab import RECIPES
from atrous.systems import AnyFusion, AnyNetwork


@dataclass(frozen=True, slots=True)
class Reported:
    """A row of DeeperLab's tables 1, 8, 9 and 10.

    model           "light", "wider" or "x71", the second word of our recipe's name
    input_hw        size of the network's input
    cpu_fps, gpu_fps  images a second
    fusion_ms       milliseconds of fusion
    """

    model: str
    input_hw: tuple[int, int]
    cpu_fps: float
    gpu_fps: float
    fusion_ms: float


SPEEDS = (
    Reported("light", (721, 721), 0.77, 22.61, 45),
    Reported("light", (1441, 1441), 0.18, 9.37, 145),
    Reported("wider", (1441, 1441), 0.09, 6.19, 145),
    Reported("x71", (1441, 1441), 0.06, 3.09, 145),
    Reported("light", (513, 1025), 0.96, 23.99, 45),
    Reported("light", (1025, 2049), 0.24, 10.21, 154),
    Reported("wider", (1025, 2049), 0.10, 6.71, 154),
    Reported("x71", (1025, 2049), 0.07, 3.24, 154),
    Reported("light", (257, 257), 5.65, 40.82, 5),
    Reported("light", (513, 513), 1.83, 35.01, 19),
    Reported("wider", (513, 513), 0.77, 23.76, 19),
    Reported("x71", (513, 513), 0.57, 13.93, 19),
    Reported("light", (321, 321), 3.13, 33.84, 8),
    Reported("light", (641, 641), 0.88, 20.81, 25),
    Reported("wider", (641, 641), 0.43, 17.19, 25),
    Reported("x71", (641, 641), 0.33, 10.59, 25),
)
"""Tables 1, 8, 9 and 10 of DeeperLab."""


WORK = ("refine_steps", "refine_long_self", "peaks", "instances", "graph")
"""Numbers that say how much fusion does. Of the grid of its votes the paper says nothing."""


def reported(network: AnyNetwork, fusion: AnyFusion, input_hw: tuple[int, int]) -> Reported | None:
    """What the paper says of a network and its fusion at a size, if it says anything.

    At another output stride than the paper's it says nothing, nor of a narrower network.
    """
    for recipe in RECIPES:
        if recipe.network == network and _work(recipe.fusion) == _work(fusion):
            model = recipe.name.split("-")[1]
            return next((r for r in SPEEDS if (r.model, r.input_hw) == (model, input_hw)), None)
    return None


def _work(fusion: AnyFusion) -> list[object]:
    return [getattr(fusion, name) for name in WORK]
