"""How a network is trained, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.types import BadInput

CHOICES = {
    "precision": ("fp32", "bf16", "fp16"),
    "norms": ("synchronised", "batch", "frozen"),
    "optimiser": ("sgd", "adam"),
}
LEAST = dict.fromkeys(("iterations", "batch", "accumulate", "checkpoint_every", "keep"), 1)
LEAST |= dict.fromkeys(
    (
        *("lr", "power", "warmup", "backbone_multiplier", "bias_multiplier", "clip", "momentum"),
        *("weight_decay", "anchor", "eval_every"),
    ),
    0,
)
SHARES = ("hold", "drop", "average", "norm_momentum")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained.

    batch, crop       images a step, over all processes, and their side in pixels (16 n + 1)
    accumulate        parts that each process's share of a batch is cut into, one after the other:
                      as little memory as a batch of a part, and the same step but for batch norm
    optimiser         "sgd" with `momentum`, or "adam", which does without
    lr, power         poly schedule; before it, `warmup` steps in which the rate grows from 0
    hold, drop        share of the run in which the rate stays at `lr`, and what of it poly begins
                      with then: 2/3, 0.5 and power 1 are FCRN's "constant, then linear"
    backbone_multiplier  of the rate, for the backbone's weights: 0.1 is "new layers ten times"
    bias_multiplier   of the rate, for the biases of convolutions; norms have their layer's
    weight_decay      of full convolutions; depthwise ones, norms and biases have none
    clip              largest Euclidean length of the gradient; 0 = any
    norms             what batch norms learn their statistics from: "synchronised", the images of
                      all processes; "batch", those of their own; or "frozen" for statistics as they
                      stand: those of the starting weights, and of the first CALIBRATE crops where a
                      norm is new
    affine            whether batch norms learn scale and shift
    norm_momentum     share of a new batch in batch norm statistics
    anchor            weight of a loss that holds the semantic answer to that of the network as the
                      training found it (Learning without Forgetting; Li and Hoiem, 2016)
    average           decay of the running mean of the weights, such as 0.999, which is then what is
                      scored and saved as the model; 0 = the weights themselves
    scales, scale_base, flip, rotation, blur, paste  see `data.augment.Augment`
    doubled           classes: images that have one of them come twice in each epoch
    freeze            parts of the network, such as "backbone", that stay as they are, norms too
    precision         "fp32", "bf16" for autocast, or "fp16" for autocast with scaled losses
    channels_last     whether the channels of a pixel lie side by side in memory
    compile           whether torch.compile makes kernels of the network
    deterministic     whether CUDA may use only what gives equal bytes; the CPU always does
    checkpoint_every, eval_every  in steps; the last step always saves; eval_every 0 = never
    keep              how many states stay on the disk
    best              score that chooses best.safetensors, such as "miou"; "" = what the system is
                      made for
    """

    iterations: int
    batch: int
    crop: int
    accumulate: int = 1
    optimiser: str = "sgd"
    lr: float = 0.01
    power: float = 0.9
    hold: float = 0.0
    drop: float = 1.0
    warmup: int = 0
    backbone_multiplier: float = 1.0
    bias_multiplier: float = 1.0
    clip: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 4e-5
    norms: str = "synchronised"
    affine: bool = True
    norm_momentum: float = 0.003
    anchor: float = 0.0
    average: float = 0.0
    scales: tuple[float, float, float] = (0.5, 2.0, 0.25)
    scale_base: str = "input"
    flip: float = 0.5
    rotation: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    paste: float = 0.0
    doubled: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    precision: str = "fp32"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    checkpoint_every: int = 500
    eval_every: int = 0
    keep: int = 2
    best: str = ""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                value, known = getattr(self, name), f"{', '.join(choices[:-1])} or {choices[-1]}"
                raise BadInput(f"train.{name} is {value!r}: it can be {known}")
        for name, least in LEAST.items():
            if (value := getattr(self, name)) < least:
                raise BadInput(f"train.{name} is {value}: it must be at least {least}")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"train.{name} is {getattr(self, name)}: it must be from 0 to 1")
        if self.batch % self.accumulate:
            raise BadInput(
                f"train.accumulate is {self.accumulate}: it must divide train.batch, {self.batch}"
            )
        if self.batch // self.accumulate < 2 and self.norms != "frozen":
            raise BadInput(
                f"train.batch is {self.batch} in {self.accumulate} parts: batch norm needs at "
                "least 2 images at a time, or train.norms=frozen"
            )
