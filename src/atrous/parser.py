"""A checkpoint in use: image in, result out."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from atrous.data.transforms import InputRule
from atrous.formats import from_pillow, read_image
from atrous.instances.cleaning import check_cleaning, cleaned
from atrous.labels import LabelSpace
from atrous.recipes.described import system_of, views_of
from atrous.result import Result
from atrous.run.checkpoint import Header, read_header, read_weights
from atrous.run.predict import Eye, Network, Views, frames_of
from atrous.run.speed import Speed, quick
from atrous.run.world import pick_device
from atrous.systems import AnyFusion, AnySystem, build, keep_learnt
from atrous.tensors import View, planes_of
from atrous.types import BadInput, Image, Parse, require_positive

__all__ = ["Parser", "Result", "bundled", "find_model", "load", "pick_device"]

BATCH = 8
"""How many images of a list are looked at together."""
Picture = str | Path | Pillow.Image | np.ndarray | Tensor
MODELS = Path(__file__).parent / "models"


def load(
    model: str | Path, *, device: str = "auto", precision: str = "auto", compile: bool = False
) -> Parser:
    """A parser from a bundled model's name, a run folder, or a .safetensors file.

    device     "auto" (CUDA where there is one), "cpu", "cuda" or "mps"
    precision  "auto" (bf16 where the device computes in it), "fp32" or "bf16"
    compile    whether the network is compiled for the sizes that it sees: slow to begin, then fast

    Raises: BadInput if there is no such model (the nearest names are suggested), device or
    precision.
    """
    path, speed = find_model(model), Speed(precision, compile)
    header = read_header(path)
    with torch.device("meta"):  # weights come from the file: none need be drawn
        system, rule = system_of(header)
    weights = {k: v.float() if v.is_floating_point() else v for k, v in read_weights(path).items()}
    try:
        system.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise BadInput(f"{path}: its weights do not fit its network: save it again") from error
    if not all(_is_sound(name, value) for name, value in weights.items()):
        what = "its weights hold NaN, infinity or variances below 0, so its answers say nothing"
        warnings.warn(f"{path}: {what}: train it again, or take an earlier state", stacklevel=2)
    way = Way(views=views_of(header), speed=speed)
    return Parser(system, rule, header=header, device=pick_device(device), way=way)


def _is_sound(name: str, value: Tensor) -> bool:
    """Whether no NaN comes of a tensor: the network may hide it (see `PackedConv`)."""
    if name.endswith(".running_var") and bool((value < 0).any()):
        return False
    return bool(value.sum(dtype=torch.float64).isfinite())


def bundled() -> tuple[str, ...]:
    """Names of the models in the package."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.safetensors")))


def find_model(model: str | Path) -> Path:
    """The file of a model: a bundled name, a run folder's last.safetensors, or a path."""
    name, path = str(model), Path(model)
    if name in bundled():
        return MODELS / f"{name}.safetensors"
    if path.is_dir():
        found = path / "last.safetensors"
        if not found.is_file():
            raise BadInput(f"{path}: holds no last.safetensors: finish the run, or --resume it")
        return found
    if path.suffix == ".safetensors" or path.exists():
        return path
    near = difflib.get_close_matches(name, bundled(), n=2, cutoff=0.4) or list(bundled())
    raise BadInput(
        f"no model is called {name!r}: did you mean {' or '.join(near)}? "
        "A run folder or a .safetensors file will do too"
    )


@dataclass(frozen=True, slots=True)
class Way:
    """How a parser goes about an image; none of it is the model's.

    reject_below  pixels of less confidence are void
    least_area    segments of fewer pixels are void
    """

    views: Views = field(default_factory=Views)
    speed: Speed = field(default_factory=Speed)
    reject_below: float = 0.0
    least_area: int = 0

    def __post_init__(self) -> None:
        check_cleaning(self.reject_below, self.least_area)


class Parser:
    """Parses images; never changes, and may be called from several threads."""

    def __init__(
        self,
        system: AnySystem,
        rule: InputRule,
        *,
        header: Header,
        device: torch.device,
        way: Way | None = None,
        network: Network | None = None,
    ) -> None:
        self._system = system.eval().requires_grad_(False).to(device)
        self._rule, self._device, self.header = rule, device, header
        self._way = way or Way()
        self._way.views.require_fit(rule.multiple)
        self._network = network or quick(self._system, self._way.speed, device)

    @property
    def labels(self) -> LabelSpace:
        """The classes that the model knows."""
        return self._system.labels

    @property
    def fusion(self) -> AnyFusion:
        """The numbers of the fusion; None where a system finds no instances."""
        return self._system.fusion

    @property
    def input(self) -> InputRule:
        """How images are resized and normalised."""
        return self._rule

    @property
    def network(self) -> AnySystem:
        """The network, an `nn.Module`, in evaluation mode."""
        return self._system

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    @property
    def way(self) -> Way:
        """How an image is seen, and what of the answer is kept."""
        return self._way

    @overload
    def __call__(self, images: Picture) -> Result: ...
    @overload
    def __call__(self, images: list[Picture]) -> list[Result]: ...
    @overload
    def __call__(self, images: Iterator[Picture]) -> Iterator[Result]: ...

    def __call__(
        self, images: Picture | Iterable[Picture]
    ) -> Result | list[Result] | Iterator[Result]:
        """Parses one image, a list of them, or an iterator, lazily.

        An image is a path, a Pillow image, an array (h, w, 3) uint8, or a tensor (3, h, w) uint8.

        Raises: BadInput for a file that cannot be read, or an array of another kind.
        """
        if isinstance(images, list | tuple):
            return list(self.stream(images, batch=BATCH))
        if isinstance(images, Iterator):
            return self.stream(images)
        return self._several([images])[0]  # type: ignore[list-item]

    def stream(self, images: Iterable[Picture], *, batch: int = 1) -> Iterator[Result]:
        """Results one after the other, lazily; `batch` images at a time are looked at together.

        Only inputs of one size go through the network together: see `input_hw`.
        """
        require_positive(batch=batch)
        waiting = iter(images)
        while part := list(islice(waiting, batch)):
            yield from self._several(part)

    def input_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of the network's input for an image of a size, in its first view."""
        frames = frames_of(size_hw, self._rule, self._way.views)
        return next(frames).input_hw

    def replace(
        self,
        *,
        output_stride: int | None = None,
        fusion: AnyFusion = None,
        views: Views | None = None,
        reject_below: float | None = None,
        least_area: int | None = None,
    ) -> Parser:
        """A parser that sees or answers in another way; weights are shared.

        output_stride  of the network; 8 sees finer than 16 and takes longer
        fusion         numbers of the fusion, but those that the network has learnt
        views          scales, mirror images, windows or tiles
        reject_below   pixels of less confidence become void
        least_area     segments of fewer pixels become void

        Raises: ValueError for an output stride that the network does not have, for views that do
        not fit it, and for fusion numbers that change what it has learnt.
        """
        old = self._system
        fusion = fusion or old.fusion
        keep_learnt(old.fusion, fusion)
        system: AnySystem = old
        network: Network | None = self._network
        stride = old.network.output_stride if output_stride is None else output_stride
        rule = replace(self._rule, multiple=math.lcm(self._rule.multiple, stride))
        changes: dict[str, Any] = {"views": views, "reject_below": reject_below}
        changes["least_area"] = least_area
        way = replace(self._way, **{k: v for k, v in changes.items() if v is not None})
        if (stride, fusion) != (old.network.output_stride, old.fusion):
            system, network = _rebuilt(old, stride, fusion), None
        return Parser(
            system, rule, header=self.header, device=self._device, way=way, network=network
        )

    def see(self, images: Sequence[Image]) -> list[tuple[View, ...]]:
        """The network's maps of images (h, w, 3) uint8 in all views, for `network.parse`."""
        eye = Eye(self._network, self._rule, self._device, self._way.views, max(1, len(images)))
        return eye.see(images)

    def _several(self, images: Sequence[Picture]) -> list[Result]:
        pairs = [_pixels(image) for image in images]
        seen = self.see([pixels for pixels, _ in pairs])
        parses = self._system.parse_all(seen)
        _warn_of_nan(seen)
        return [
            self._result(parse, pixels, file)
            for parse, (pixels, file) in zip(parses, pairs, strict=True)
        ]

    def _result(self, parse: Parse, pixels: Image, file: str) -> Result:
        way, labels = self._way, self.labels
        parse = cleaned(
            parse, labels=labels, reject_below=way.reject_below, least_area=way.least_area
        )
        return Result(parse, pixels, labels, name=Path(file).stem, file=file)


def _warn_of_nan(images: Sequence[Sequence[View]]) -> None:
    """Says so where a network answers what is no number; the parse is of all the rest."""
    planes = (p for views in images for view in views for p in planes_of(view.maps))
    if not all(bool(plane.sum().isfinite()) for plane in planes):
        warnings.warn(
            "the network answers NaN or infinity to this image: pixels without a class are void, "
            "and things may be missing: its weights may be broken",
            stacklevel=4,
        )


def _rebuilt(old: AnySystem, stride: int, fusion: AnyFusion) -> AnySystem:
    """A system with the weights of another one."""
    network = replace(old.network, output_stride=stride)
    with torch.device("meta"):
        system = build(network, old.labels, fusion=fusion, losses=old.losses)
    system.load_state_dict(old.state_dict(), assign=True)
    return system


def _pixels(image: Picture) -> tuple[Image, str]:
    """(h, w, 3) uint8 and a file name for whatever a user calls an image."""
    if isinstance(image, str | Path):
        return read_image(image), Path(image).name
    if isinstance(image, Pillow.Image):
        return from_pillow(image), "image.png"
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8:  # numpy does not know all types of torch
            raise BadInput(f"a tensor of {image.dtype}: give uint8 (3, h, w), RGB, levels 0 to 255")
        image = image.detach().cpu().numpy()
        if image.ndim == 3 and image.shape[0] == 3:
            image = image.transpose(1, 2, 0)
    if not isinstance(image, np.ndarray):
        raise BadInput(f"a {type(image).__name__} is no image: give a path, array or Pillow image")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise BadInput(
            f"an image of {image.dtype} {image.shape}: give uint8 (h, w, 3), RGB, levels 0 to 255"
        )
    return np.ascontiguousarray(image), "image.png"
