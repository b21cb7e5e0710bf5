"""Writers that are killed, or that fail, at any moment.

This file is also the program that is killed. It is started once and forks a writer for every kill,
for importing torch takes seconds; a fork is safe there, as it has one thread.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
import torch

from atrous.run.checkpoint import read_header, read_weights, write_model
from atrous.run.states import State, last_state, read_state, states, write_state
from atrous.types import BadInput

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and kills writers")

KILLS = 50
LARGE, SMALL = 250_000, 50
DAMAGED = b"half"
KILLED, FAILED, SPARED = 9, 28, 7
CALLS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
"""Audit events of what changes a disk; `flush` and `chunk` are counted with them."""


def made(step: int, numbers: int) -> State:
    """A state whose every number tells its step."""
    line = torch.arange(float(numbers))
    one, two, three = ({"w": line + step + n, "n": torch.tensor(step)} for n in range(3))
    return State(step, one, two, three, {"seconds": step / 4})


def is_made(state: State, numbers: int) -> bool:
    """Whether a state is what `made` gives for its step."""
    wanted = made(state.step, numbers)
    pairs = zip(
        (state.weights, state.optimiser, state.average),
        (wanted.weights, wanted.optimiser, wanted.average),
        strict=True,
    )
    return state.counters == wanted.counters and all(
        x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in y) for x, y in pairs
    )


def write_on(run: Path, first: int) -> None:
    """Writes states until it is killed, and reports each one that is done."""
    for step in range(first, first + 10_000):
        write_state(run, made(step, LARGE), keep=2)
        os.write(1, f"done {step}\n".encode())


def write_once(run: Path, what: str, step: int) -> None:
    """Writes one state, or one model file."""
    if what == "state":
        write_state(run, made(step, SMALL), keep=1)
    else:
        write_model(run / "m", made(step, SMALL).weights, {"step": step})


def strike(at: int, blow: Callable[[], object]) -> list[int]:
    """From now on, `blow` comes in place of call number `at`; returns the calls still to come."""
    left = [at]

    def count(event: str, _: object = None) -> None:
        if event in CALLS:
            left[0] -= 1
            if left[0] == -1:
                blow()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: object) -> Any:
            count("open")
            return call(*arguments)

        return run

    os.fsync, zlib.crc32 = counted(no_flush), counted(zlib.crc32)
    sys.addaudithook(count)
    return left


def no_flush(_: int) -> None:
    """What is written outlives its writer without a flush too; those of a disk take their time."""


def fail() -> NoReturn:
    """A disk that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def work(task: dict[str, Any]) -> int:
    """What a forked writer does, and the exit code for how it went."""
    run = Path(task["run"])
    if task["do"] == "on":
        write_on(run, task["first"])
    left = strike(task["at"], {"kill": lambda: os._exit(KILLED), "fail": fail}[task["do"]])
    try:
        write_once(run, task["what"], task["step"])
    except OSError as error:
        return FAILED if error.errno == errno.ENOSPC else 1
    return 0 if left[0] >= 0 else SPARED


def serve() -> None:
    """Forks a writer for every line of stdin; says its number, and how it ended."""
    torch.set_num_threads(1)
    assert len(os.listdir("/proc/self/task")) == 1
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                os._exit(work(json.loads(line)))
            finally:
                traceback.print_exc()
                os._exit(1)
        os.write(1, f"began {child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"ended {os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)  # torch takes its time to end


class Writers:
    """The program that forks writers, and its answers."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def begin(self, **task: object) -> int:
        """Starts a writer; returns its process."""
        self._stdin.write(json.dumps(task) + "\n")
        self._stdin.flush()
        return self._number("began")

    def finish(self) -> tuple[int, list[int]]:
        """How the writer ended, and the steps that it had reported done."""
        done = []
        while (line := self._stdout.readline()).startswith("done"):
            done.append(int(line.split()[1]))
        assert line.startswith("ended"), line
        return int(line.split()[1]), done

    def once(self, **task: object) -> int:
        """Starts a writer and waits for how it ends."""
        self.begin(**task)
        return self.finish()[0]

    def _number(self, word: str) -> int:
        line = self._stdout.readline()
        assert line.startswith(word), line
        return int(line.split()[1])


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    """One thread in all: what numpy and torch would start does not survive a fork."""
    alone = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **alone},
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Writers(process.stdin, process.stdout)
        finally:
            process.stdin.close()  # it ends when there is no more to do
    assert process.returncode == 0


def silent(line: str) -> NoReturn:
    """A kill damages nothing, so there is nothing to tell."""
    raise AssertionError(line)


def test_a_kill_at_any_moment_leaves_a_state_to_go_on_from(
    tmp_path: Path, writers: Writers
) -> None:
    seed = int(os.environ.get("ATROUS_KILL_SEED") or time.time_ns() % 2**32)
    print(f"ATROUS_KILL_SEED={seed}")
    moments, newest, halves = random.Random(seed), 0, 0
    began = time.monotonic()
    write_state(tmp_path, made(newest, LARGE), keep=2)
    one = min(time.monotonic() - began, 0.1)
    for _ in range(KILLS):
        child = writers.begin(do="on", run=str(tmp_path), first=newest + 1)
        time.sleep(moments.uniform(0, 1.5 * one))
        os.kill(child, signal.SIGKILL)
        ending, done = writers.finish()
        assert ending == -signal.SIGKILL
        state = last_state(tmp_path, silent)
        assert state
        assert is_made(state, LARGE)
        assert state.step >= max(done, default=newest)
        assert all(is_made(read_state(folder), LARGE) for folder in states(tmp_path)[:-1])
        newest = state.step
        halves += any(p.name.startswith(".") for p in (tmp_path / "state").iterdir())
    assert halves > 0, "no kill has hit a write"


def whole(run: Path) -> set[int]:
    """Steps whose state is whole; the newest is what a run goes on from."""
    found = set()
    for folder in states(run):
        try:
            state = read_state(folder)
        except BadInput:
            assert (folder / "weights.safetensors").read_bytes() == DAMAGED
            continue
        assert is_made(state, SMALL)
        found.add(state.step)
    newest = last_state(run, lambda _: None)
    assert newest
    assert newest.step == max(found)
    return found


def start(run: Path, *, damaged: bool) -> None:
    """Two states; and a damaged one of step 3, a later one, and what a killed writer left."""
    for step in (1, 2, *((3, 8) if damaged else ())):
        write_state(run, made(step, SMALL), keep=9)
    if damaged:
        for step in (3, 8):
            (run / "state" / f"{step:08d}" / "weights.safetensors").write_bytes(DAMAGED)
        shutil.copytree(run / "state" / "00000001", run / "state" / ".00000004.01234567")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes of this process wait for no disk."""
    monkeypatch.setattr(os, "fsync", no_flush)


def each_call(template: Path, writers: Writers, **task: object) -> Iterator[tuple[Path, int]]:
    """Strikes at every call of a write in turn; yields the run after it, and how it ended."""
    ending, at = KILLED, 0
    while ending != 0:
        run = template.with_name(f"run{at}")
        shutil.copytree(template, run)
        ending = writers.once(run=str(run), at=at, step=3, **task)
        yield run, ending
        at += 1
    assert at > 5


@pytest.mark.usefixtures("hasty")
def test_a_kill_at_any_call_leaves_a_state_and_no_rubbish_for_good(
    tmp_path: Path, writers: Writers
) -> None:
    start(tmp_path / "start", damaged=True)
    for run, ending in each_call(tmp_path / "start", writers, do="kill", what="state"):
        assert ending in (0, KILLED)
        assert whole(run) in ({1, 2}, {1, 2, 3}, {2, 3}, {3})
        assert ending == KILLED or whole(run) == {3}
        write_once(run, "state", 5)
        assert [p.name for p in (run / "state").iterdir()] == ["00000005"]


@pytest.mark.usefixtures("hasty")
def test_an_error_at_any_call_leaves_the_old_states_or_the_new_one(
    tmp_path: Path, writers: Writers
) -> None:
    start(tmp_path / "start", damaged=False)
    for run, ending in each_call(tmp_path / "start", writers, do="fail", what="state"):
        assert ending in (0, FAILED, SPARED)
        assert whole(run) in ({1, 2}, {1, 2, 3}, {2, 3}, {3})
        assert ending == FAILED or whole(run) == {3}
        assert 3 in whole(run) or len(list((run / "state").iterdir())) == 2
        write_once(run, "state", 5)
        assert [p.name for p in (run / "state").iterdir()] == ["00000005"]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("do", ["kill", "fail"])
def test_a_kill_or_an_error_at_any_call_leaves_the_old_model_or_the_new_one(
    tmp_path: Path, writers: Writers, do: str
) -> None:
    (tmp_path / "start").mkdir()
    write_once(tmp_path / "start", "model", 1)
    for run, ending in each_call(tmp_path / "start", writers, do=do, what="model"):
        step = read_header(run / "m")["step"]
        assert step in ((1, 3) if ending in (KILLED, FAILED) else (3,))
        assert torch.equal(read_weights(run / "m")["w"], made(step, SMALL).weights["w"])
        assert do == "kill" or [p.name for p in run.iterdir()] == ["m"]


if __name__ == "__main__":
    serve()
