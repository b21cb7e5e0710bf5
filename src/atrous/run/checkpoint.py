"""Files that training leaves: model files, and the states that a run resumes from.

A model file is one safetensors file. Its metadata is one key, `atrous`, with canonical JSON, and
nothing in it depends on time, path or host: equal training gives equal bytes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from atrous.types import BadInput

FORMAT = 1
KEY = "atrous"
Header = dict[str, Any]
Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class State:
    """All that a run needs to go on after `step` steps."""

    step: int
    weights: Weights
    optimiser: Weights
    counters: dict[str, Any]


def canonical(data: object) -> str:
    """JSON with sorted keys and no spaces: equal data, equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_model(path: Path, weights: Mapping[str, Tensor], header: Header) -> None:
    """Writes a model file; it is there whole or not at all."""
    text = canonical({"format": FORMAT, **header})
    write_bytes(path, save(_plain(weights), {KEY: text}))


def read_header(path: Path) -> Header:
    """The metadata of a model file.

    Raises: BadInput if the file is missing, is no safetensors file, or none of ours.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file: give a model name, a run folder or a .safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a safetensors file ({_line(error)}): give another") from error
    if KEY not in metadata:
        raise BadInput(f"{path}: a safetensors file, but no atrous model: start from it by --init")
    header = _parsed(metadata[KEY], path)
    if header.get("format") != FORMAT:
        raise BadInput(
            f"{path}: model format {header.get('format')}, and this version reads {FORMAT}: "
            "update atrous"
        )
    return header


def _parsed(text: str, path: Path) -> Header:
    try:
        header = json.loads(text)
    except json.JSONDecodeError:
        header = None
    if not isinstance(header, dict):
        raise BadInput(f"{path}: its atrous metadata is broken: write or fetch the model again")
    return header


def read_weights(path: Path) -> Weights:
    """All tensors of a safetensors file, on the CPU.

    Raises: BadInput if the file is missing or broken.
    """
    try:
        weights: Weights = load_file(path)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file: check the path") from error
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a safetensors file ({_line(error)}): give another") from error
    return weights


def write_state(run: Path, state: State, *, keep: int) -> None:
    """Saves a state under `run`/state/STEP and drops all but the last `keep`.

    The folder is made under another name, flushed to the disk, and renamed.
    """
    root = run / "state"
    final, rough = root / f"{state.step:08d}", root / f".{state.step:08d}"
    shutil.rmtree(rough, ignore_errors=True)
    rough.mkdir(parents=True)
    write_bytes(rough / "weights.safetensors", save(_plain(state.weights)))
    write_bytes(rough / "optimiser.safetensors", save(_plain(state.optimiser)))
    counters = canonical({"step": state.step, **state.counters})
    write_bytes(rough / "counters.json", counters.encode())
    shutil.rmtree(final, ignore_errors=True)
    rough.rename(final)
    _flush_folder(root)
    for old in states(run)[:-keep]:
        shutil.rmtree(old)


def states(run: Path) -> list[Path]:
    """The complete states of a run, oldest first."""
    return sorted(p for p in (run / "state").glob("[0-9]*") if p.is_dir())


def read_state(folder: Path) -> State:
    """Reads what `write_state` wrote."""
    counters = json.loads((folder / "counters.json").read_text())
    return State(
        step=counters.pop("step"),
        weights=read_weights(folder / "weights.safetensors"),
        optimiser=read_weights(folder / "optimiser.safetensors"),
        counters=counters,
    )


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file through a temporary one beside it, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with rough.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rough.replace(path)
    finally:
        rough.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _plain(weights: Mapping[str, Tensor]) -> Weights:
    return {k: v.detach().cpu().contiguous() for k, v in weights.items()}


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def half(weights: Mapping[str, Tensor]) -> Weights:
    """Weights stored in 16 bits, as packaged models are."""
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}
