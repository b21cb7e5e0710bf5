from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atrous.run.checkpoint import (
    State,
    read_header,
    read_state,
    read_weights,
    states,
    write_bytes,
    write_model,
    write_state,
)
from atrous.run.schedule import poly
from atrous.types import BadInput

WEIGHTS = {"b": torch.arange(4.0), "a": torch.zeros(2, 3)}


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    write_model(tmp_path / "1.safetensors", WEIGHTS, {"network": {"b": 1, "a": (2, 3)}})
    turned = dict(reversed(WEIGHTS.items()))
    write_model(tmp_path / "2.safetensors", turned, {"network": {"a": [2, 3], "b": 1}})
    one, two = ((tmp_path / f"{n}.safetensors").read_bytes() for n in (1, 2))
    assert one == two


def test_a_model_file_holds_one_canonical_key(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path, WEIGHTS, {"labels": ["é"]})
    assert read_header(path) == {"format": 1, "labels": ["é"]}
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    assert metadata == {"atrous": '{"format":1,"labels":["é"]}'}


@pytest.mark.parametrize("kind", ["missing", "text", "foreign", "newer"])
def test_files_that_are_no_model_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.safetensors"
    if kind == "text":
        path.write_text("hello")
    elif kind == "foreign":
        save_file(WEIGHTS, path)
    elif kind == "newer":
        save_file(WEIGHTS, path, metadata={"atrous": '{"format":99}'})
    with pytest.raises(BadInput, match=r"m\.safetensors") as error:
        read_header(path)
    assert "\n" not in str(error.value)


def test_the_last_states_are_kept_and_unfinished_ones_never_seen(tmp_path: Path) -> None:
    (tmp_path / "state" / ".00000005").mkdir(parents=True)
    for step in (3, 5, 7):
        write_state(tmp_path, State(step, WEIGHTS, {"m": torch.ones(1)}, {}), keep=2)
    assert [p.name for p in states(tmp_path)] == ["00000005", "00000007"]
    state = read_state(states(tmp_path)[-1])
    assert state.step == 7
    assert torch.equal(state.weights["b"], WEIGHTS["b"])
    assert torch.equal(state.momentum["m"], torch.ones(1))


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    write_bytes(path, b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"old"


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path, WEIGHTS, {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BadInput, match="not a safetensors file"):
        read_weights(path)


def test_poly_falls_from_the_start_to_zero() -> None:
    rates = [poly(step, total=10, start=2.0, power=0.9) for step in (0, 5, 10)]
    assert rates == pytest.approx([2.0, 2 * 0.535887, 0.0], abs=1e-6)
