"""What a finished run tells of itself, and its model in a small file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrous.formats import read_json
from atrous.recipes.described import fusion_of
from atrous.run.checkpoint import half, read_header, read_weights, write_model
from atrous.run.states import read_state, states
from atrous.systems import AnyFusion
from atrous.types import BadInput


def told(run: Path) -> dict[str, Any]:
    """What a run folder tells of its training: run.json, the steps made and their seconds.

    Raises: BadInput if there is no run.
    """
    record: dict[str, Any] = read_json(run / "run.json")
    saved = states(run)
    if not saved:
        raise BadInput(f"{run}: holds no state: finish the run, or --resume it")
    state = read_state(saved[-1])
    return {**record, "steps": state.step, "seconds": state.counters.get("seconds")}


def package(
    model: Path,
    out: Path,
    *,
    fusion: Callable[[AnyFusion], AnyFusion] = lambda numbers: numbers,
) -> None:
    """Copies a model with its weights in 16 bits, as the models in the package are stored.

    fusion  gives the copy other fusion numbers, such as thresholds that were chosen since

    Raises: BadInput if a weight does not fit in 16 bits.
    """
    weights, header = half(read_weights(model)), read_header(model)
    wide = [name for name, value in weights.items() if not value.float().isfinite().all()]
    if wide:
        raise BadInput(f"{model}: {wide[0]} does not fit in 16 bits: keep it in 32")
    numbers = fusion(fusion_of(header))
    write_model(out, weights, {**header, "fusion": asdict(numbers) if numbers else {}})
