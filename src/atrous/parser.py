"""A checkpoint in use: image in, result out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from atrous.data.transforms import InputRule
from atrous.formats import from_pillow, read_image
from atrous.labels import LabelSpace
from atrous.recipes.recipe import system_of
from atrous.result import Result
from atrous.run.checkpoint import Header, read_header, read_weights
from atrous.run.predict import view
from atrous.run.world import pick_device
from atrous.systems import AnyFusion, AnySystem, build, keep_learnt
from atrous.types import BadInput, Image

__all__ = ["Parser", "Result", "bundled", "find_model", "load", "pick_device"]

Picture = str | Path | Pillow.Image | np.ndarray | Tensor
MODELS = Path(__file__).parent / "models"


def load(model: str | Path, *, device: str = "auto") -> Parser:
    """A parser from a bundled model's name, a run folder, or a .safetensors file.

    device  "auto" (CUDA where there is one), "cpu", "cuda" or "mps"

    Raises: BadInput if there is no such model (the nearest names are suggested) or device.
    """
    path = find_model(model)
    header = read_header(path)
    with torch.device("meta"):  # weights come from the file: none need be drawn
        system, rule = system_of(header)
    weights = {k: v.float() if v.is_floating_point() else v for k, v in read_weights(path).items()}
    try:
        system.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise BadInput(f"{path}: its weights do not fit its network: save it again") from error
    return Parser(system, rule, header=header, device=pick_device(device))


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


class Parser:
    """Parses images; never changes, and may be called from several threads."""

    def __init__(
        self, system: AnySystem, rule: InputRule, *, header: Header, device: torch.device
    ) -> None:
        self._system = system.eval().requires_grad_(False).to(device)
        self._rule, self._device, self.header = rule, device, header

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
            return [self._one(image) for image in images]
        if isinstance(images, Iterator):
            return (self._one(image) for image in images)
        return self._one(images)  # type: ignore[arg-type]

    def replace(self, *, output_stride: int | None = None, fusion: AnyFusion = None) -> Parser:
        """A parser with another output stride or other fusion numbers; weights are shared.

        Raises: ValueError for an output stride that the network does not have, and for fusion
        numbers that change what it has learnt.
        """
        old = self._system
        keep_learnt(old.fusion, fusion or old.fusion)
        stride = old.network.output_stride if output_stride is None else output_stride
        network = replace(old.network, output_stride=stride)
        with torch.device("meta"):
            system = build(network, old.labels, fusion=fusion or old.fusion, losses=old.losses)
        system.load_state_dict(old.state_dict(), assign=True)
        rule = replace(self._rule, multiple=math.lcm(self._rule.multiple, stride))
        return Parser(system, rule, header=self.header, device=self._device)

    def _one(self, image: Picture) -> Result:
        pixels, file = _pixels(image)
        seen = view(self._system, pixels, self._rule, self._device)
        parse = self._system.parse([seen])
        return Result(parse, pixels, self.labels, name=Path(file).stem, file=file)


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
