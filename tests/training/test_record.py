"""What cannot be begun or gone on with is refused before the first step, and nothing is left."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from atrous.cli import main
from atrous.data.shapes import LABELS, Shapes
from atrous.labels import LabelSpace
from atrous.training import train
from atrous.training.record import command, is_restarted
from atrous.types import BadInput, Sample
from conftest import TINY_NETWORK, Shell
from ranks import HERE, ranks
from small_disks import mounted

SETTINGS = (*TINY_NETWORK, "train.iterations=2", "train.checkpoint_every=1")


class Scenes:
    """Drawn scenes of any classes, and any number of them."""

    def __init__(self, labels: LabelSpace = LABELS, count: int = 20) -> None:
        self.drawn = Shapes("train", size_hw=(65, 65), count=count)
        self.labels, self.name = labels, self.drawn.name

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> Sample:
        return self.drawn[index]


def words(out: Path, *more: str, recipe: str = "deeperlab-light") -> tuple[str, ...]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    start = ("train", recipe, "--data", "shapes", "--out", str(out), "--workers", "0", "--quiet")
    return (*start, *settings, *more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train("deeperlab-light", data=Scenes(), out=run, settings=SETTINGS, quiet=True)
    return run


def held(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below."""
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return {str(path): (told.st_size, told.st_mtime_ns) for path, told in found}


class Refusal:
    """The command line refuses in one line, and leaves a folder as it was."""

    def __init__(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shell, self._monkeypatch = shell, monkeypatch
        self.source: Any = Scenes()

    def __call__(self, out: Path, *more: str, recipe: str = "deeperlab-light") -> str:
        source = self.source
        self._monkeypatch.setattr("atrous.data.catalogue.open_data", lambda _, split: source)
        before = held(out.parent)
        code, said, told = self._shell(*words(out, *more, recipe=recipe))
        assert (code, said) == (2, ""), told
        assert told.count("\n") == 1, told
        assert held(out.parent) == before
        return told.removeprefix("atrous: ").rstrip("\n")


@pytest.fixture
def refusal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Refusal:
    return Refusal(shell, monkeypatch)


def test_a_folder_that_holds_a_run_is_not_begun_in_again(finished: Path, refusal: Refusal) -> None:
    told = refusal(finished)
    assert told == f"{finished}: holds a run already: --resume goes on, or choose another --out"


def test_a_resume_needs_a_run(tmp_path: Path, refusal: Refusal) -> None:
    told = refusal(tmp_path / "run", "--resume")
    assert told == f"{tmp_path}/run: no run to resume: leave --resume out to start one"


def test_a_resume_lists_everything_that_differs(finished: Path, refusal: Refusal) -> None:
    changed = ("train.lr=0.02", "train.crop=49", "losses.short=3", "seed=7", "train.clip=1")
    refusal.source = Scenes(count=19)
    told = refusal(finished, "--resume", *(x for c in changed for x in ("--set", c)))
    for what in (
        "train.lr = 0.01, not 0.02",
        "train.crop = 33, not 49",
        "losses.short = 1.0, not 3.0",
        "seed = 0, not 7",
        "train.clip = 0.0, not 1.0",
        "images = 20, not 19",
    ):
        assert what in told
    assert told.count(", not ") == 6, told


def test_a_resume_on_data_of_other_classes_names_them(finished: Path, refusal: Refusal) -> None:
    refusal.source = Scenes(LabelSpace(LABELS.labels[:-1]))
    assert "with 7 classes (sky, grass, sand, disc, box, ...), not 6 classes (sky, " in refusal(
        finished, "--resume"
    )
    other = (*LABELS.labels[:-1], replace(LABELS.labels[-1], is_thing=False))
    refusal.source = Scenes(LabelSpace(other))
    told = refusal(finished, "--resume")
    assert "'name': 'ring'" in told
    assert told.count(", not ") == 1


def test_a_resume_with_another_recipe_names_both(finished: Path, refusal: Refusal) -> None:
    told = refusal(finished, "--resume", recipe="deeperlab-light-short")
    assert "name = deeperlab-light, not deeperlab-light-short" in told


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '"run"', "{}", '{"recipe": {}}', '{"recipe": [], "threads": 1}'),
        *('{"recipe": {}, "threads": "two"}', '{"recipe": {}, "threads": 1, "start": "x"}'),
    ],
)
@pytest.mark.parametrize("more", [(), ("--resume",)], ids=["begun", "resumed"])
def test_a_garbled_record_is_refused(
    tmp_path: Path, refusal: Refusal, text: str, more: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(text)
    told = refusal(run, *more)
    assert told.startswith(f"{run}/run.json: ")
    assert not is_restarted(run)


@pytest.mark.parametrize(
    ("setting", "naming"),
    [
        ("train.accumulate=3", "train.accumulate is 3: it must divide train.batch, 2"),
        ("train.best=mIoU", "train.best is 'mIoU': it can be pq, "),
        ("train.doubled=unicorn", "unicorn"),
        ("train.freeze=backbon", "no part is called 'backbon'"),
        ("train.iterations=0", "train.iterations is 0: it must be at least 1"),
        ("train.lr=fast", "train.lr"),
        ("train.lrr=1", "train.lrr"),
        ("train.crop=32", "train.crop"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    tmp_path: Path, refusal: Refusal, setting: str, naming: str
) -> None:
    assert naming in refusal(tmp_path / "run", "--set", setting)


def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = refusal(tmp_path / "run", "--device", "cuda")
    assert told.startswith("--device cuda: not on this machine, there is cpu")


def test_one_stage_takes_one_split(tmp_path: Path, refusal: Refusal) -> None:
    told = refusal(tmp_path / "run", "--split", "train", "--split", "val")
    assert told == "--split is given 2 times, but the recipe has one stage"


def test_scores_need_validation_data(tmp_path: Path) -> None:
    settings = (*SETTINGS, "train.eval_every=1")
    with pytest.raises(BadInput, match=r"train\.eval_every needs validation data"):
        train("deeperlab-light", data=Scenes(), out=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_way_of_the_run_is_named(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert refusal(out) == (
            f"{tmp_path}/file: no folder that can be written to: choose another --out"
        )


def test_a_disk_that_cannot_be_written_to_is_named(tmp_path: Path, refusal: Refusal) -> None:
    with mounted(tmp_path, size=1 << 20, files=9, right="ro") as disk:
        told = refusal(disk / "runs" / "run")
        assert told == f"{disk}: no folder that can be written to: choose another --out"


def refused(rank: int, calls: list[tuple[str, ...]]) -> list[tuple[int, str]]:
    """Exit codes and stderr of some calls of the command line in this process."""
    answers = []
    for call in calls:
        sys.argv, told = ["atrous", *call], io.StringIO()
        with redirect_stderr(told), pytest.raises(SystemExit) as ending:
            main()
        answers.append((int(ending.value.code or 0), told.getvalue()))
    return answers


@pytest.mark.study
def test_one_of_many_processes_says_in_one_line_what_is_wrong(
    tmp_path: Path, finished: Path
) -> None:
    four = ("--set", "train.norms=frozen", "--set", "train.batch=4")
    calls = {
        "train.batch is 3, which 2 processes cannot share out evenly": (
            words(tmp_path / "run", "--set", "train.norms=frozen", "--set", "train.batch=3")
        ),
        "train.accumulate is 4: it must divide the 2 images of each of 2 processes": (
            words(tmp_path / "run", *four, "--set", "train.accumulate=4")
        ),
        "holds a run already": words(finished, *four),
        "no setting": words(tmp_path / "run", "--set", "train.lrr=1"),
    }
    first, second = ranks(2, refused, list(calls.values()), joined=False)
    for naming, (code, told) in zip(calls, first, strict=True):
        assert code == 2
        assert told.startswith("atrous: ")
        assert told.count("\n") == 1, told
        assert naming.replace("no setting", "no such setting") in told
    assert second == [(2, "")] * len(calls)
    assert list(tmp_path.iterdir()) == []


def test_only_the_call_of_torchrun_that_began_a_run_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    assert not is_restarted(run)
    stores = [dist.TCPStore(HERE, 0, is_master=True, wait_for_workers=False) for _ in range(2)]  # type: ignore[attr-defined]
    told = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": HERE, "TORCHELASTIC_RUN_ID": "same"}
    for name, value in {**told, "TORCHELASTIC_USE_AGENT_STORE": "True"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(stores[0].port))
    settings = (*SETTINGS, "train.iterations=1")
    train("deeperlab-light", data=Scenes(), out=run, settings=settings, quiet=True)
    assert is_restarted(run)
    outcome = train("deeperlab-light", data=Scenes(), out=run, settings=settings, quiet=True)
    assert outcome.step == 1
    monkeypatch.setenv("MASTER_PORT", str(stores[1].port))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert not is_restarted(run)
    with pytest.raises(BadInput, match="holds a run already"):
        train("deeperlab-light", data=Scenes(), out=run, settings=settings, quiet=True)


def test_the_command_of_many_processes_begins_with_torchrun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/atrous", "train", "x", "--out", "a b"])
    assert command("--resume") == "atrous train x --out 'a b' --resume"
    for name, value in {
        "WORLD_SIZE": "6",
        "LOCAL_WORLD_SIZE": "3",
        "GROUP_WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    assert command("--resume") == (
        "torchrun --nnodes=2 --nproc-per-node=3 -m atrous train x --out 'a b' --resume"
    )
