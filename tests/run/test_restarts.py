"""What `torchrun` does to a run: processes die, are started anew, are stopped."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from atrous.run.states import states
from conftest import TINY_NETWORK, Shell

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.study,
]

STEPS, PROCESSES = 6, 2
SETTINGS = (
    *TINY_NETWORK,
    "train.batch=4",
    f"train.iterations={STEPS}",
    "train.checkpoint_every=2",
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


def call(out: Path) -> list[str]:
    words = ["train", "deeperlab-light", "--data", "shapes", "--out", str(out), "--workers", "0"]
    return words + [word for setting in SETTINGS for word in ("--set", setting)]


@contextmanager
def launch(
    out: Path, *, processes: int = PROCESSES, restarts: int = 3
) -> Iterator[subprocess.Popen[str]]:
    """A call of torchrun; it has ended afterwards, and all that it started."""
    how = ("--standalone", f"--nproc-per-node={processes}", f"--max-restarts={restarts}")
    with running([*TORCHRUN, *how, "-m", "atrous", *call(out)]) as process:
        yield process


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=variables, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ranks_of(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """The processes that torchrun has started, by rank."""
    found = {}
    for path in Path(f"/proc/{launcher.pid}/task").glob("*/children"):
        for pid in path.read_text().split():
            with suppress(OSError):
                variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
                told = dict(x.partition("=")[::2] for x in variables)
                if "RANK" in told:
                    found[int(told["RANK"])] = int(pid)
    return found


def steps(run: Path) -> list[int]:
    log = run / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


def await_steps(run: Path, count: int, launcher: subprocess.Popen[str]) -> None:
    while len(steps(run)) < count and launcher.poll() is None:
        time.sleep(0.005)
    assert launcher.poll() is None, launcher.communicate()[1]


def model(run: Path) -> bytes:
    return (run / "last.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of a run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with launch(run) as launcher:
        told = launcher.communicate()[1]
    assert launcher.returncode == 0, told
    assert steps(run) == list(range(STEPS))
    return model(run)


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped by SIGTERM to torchrun, after so many steps."""

    run: Path
    told: str
    step: int

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.run, folder / "run"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    run = tmp_path_factory.mktemp("stopped") / "run"
    with launch(run) as launcher:
        await_steps(run, random.randrange(1, STEPS - 2), launcher)
        launcher.terminate()
        told = launcher.communicate()[1]
    return Stopped(run, told, len(steps(run)))


def test_whichever_process_is_killed_the_run_ends_with_the_bytes_of_an_undisturbed_one(
    whole: bytes, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, run = random.Random(seed), tmp_path / "run"
    with launch(run) as launcher:
        await_steps(run, chance.randrange(1, STEPS - 1), launcher)
        os.kill(ranks_of(launcher)[chance.randrange(PROCESSES)], signal.SIGKILL)
        told = launcher.communicate()[1]
    assert launcher.returncode == 0, told
    assert "Traceback" not in told
    assert model(run) == whole
    assert steps(run) == list(range(STEPS))


def test_processes_that_torchrun_is_told_to_end_save_the_step_they_are_in(stopped: Stopped) -> None:
    assert 0 < stopped.step < STEPS
    assert int(states(stopped.run)[-1].name) == stopped.step
    assert stopped.told.count("--resume") == 1, stopped.told
    assert f"stopped after step {stopped.step}; go on with:" in stopped.told


def test_the_command_that_a_stopped_run_prints_goes_on_to_the_bytes_of_an_undisturbed_one(
    whole: bytes, stopped: Stopped, tmp_path: Path
) -> None:
    run = stopped.copy(tmp_path)
    (line,) = [x for x in stopped.told.splitlines() if x.endswith("--resume")]
    name, *words = shlex.split(line.replace(str(stopped.run), str(run)))
    assert name == "torchrun"
    with running([*TORCHRUN, *words]) as launcher:
        told = launcher.communicate()[1]
    assert launcher.returncode == 0, told
    assert "Traceback" not in told
    assert model(run) == whole


def test_another_call_never_goes_on_with_a_run_however_often_it_is_restarted(
    stopped: Stopped, tmp_path: Path
) -> None:
    run = stopped.copy(tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with launch(run, processes=1, restarts=1) as launcher:
        told = launcher.communicate()[1]
    assert launcher.returncode == 1
    assert told.count("atrous: ") == 2  # at first, and started anew
    assert told.count(f"atrous: {run}: holds a run already: --resume goes on") == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_another_number_of_processes_goes_on_and_says_that_bytes_will_differ(
    stopped: Stopped, tmp_path: Path, shell: Shell
) -> None:
    run = stopped.copy(tmp_path)
    code, _, told = shell(*call(run), "--resume")
    assert code == 0, told
    assert f"started with processes = {PROCESSES}, not 1: it goes on" in told
    assert steps(run) == list(range(STEPS))
