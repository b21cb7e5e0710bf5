"""Learning rate schedules."""

from __future__ import annotations


def poly(step: int, *, total: int, start: float, power: float) -> float:
    """Start * (1 - step / total) ** power, 0 from `total` on.

    Source: DeepLabv3, section 4.1; DeeperLab, section 4.
    """
    return float(start * max(0.0, 1 - step / total) ** power)
