"""How a run ends that something ends: what is said, what was saved, and that it can go on."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atrous.data.shapes import Shapes
from atrous.run import guard
from atrous.run.checkpoint import read_weights
from atrous.run.states import last_state, read_state, states
from atrous.systems.deeperlab import DeeperLab
from atrous.training import train
from atrous.types import BadInput, Sample
from conftest import TINY_NETWORK, Shell
from small_disks import fill, mounted, room

STEPS, PHOTOS, BATCH = 6, 12, 2
SETTINGS = (*TINY_NETWORK, f"train.iterations={STEPS}", "train.checkpoint_every=4")


def nothing() -> None:
    """What happens to a run that is not disturbed."""


class Scenes:
    """Drawn scenes; something happens while one of them is read, in a worker if there are any.

    at  the reading, counted from 1
    """

    def __init__(self, happens: Callable[[], object] = nothing, *, at: int = 0) -> None:
        self.drawn = Shapes("train", size_hw=(65, 65), count=PHOTOS)
        self.labels, self.name = self.drawn.labels, self.drawn.name
        self.happens, self.at, self.read = happens, at, 0

    def __len__(self) -> int:
        return PHOTOS

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        if self.read == self.at:
            self.happens()
        return self.drawn[index]


def during(step: int) -> int:
    """A reading for that step."""
    return BATCH * step + 1


class Run:
    """A run folder, and the command line that works on it."""

    def __init__(self, shell: Shell, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._shell, self._monkeypatch, self.folder = shell, monkeypatch, folder / "run"

    def __call__(self, source: Any, *words: str, val: Any = None) -> tuple[int, str]:
        """Exit code and stderr."""
        given = {"train": source, "val": val}
        monkeypatch, settings = self._monkeypatch, [x for s in SETTINGS for x in ("--set", s)]
        monkeypatch.setattr("atrous.data.catalogue.open_data", lambda _, split: given[split])
        words = ("--out", str(self.folder), "--workers", "0", "--quiet", *settings, *words)
        code, out, told = self._shell("train", "deeperlab-light", "--data", "shapes", *words)
        assert out == ""
        return code, told

    def goes_on(self, *words: str) -> bytes:
        """The model after a resume to the end."""
        assert self(Scenes(), *words, "--resume") == (0, "")
        assert [row["step"] for row in self.rows if "eval" not in row] == list(range(STEPS))
        return (self.folder / "last.safetensors").read_bytes()

    @property
    def rows(self) -> list[dict[str, Any]]:
        lines = (self.folder / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    @property
    def saved(self) -> int:
        """Steps of the last state; all states are whole."""
        return [read_state(folder).step for folder in states(self.folder)][-1]


@pytest.fixture
def run(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return Run(shell, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train("deeperlab-light", data=Scenes(), out=folder, settings=SETTINGS, quiet=True)
    return (folder / "last.safetensors").read_bytes()


def raising(*numbers: int, apart_s: float = 0.0) -> Callable[[], None]:
    def happens() -> None:
        for number in numbers:
            signal.raise_signal(number)
            time.sleep(apart_s)

    return happens


@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM,),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT,),
        (signal.SIGINT, signal.SIGINT),  # from the terminal, and passed on by what started us
    ],
)
def test_a_signal_lets_the_step_end_and_saves_it(
    run: Run, numbers: tuple[signal.Signals, ...], step: int
) -> None:
    code, told = run(Scenes(raising(*numbers), at=during(step)))
    assert code == 3
    first, second = told.splitlines()
    assert first == f"stopped after step {step + 1}; go on with:"
    assert second.endswith("--resume")
    assert run.saved == len(run.rows) == step + 1


def test_a_run_that_a_signal_stopped_goes_on_to_the_same_bytes(run: Run, whole: bytes) -> None:
    run(Scenes(raising(signal.SIGTERM), at=during(2)))
    assert run.goes_on() == whole


def test_a_later_ctrl_c_ends_a_run_at_once_and_harms_no_state(
    run: Run, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SAME_S", 0.1)
    happens = raising(signal.SIGINT, signal.SIGINT, apart_s=0.2)
    assert run(Scenes(happens, at=during(4))) == (3, "atrous: stopped\n")
    assert (run.saved, len(run.rows)) == (4, 4)
    assert run.goes_on() == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_ends_the_call_and_leaves_no_run(
    run: Run, number: signal.Signals
) -> None:
    source = Scenes(raising(number), at=2)  # frozen norms learn from crops beforehand
    assert run(source, "--set", "train.norms=frozen") == (3, "atrous: stopped\n")
    assert states(run.folder) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.study
def test_a_signal_does_not_wait_for_the_scores_which_the_resume_computes(run: Run) -> None:
    scoring = ("--set", "train.eval_every=2")
    val = Scenes(raising(signal.SIGTERM), at=2)
    code, told = run(Scenes(), *scoring, val=val)
    assert code == 3, told
    assert val.read == 2
    assert run.saved == len(run.rows) == 2
    assert run(Scenes(), *scoring, "--resume", val=Scenes()) == (0, "")
    assert [row["step"] for row in run.rows if "eval" in row] == [1, 3, 5]


CALL = """
import os, signal, sys
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from atrous.cli import main
    main()
"""


@pytest.mark.study
@pytest.mark.skipif(sys.platform == "win32", reason="has no process groups")
def test_ctrl_c_in_a_terminal_brings_no_traceback_of_any_process(tmp_path: Path) -> None:
    program, folder = tmp_path / "call.py", tmp_path / "run"
    program.write_text(CALL)
    settings = [x for s in (*SETTINGS, "train.iterations=500") for x in ("--set", s)]
    words = ["train", "deeperlab-light", "--data", "shapes", "--out", str(folder), *settings]
    with subprocess.Popen(
        [sys.executable, str(program), *words, "--workers", "2", "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        log = folder / "log.jsonl"
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 1):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate()[1]
    assert process.returncode == 3, told
    assert len(told.splitlines()) == 2, told
    assert told.endswith("--resume\n")


def die_in_a_worker() -> None:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.study
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_dead_worker_ends_a_run_which_goes_on_to_the_same_bytes(run: Run, whole: bytes) -> None:
    code, told = run(Scenes(die_in_a_worker, at=during(3)), "--workers", "1")
    assert code == 1
    assert told == (
        "atrous: a process that reads images has died (out of memory, or killed): use fewer "
        "--workers; --resume goes on\n"
    )
    assert 0 < run.saved == len(run.rows) < STEPS
    assert run.goes_on() == whole


def refuse() -> None:
    raise BadInput("photos/7.jpg: cannot be read: broken data: mend or remove it")


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.study)])
def test_an_image_that_cannot_be_read_is_named_and_the_step_before_saved(
    run: Run, whole: bytes, workers: str
) -> None:
    code, told = run(Scenes(refuse, at=during(3)), "--workers", workers)
    assert code == 2
    assert told == "atrous: photos/7.jpg: cannot be read: broken data: mend or remove it\n"
    assert run.saved == len(run.rows) == 3
    assert run.goes_on() == whole


def test_a_loss_that_is_not_finite_names_its_images_and_saves_nothing_of_it(run: Run) -> None:
    settings = ("--set", "train.lr=1e30", "--set", "train.checkpoint_every=1")
    code, told = run(Scenes(), *settings)
    assert code == 1
    assert told.count("\n") == 1
    step = len(run.rows)
    assert told.startswith(f"atrous: step {step}: the loss is not finite (semantic ")
    assert told.count("shapes-") == BATCH
    assert "train.lr" in told
    assert run.saved == step
    state = last_state(run.folder, print)
    assert state
    assert all(bool(value.isfinite().all()) for value in state.weights.values())


def test_a_gradient_that_is_not_finite_names_its_images_and_saves_nothing_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, whole: bytes
) -> None:
    lengths = iter([1.0, 1.0, float("inf")])
    with monkeypatch.context() as patch:
        patch.setattr(nn.utils, "get_total_norm", lambda _: torch.tensor(next(lengths)))
        code, told = run(Scenes(), "--set", "train.checkpoint_every=1")
    assert code == 1
    assert told.count("\n") == 1
    assert told.startswith("atrous: step 2: the gradient is not finite in shapes-")
    assert told.count("shapes-") == BATCH
    assert run.saved == len(run.rows) == 2
    assert len(run.goes_on("--set", "train.checkpoint_every=1")) == len(whole)


def ask_for_all_memory() -> None:
    torch.empty(1 << 62, dtype=torch.uint8)


def run_out_on_a_device() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("happens", [ask_for_all_memory, run_out_on_a_device])
def test_too_little_memory_is_told_with_the_mend(
    run: Run, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]
) -> None:
    forward: Callable[..., Any] = DeeperLab.forward
    calls = iter(range(99))

    def scarce(*arguments: Any) -> Any:
        if next(calls) == 2:
            happens()
        return forward(*arguments)

    monkeypatch.setattr(DeeperLab, "forward", scarce)
    code, told = run(Scenes())
    assert code == 1
    assert told.count("\n") == 1
    assert told.startswith("atrous: out of memory: ")
    assert "train.accumulate" in told


MIB = 1 << 20
STATE = 17 * MIB
"""About what a state takes."""


@pytest.fixture
def disk(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The disk of the run, of 64 MiB."""
    with mounted(tmp_path_factory.mktemp("disk"), size=64 * MIB, files=200) as disk:
        run.folder = disk / "run"
        yield disk


def test_a_disk_that_fills_up_ends_a_run_in_one_line_and_with_room_it_goes_on(
    run: Run, disk: Path, whole: bytes
) -> None:
    every = ("--set", "train.checkpoint_every=1")
    fill(disk, free=5 * STATE // 2)
    code, told = run(Scenes(), *every)
    assert code == 1
    assert told.count("\n") == 1
    assert told.startswith(f"atrous: {disk}/run")
    assert "No space left on device: free some space, then --resume goes on" in told
    assert (run.saved, len(run.rows)) == (2, 3)
    (disk / "other").unlink()
    assert read_like(run.goes_on(*every), whole)


def read_like(one: bytes, other: bytes) -> bool:
    """Whether two models have equal weights; their recipes may differ."""
    return one[-1000:] == other[-1000:] and abs(len(one) - len(other)) < 64


@pytest.mark.study
def test_a_log_that_cannot_be_written_ends_a_run_in_one_line(run: Run, disk: Path) -> None:
    rows = ("--set", "train.iterations=40", "--set", "train.checkpoint_every=40")
    code, told = run(Scenes(lambda: fill(disk, free=0), at=during(1)), *rows)
    assert code == 1
    assert told.count("\n") == 1
    assert "No space left on device: free some space" in told
    assert 2 <= len(run.rows) < 40
    (disk / "other").unlink()
    assert run(Scenes(), *rows, "--resume")[0] == 0
    assert [row["step"] for row in run.rows] == list(range(40))


def test_events_that_have_no_place_end_a_run_in_one_line(run: Run, disk: Path) -> None:
    pytest.importorskip("tensorboard")
    for n in range(os.statvfs(disk).f_favail - 3):  # for a folder, run.json and log.jsonl
        (disk / str(n)).touch()
    code, told = run(Scenes())
    assert code == 1
    assert told.count("\n") == 1, told
    assert "No space left on device: free some space" in told
    (disk / "0").unlink()
    for n in range(1, 20):
        (disk / str(n)).unlink()
    assert run.goes_on()


def test_events_that_cannot_be_written_end_a_run_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, whole: bytes
) -> None:
    records = pytest.importorskip("tensorboard.summary.writer.record_writer")
    write: Callable[..., None] = records.RecordWriter.write
    calls = iter(range(999))

    def scarce(*arguments: Any) -> None:
        if next(calls) >= 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(records.RecordWriter, "write", scarce)
        code, told = run(Scenes())
    assert code == 1
    assert told.count("\n") == 1, told
    assert "No space left on device: free some space, then --resume goes on" in told
    assert run.goes_on() == whole


def test_a_model_that_finds_no_room_at_the_end_is_written_by_the_resume(
    run: Run, disk: Path, whole: bytes
) -> None:
    assert room(disk) > 3 * STATE
    once = ("--set", "train.checkpoint_every=6")
    code, told = run(Scenes(lambda: fill(disk, free=STATE + 2 * MIB), at=during(1)), *once)
    assert code == 1
    assert told.count("\n") == 1
    assert "No space left on device: free some space, then --resume goes on" in told
    assert run.saved == STEPS
    (disk / "other").unlink()
    assert read_like(run.goes_on(*once), whole)
    assert read_weights(run.folder / "last.safetensors")
