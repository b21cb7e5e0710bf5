from __future__ import annotations

import os
import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from atrous.run.states import State, last_state, read_state, states, write_state
from atrous.types import BadInput

WEIGHTS = {"b": torch.arange(4.0), "a": torch.zeros(2, 3)}
FILES = ["average.safetensors", "counters.json", "optimiser.safetensors", "weights.safetensors"]


def made(step: int) -> State:
    """A state whose numbers are its step's."""
    one, two, three = (
        {"w": torch.full((40,), float(step + n)), "n": torch.tensor(step)} for n in range(3)
    )
    return State(step, one, two, three, {"seconds": step / 4})


def written(run: Path, *steps: int, keep: int = 9) -> list[str]:
    """Names of the states of a run once these have been written."""
    for step in steps:
        write_state(run, made(step), keep=keep)
    return [p.name for p in states(run)]


def is_made(state: State | None, step: int) -> bool:
    """Whether every number of a state is that of its step."""
    assert state
    wanted = made(step)
    parts = zip(
        (state.weights, state.optimiser, state.average),
        (wanted.weights, wanted.optimiser, wanted.average),
        strict=True,
    )
    return (
        state.step == step
        and state.counters == wanted.counters
        and all(x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in y) for x, y in parts)
    )


def silent(line: str) -> NoReturn:
    """For runs that have nothing to tell."""
    raise AssertionError(line)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert written(tmp_path, 3, 12) == ["00000003", "00000012"]
    assert [is_made(read_state(p), n) for p, n in zip(states(tmp_path), (3, 12), strict=True)]
    assert is_made(last_state(tmp_path, silent), 12)
    assert sorted(p.name for p in states(tmp_path)[1].iterdir()) == FILES


def test_only_the_last_states_are_kept(tmp_path: Path) -> None:
    assert written(tmp_path, 3, 5, 7, keep=2) == ["00000005", "00000007"]
    assert [p.name for p in sorted((tmp_path / "state").iterdir())] == ["00000005", "00000007"]


def test_a_state_without_an_average_has_no_file_of_it(tmp_path: Path) -> None:
    write_state(tmp_path, State(4, WEIGHTS, {}, {}, {}), keep=1)
    (folder,) = states(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == FILES[1:]
    assert (read_state(folder).optimiser, read_state(folder).average) == ({}, {})


def test_a_state_keeps_its_counters_and_writes_the_same_bytes_again(tmp_path: Path) -> None:
    counters = {"seed": 3, "lr": 0.007, "best": {"pq": 0.25}}
    for run in ("1", "2"):
        write_state(tmp_path / run, State(12, WEIGHTS, {}, WEIGHTS, counters), keep=1)
    one, two = (states(tmp_path / run)[0] for run in ("1", "2"))
    assert read_state(one).counters == counters
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in FILES)


def test_states_are_in_the_order_of_their_steps_and_nothing_else_is_one(tmp_path: Path) -> None:
    assert states(tmp_path) == []
    for name in ("00000100", "100000000", "99999999", ".00000300", "notes", "00000020.old", "²"):
        (tmp_path / "state" / name).mkdir(parents=True)
    (tmp_path / "state" / "00000400").write_text("a file")
    assert [p.name for p in states(tmp_path)] == ["00000100", "99999999", "100000000"]


def test_a_run_without_states_has_no_last_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no run")
    for run in (tmp_path / "none", tmp_path, tmp_path / "file"):
        assert last_state(run, silent) is None


def test_states_that_cannot_be_listed_are_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, 1)

    def refuse(self: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BadInput, match=r"state: cannot be read \(Permission denied\)"):
        last_state(tmp_path, silent)


def test_a_whole_state_of_the_same_step_stays_as_it_is(tmp_path: Path) -> None:
    written(tmp_path, 4)
    files = [states(tmp_path)[0] / name for name in FILES]
    before = [(p.stat().st_ino, p.stat().st_mtime_ns) for p in files]
    assert written(tmp_path, 4, keep=1) == ["00000004"]
    assert [(p.stat().st_ino, p.stat().st_mtime_ns) for p in files] == before


def test_a_damaged_state_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    written(tmp_path, 4)
    (states(tmp_path)[0] / "weights.safetensors").write_bytes(b"half")
    written(tmp_path, 4, keep=1)
    assert is_made(last_state(tmp_path, silent), 4)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["00000004"]


def test_what_killed_writers_left_is_removed_and_what_others_left_is_not(tmp_path: Path) -> None:
    for name in (".00000004", ".00000005.0123abcd", ".notes", ".00000005.mine"):
        (tmp_path / "state" / name).mkdir(parents=True)
        (tmp_path / "state" / name / "weights.safetensors").write_bytes(b"half")
    written(tmp_path, 4)
    left = sorted(p.name for p in (tmp_path / "state").iterdir())
    assert left == [".00000005.mine", ".notes", "00000004"]


def test_damaged_states_of_later_steps_do_not_crowd_out_a_new_one(tmp_path: Path) -> None:
    written(tmp_path, 2, 4, 6)
    (states(tmp_path)[2] / "counters.json").unlink()
    assert written(tmp_path, 5, keep=1) == ["00000005"]


def test_whole_states_of_later_steps_stay(tmp_path: Path) -> None:
    assert written(tmp_path, 9, 2, 3, keep=1) == ["00000003", "00000009"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero(path: Path) -> None:
    """The right size, but the data never came to the disk."""
    path.write_bytes(bytes(path.stat().st_size))


def _flip(path: Path) -> None:
    """One bit in the last number, or the last brace."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [Path.unlink, _cut, _empty, _zero, _flip, _folder])
def test_a_damaged_state_is_named_and_gives_way_to_the_one_before(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    written(tmp_path, 1, 2, 3)
    newest = states(tmp_path)[-1]
    damage(newest / name)
    with pytest.raises(BadInput, match=name) as error:
        read_state(newest)
    told: list[str] = []
    assert is_made(last_state(tmp_path, told.append), 2)
    assert told == [f"{error.value}: going on from step 2"]
    assert str(newest / name) in told[0]
    assert "\n" not in told[0]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"step":3}',
        '{"files":{},"step":3}',
        '{"files":[],"step":3}',
        '{"files":{"weights.safetensors":{},"optimiser.safetensors":{},"../x":{}},"step":3}',
        '{"files":{"weights.safetensors":{},"optimiser.safetensors":{}},"step":2}',
        '{"files":{"weights.safetensors":{},"optimiser.safetensors":{}},"step":"3"}',
        "[" * 100_000,
    ],
)
def test_counters_that_no_run_writes_are_refused(tmp_path: Path, text: str) -> None:
    written(tmp_path, 3)
    (states(tmp_path)[0] / "counters.json").write_text(text)
    with pytest.raises(BadInput, match=r"counters\.json: (broken|not what)"):
        read_state(states(tmp_path)[0])


def test_a_state_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 3)
    shutil.copytree(states(tmp_path)[0], tmp_path / "state" / "00000008")
    told: list[str] = []
    assert is_made(last_state(tmp_path, told.append), 3)
    assert len(told) == 1


def test_every_damaged_state_is_told_of(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, 3)
    for folder in states(tmp_path)[1:]:
        shutil.rmtree(folder)
        folder.mkdir()
    told: list[str] = []
    assert is_made(last_state(tmp_path, told.append), 1)
    assert [Path(line.partition(":")[0]).parent.name for line in told] == ["00000003", "00000002"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_whose_states_are_all_damaged_is_refused_in_one_line(
    tmp_path: Path, count: int
) -> None:
    written(tmp_path, *range(count))
    for folder in states(tmp_path):
        _empty(folder / "weights.safetensors")
    with pytest.raises(BadInput, match="start the run anew") as error:
        last_state(tmp_path, silent)
    assert "\n" not in str(error.value)


def test_a_state_that_cannot_be_written_leaves_those_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, 1, 2)

    def fail(_: int) -> NoReturn:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_state(tmp_path, made(3), keep=1)
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == ["00000001", "00000002"]
    assert is_made(last_state(tmp_path, silent), 2)


def test_two_writers_of_one_run_leave_only_whole_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes when the first has filled its folder and not yet renamed it."""
    rename = Path.rename

    def meet(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        written(tmp_path, 3)
        return rename(self, target)

    written(tmp_path, 1)
    monkeypatch.setattr(Path, "rename", meet)
    with pytest.raises(OSError, match="No such file"):
        write_state(tmp_path, made(2), keep=1)
    assert [is_made(read_state(p), int(p.name)) for p in states(tmp_path)] == [True, True]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see what is flushed")
def test_old_states_go_only_when_the_new_one_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, 1)
    done: list[str] = []
    flush, rename, remove = os.fsync, Path.rename, shutil.rmtree

    def note_flush(handle: int) -> None:
        done.append("flush " + _kind(Path(os.readlink(f"/proc/self/fd/{handle}"))))
        flush(handle)

    def note_rename(self: Path, target: Path) -> Path:
        done.append(f"rename {_kind(self)} to {_kind(target)}")
        return rename(self, target)

    def note_remove(folder: Path, ignore_errors: bool) -> None:
        done.append(f"remove {_kind(folder)}")
        remove(folder, ignore_errors)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(shutil, "rmtree", note_remove)
    write_state(tmp_path, made(2), keep=1)
    files = ["weights.safetensors", "optimiser.safetensors", "average.safetensors", "counters.json"]
    assert done == [
        *(f"flush {name}" for name in [*files, ".00000002"]),
        "rename .00000002 to 00000002",
        "flush state",
        "rename 00000001 to .00000001",
        "flush state",
        "remove .00000001",
    ]


def _kind(path: Path) -> str:
    """A name without what makes it one of its own."""
    return path.name[:9] if path.name.startswith(".") else path.name


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see what is flushed")
def test_the_first_state_brings_its_folders_onto_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    flush = os.fsync

    def note(handle: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    written(tmp_path / "run", 1)
    assert names[:2] == [tmp_path.name, "run"]


def test_a_write_needs_little_memory_of_its_own(tmp_path: Path) -> None:
    weights = {str(n): torch.zeros(500_000) for n in range(8)}
    size = 8 * 500_000 * 4
    tracemalloc.start()
    try:
        write_state(tmp_path, State(1, weights, weights, weights, {}), keep=1)
        assert tracemalloc.get_traced_memory()[1] < size / 8
    finally:
        tracemalloc.stop()
