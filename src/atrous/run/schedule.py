"""Learning rate schedules."""

from __future__ import annotations

from atrous.run.settings import TrainSettings


def rate(step: int, settings: TrainSettings) -> float:
    """The learning rate of a step, before any group's multiplier; 0 from the last step on.

    With `held` = hold * iterations, in whole steps: `lr` while step < held, then
    lr * drop * (1 - (step - held) / (iterations - held)) ** power. Over that lies the warm-up: the
    first `warmup` steps have (step + 1) / (warmup + 1) of it.

    Without `hold` and `drop` this is `poly`; hold 2/3, drop 0.5 and power 1 are a constant rate,
    then a line from half of it to 0.

    Source: DeepLabv3, section 4.1; FCRN's constant rate and line are from its authors' later code.
    """
    total, start = settings.iterations, settings.lr
    if step >= total:
        return 0.0
    held = round(settings.hold * total)
    if step >= held:
        fallen = settings.drop * start
        start = poly(step - held, total=total - held, start=fallen, power=settings.power)
    return start * min(1.0, (step + 1) / (settings.warmup + 1))


def poly(step: int, *, total: int, start: float, power: float) -> float:
    """Start * (1 - step / total) ** power, 0 from `total` on.

    Source: DeepLabv3, section 4.1; DeeperLab, section 4.
    """
    return float(start * max(0.0, 1 - step / total) ** power)
