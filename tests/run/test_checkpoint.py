from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atrous.run.checkpoint import (
    State,
    canonical,
    half,
    read_header,
    read_state,
    read_weights,
    states,
    write_bytes,
    write_model,
    write_state,
)
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


def test_canonical_json_is_sorted_and_has_no_spaces() -> None:
    data = {"b": (1, 2.5), "a": {"d": None, "c": "é"}}
    assert canonical(data) == '{"a":{"c":"é","d":null},"b":[1,2.5]}'


def test_weights_in_another_memory_order_give_equal_bytes(tmp_path: Path) -> None:
    plain = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for name, value in (("1", plain), ("2", plain.contiguous(memory_format=torch.channels_last))):
        write_model(tmp_path / name, {"w": value.requires_grad_()}, {})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_packaged_weights_have_16_bits_and_counters_stay_whole() -> None:
    small = half({"w": torch.ones(2), "n": torch.tensor(3)})
    assert {k: v.dtype for k, v in small.items()} == {"w": torch.float16, "n": torch.int64}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "no such file"),
        ("folder", "no such file"),
        ("text", "not a safetensors file"),
        ("empty", "not a safetensors file"),
        ("foreign", "no atrous model"),
        ("garbled", "broken"),
        ("a list", "broken"),
        ("newer", "model format 99"),
        ("older", "model format None"),
    ],
)
def test_files_that_are_no_model_are_refused_in_one_line(
    tmp_path: Path, kind: str, told: str
) -> None:
    path = tmp_path / "m.safetensors"
    keys = {"garbled": '{"format":', "a list": "[1]", "newer": '{"format":99}', "older": "{}"}
    if kind in keys:
        save_file(WEIGHTS, path, metadata={"atrous": keys[kind]})
    elif kind == "foreign":
        save_file(WEIGHTS, path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("hello\nthere\n" if kind == "text" else "")
    with pytest.raises(BadInput, match=told) as error:
        read_header(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_last_states_are_kept_and_unfinished_ones_never_seen(tmp_path: Path) -> None:
    (tmp_path / "state" / ".00000005").mkdir(parents=True)
    for step in (3, 5, 7):
        write_state(tmp_path, State(step, WEIGHTS, {"m": torch.ones(1)}, {}), keep=2)
    assert [p.name for p in states(tmp_path)] == ["00000005", "00000007"]
    state = read_state(states(tmp_path)[-1])
    assert state.step == 7
    assert torch.equal(state.weights["b"], WEIGHTS["b"])
    assert torch.equal(state.optimiser["m"], torch.ones(1))


def test_a_state_keeps_its_counters_and_writes_the_same_bytes_again(tmp_path: Path) -> None:
    counters = {"seed": 3, "lr": 0.007, "best": {"pq": 0.25}}
    for run in ("1", "2"):
        write_state(tmp_path / run, State(12, WEIGHTS, {}, counters), keep=1)
    one, two = (states(tmp_path / run)[0] for run in ("1", "2"))
    assert read_state(one).counters == counters
    names = sorted(p.name for p in one.iterdir())
    assert names == ["counters.json", "optimiser.safetensors", "weights.safetensors"]
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_states_are_in_the_order_of_their_steps_and_nothing_else_is_one(tmp_path: Path) -> None:
    assert states(tmp_path) == []
    for name in ("00000100", "00000020", ".00000300", "notes", "rough"):
        (tmp_path / "state" / name).mkdir(parents=True)
    (tmp_path / "state" / "00000400").write_text("a file")
    assert [p.name for p in states(tmp_path)] == ["00000020", "00000100"]


def test_a_half_written_state_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    rough = tmp_path / "state" / ".00000004"
    rough.mkdir(parents=True)
    (rough / "weights.safetensors").write_bytes(b"half")
    (rough / "left.over").write_bytes(b"x")
    write_state(tmp_path, State(4, WEIGHTS, {}, {}), keep=1)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["00000004"]
    assert not (tmp_path / "state" / "00000004" / "left.over").exists()
    assert torch.equal(read_state(states(tmp_path)[0]).weights["b"], WEIGHTS["b"])


def test_a_state_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, State(1, WEIGHTS, {}, {}), keep=1)

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_state(tmp_path, State(2, WEIGHTS, {}, {}), keep=1)
    assert [p.name for p in states(tmp_path)] == ["00000001"]
    assert read_state(states(tmp_path)[0]).step == 1


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


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_weights(tmp_path / "m.safetensors")


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path, WEIGHTS, {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BadInput, match="not a safetensors file"):
        read_weights(path)
