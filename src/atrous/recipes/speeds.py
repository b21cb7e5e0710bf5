"""What the papers say of speed: images a second, and milliseconds of fusion.

DeeperLab's are of a Xeon E5-1650 v3 and a V100; those of the GPU leave the fusion out, which the
paper has on the CPU. The other papers give none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reported:
    """A row of DeeperLab's tables 1, 8, 9 and 10.

    model           "light", "wider" or "x71", the middle of our recipe's name
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


def reported(recipe: str, input_hw: tuple[int, int]) -> Reported | None:
    """What the paper says of a recipe's model at a size, if it says anything."""
    parts = recipe.split("-")
    if parts[0] != "deeperlab":
        return None
    rows = (r for r in SPEEDS if r.model in parts[1:2] and r.input_hw == input_hw)
    return next(rows, None)
