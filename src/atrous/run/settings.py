"""How a network is trained, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.types import BadInput


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained.

    batch, crop       images a step, and their side in pixels (16 n + 1)
    optimiser         "sgd" with momentum, or "adam"
    lr, power         poly schedule; before it, `warmup` steps in which the rate grows from 0
    backbone_multiplier  of the rate, for the backbone's weights: less than 1 keeps more of what
                      public weights know
    weight_decay      of full convolutions; depthwise ones, norms and biases have none
    clip              largest Euclidean length of the gradient; 0 = any
    norms             "batch", or "frozen" for statistics as they stand: those of the starting
                      weights, and of the first CALIBRATE crops where a norm is new
    norm_momentum     share of a new batch in batch norm statistics
    anchor            weight of a loss that holds the semantic answer to that of the network as the
                      training found it (Learning without Forgetting; Li and Hoiem, 2016)
    scales, scale_base, flip, rotation, blur, paste  see `data.augment.Augment`
    freeze            parts of the network, such as "backbone", that stay as they are, norms too
    precision         "fp32", or "bf16" for autocast
    checkpoint_every, eval_every  in steps; the last step always saves; eval_every 0 = never
    keep              how many states stay on the disk
    """

    iterations: int
    batch: int
    crop: int
    optimiser: str = "sgd"
    lr: float = 0.01
    power: float = 0.9
    backbone_multiplier: float = 1.0
    warmup: int = 0
    clip: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 4e-5
    norms: str = "batch"
    norm_momentum: float = 0.003
    anchor: float = 0.0
    scales: tuple[float, float, float] = (0.5, 2.0, 0.25)
    scale_base: str = "input"
    flip: float = 0.5
    rotation: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    paste: float = 0.0
    freeze: tuple[str, ...] = ()
    precision: str = "fp32"
    checkpoint_every: int = 500
    eval_every: int = 0
    keep: int = 2

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise BadInput(f"train.precision is {self.precision!r}: it can be fp32 or bf16")
        if self.norms not in ("batch", "frozen"):
            raise BadInput(f"train.norms is {self.norms!r}: it can be batch or frozen")
        if self.optimiser not in ("sgd", "adam"):
            raise BadInput(f"train.optimiser is {self.optimiser!r}: it can be sgd or adam")
        if self.batch < 2:
            raise BadInput(f"train.batch is {self.batch}: batch norm needs at least 2 images")
        for name in ("iterations", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise BadInput(f"train.{name} is {getattr(self, name)}: it must be at least 1")
