"""Foreign weight files, read without running anything that is in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.run.checkpoint import Weights, read_weights
from atrous.types import BadInput
from atrous.weights.tensorflow import LEAVES, from_tensorflow, leaves_of

NESTED = ("state_dict", "model_state_dict", "model", "model_state", "weights")
"""Where training frameworks keep the weights inside of what they save."""
DEEPEST = 4
"""How often they are wrapped."""
LEAVES_HERE = ("weight", "bias", "running_mean", "running_var")
"""What a module holds; whatever else is in the file has no place among ours."""
MAGIC = (b"PK", b"\x80")
"""What zip files and pickles begin with."""
MEND = "fetch it again, or give another"


def read_foreign(path: Path) -> Weights:
    """The tensors of a .safetensors, .npz, .pth, .pt or .bin file, under their own names.

    Pickles are read by torch's loader for plain tensors alone; code in them is not run.

    Raises: BadInput if the file is missing or broken, if it holds more than tensors, or one with
    NaN or infinity in it (it is named).
    """
    weights = _read(path)
    for name, value in weights.items():
        if fault := _fault(value):
            raise BadInput(f"{path}: {name} {fault}: {MEND}")
    return weights


def _read(path: Path) -> Weights:
    if path.suffix == ".safetensors" or path.is_dir():
        return read_weights(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file: check the path")
    if path.suffix == ".npz":
        return _npz(path)
    return _pickle(path)


def _fault(value: Tensor) -> str:
    """Why no number can be taken out of a tensor, empty if one can."""
    if value.layout is not torch.strided or value.device.type != "cpu":
        return "is no plain tensor"
    # What 32 bits cannot hold becomes infinite as soon as it is used.
    if value.is_floating_point() and not value.float().isfinite().all():
        return "holds NaN or infinity"
    return ""


def check_floating(path: Path, weights: Weights, names: Iterable[str]) -> None:
    """Raises: BadInput if one of these weights, where the file has it, is of whole numbers."""
    for name in names:
        if name in weights and not weights[name].is_floating_point():
            kind = str(weights[name].dtype).removeprefix("torch.")
            raise BadInput(f"{path}: {name} is of {kind}, and a weight is floating-point: {MEND}")


def _npz(path: Path) -> Weights:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    except Exception as error:  # a broken archive lets zipfile, zlib and numpy raise many kinds
        raise BadInput(f"{path}: not an npz file of plain arrays: write it again") from error


def _pickle(path: Path) -> Weights:
    if not _begins_like_one(path):
        raise BadInput(
            f"{path}: is no file of weights: give a .safetensors, .npz, .pth, .pt or .bin file"
        )
    weights = {k: v for k, v in _unnested(_unpickled(path)).items() if isinstance(v, Tensor)}
    if not weights:
        raise BadInput(f"{path}: holds no tensors by name: save a state_dict")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _begins_like_one(path: Path) -> bool:
    try:
        with path.open("rb") as raw:
            return raw.read(2).startswith(MAGIC)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}): check its rights") from error


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise BadInput(
            f"{path}: broken, or holds more than tensors, and code in it is not run: save its "
            "state_dict alone"
        ) from error
    except Exception as error:  # a broken pickle lets the loader raise nearly anything
        raise BadInput(f"{path}: no weight file that torch can read: fetch it again") from error


def _unnested(found: Any) -> Mapping[str, Any]:
    for _ in range(DEEPEST):
        if not isinstance(found, Mapping):
            return {}
        inner = (found[name] for name in NESTED if isinstance(found.get(name), Mapping))
        found = next(inner, found)
    return {str(k): v for k, v in found.items()}


def renamed(
    weights: Weights, modules: Mapping[str, str], *, whole: str | None = None
) -> dict[str, str]:
    """Our names -> those in the file, of the tensors whose modules a key map knows.

    Those that the file lacks are among them, so that they can be told by its names.

    whole  a prefix under which the map must know every module

    Raises: ValueError for another module there: the network is a different one.
    """
    sources: dict[str, str] = {}
    for name in weights:
        module, _, leaf = name.rpartition(".")
        if whole is not None and name.startswith(whole) and module not in modules:
            raise ValueError(f"has {name}, which that network has not")
        if module in modules and leaf in LEAVES_HERE:
            sources[f"{modules[module]}.{leaf}"] = name
    every = {f"{here}.{k}": f"{there}.{k}" for there, here in modules.items() for k in LEAVES_HERE}
    return every | sources


def renamed_from_tensorflow(weights: Weights, scopes: Mapping[str, str]) -> dict[str, str]:
    """The same of the variables whose scopes a key map knows."""
    sources = {
        f"{here}.{LEAVES[leaf]}": f"{scope}/{leaf}"
        for scope, here in scopes.items()
        for leaf in leaves_of(scope)
    }
    for name in weights:
        scope, leaf = _variable(name)
        if scope in scopes and leaf in LEAVES:
            sources[f"{scopes[scope]}.{LEAVES[leaf]}"] = name
    return sources


def present(weights: Weights, sources: Mapping[str, str]) -> dict[str, str]:
    """Those of the sources that the file has.

    Raises: ValueError for a lone number: no weight is one.
    """
    found = {here: there for here, there in sources.items() if there in weights}
    for there in found.values():
        if not weights[there].ndim:
            raise ValueError(f"{there} has shape (), a lone number")
    return found


def in_our_layout(name: str, value: Tensor) -> Tensor:
    """A TensorFlow variable as our tensor."""
    array = from_tensorflow("/".join(_variable(name)), value.float().numpy())
    return torch.from_numpy(np.array(array))


def _variable(name: str) -> tuple[str, str]:
    scope, _, leaf = name.removesuffix(":0").rpartition("/")
    return scope, leaf
