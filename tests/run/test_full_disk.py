"""A disk that fills up while states and models are written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from atrous.run.checkpoint import read_weights, write_bytes, write_model
from atrous.run.states import State, last_state, read_state, states, write_state
from small_disks import fill, mounted, room

SIZE, FILES = 1 << 20, 99
NUMBERS = 10_000


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of one MiB and 99 files."""
    with mounted(tmp_path_factory.mktemp("disk"), size=SIZE, files=FILES) as disk:
        yield disk


@pytest.fixture
def disk(small_disk: Path) -> Iterator[Path]:
    """The small disk with nothing on it, before and after."""
    yield small_disk
    for path in small_disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def made(step: int) -> State:
    """About 120 KB whose every number tells its step."""
    one, two, three = ({"w": torch.full((NUMBERS,), float(step + n))} for n in range(3))
    return State(step, one, two, three, {"seconds": step / 4})


def silent(line: str) -> NoReturn:
    """A full disk damages nothing, so there is nothing to tell."""
    raise AssertionError(line)


def assert_whole(run: Path, steps: list[int]) -> None:
    """These states are there, each with its own numbers, and nothing else is."""
    folders = states(run)
    assert sorted((run / "state").iterdir()) == sorted(folders)
    for folder, step in zip(folders, steps, strict=True):
        state, wanted = read_state(folder), made(step)
        assert (state.step, state.counters) == (step, wanted.counters)
        assert torch.equal(state.weights["w"], wanted.weights["w"])
        assert torch.equal(state.optimiser["w"], wanted.optimiser["w"])
        assert torch.equal(state.average["w"], wanted.average["w"])
    last = last_state(run, silent)
    assert last
    assert last.step == steps[-1]


def test_states_until_the_disk_is_full_and_on_when_there_is_room(disk: Path) -> None:
    fitting = range(SIZE // _need(disk))
    for step in fitting:
        write_state(disk, made(step), keep=99)
    steps = list(fitting)
    assert len(steps) > 2
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as error:
            write_state(disk, made(98), keep=1)
        assert error.value.errno == errno.ENOSPC
        assert_whole(disk, steps)
    shutil.rmtree(states(disk)[0])
    write_state(disk, made(99), keep=2)
    assert_whole(disk, [steps[-1], 99])


def _need(disk: Path) -> int:
    """Bytes that a state takes on the disk; it is gone again."""
    before = room(disk)
    write_state(disk / "first", made(1), keep=1)
    need = before - room(disk)
    shutil.rmtree(disk / "first")
    return need


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999])
def test_wherever_the_disk_gets_full_the_state_before_stays(disk: Path, share: float) -> None:
    """From no room at all, over each file in turn, to a little less than a state takes."""
    need = _need(disk)
    write_state(disk, made(1), keep=1)
    fill(disk, free=int(share * need))
    with pytest.raises(OSError, match="No space left") as error:
        write_state(disk, made(2), keep=1)
    assert error.value.errno == errno.ENOSPC
    assert_whole(disk, [1])
    (disk / "other").unlink()
    write_state(disk, made(2), keep=1)
    assert_whole(disk, [2])


@pytest.mark.parametrize("left", range(5))
def test_a_disk_that_takes_no_more_files_keeps_the_state_before(disk: Path, left: int) -> None:
    """A state is a folder and four files."""
    write_state(disk, made(1), keep=1)
    for n in range(os.statvfs(disk).f_favail - left):
        (disk / str(n)).touch()
    with pytest.raises(OSError, match="No space left") as error:
        write_state(disk, made(2), keep=1)
    assert error.value.errno == errno.ENOSPC
    assert_whole(disk, [1])


@pytest.mark.parametrize("free", [0, 4096, 16384, 32768])
def test_a_model_file_stays_when_the_disk_is_full(disk: Path, free: int) -> None:
    path = disk / "run" / "last.safetensors"
    write_model(path, made(1).weights, {"step": 1})
    before = path.read_bytes()
    fill(disk, free=free)
    with pytest.raises(OSError, match="No space left") as error:
        write_model(path, made(2).weights, {"step": 2})
    assert error.value.errno == errno.ENOSPC
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before
    (disk / "other").unlink()
    write_model(path, made(2).weights, {"step": 2})
    assert torch.equal(read_weights(path)["w"], made(2).weights["w"])


def test_a_first_file_that_finds_no_room_leaves_none(disk: Path) -> None:
    fill(disk, free=8192)
    with pytest.raises(OSError, match="No space left") as error:
        write_bytes(disk / "x", bytes(20_000))
    assert error.value.errno == errno.ENOSPC
    assert [p.name for p in disk.iterdir()] == ["other"]
