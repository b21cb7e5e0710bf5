"""The verb `plot`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from atrous.cli.plotting import short_names
from atrous.formats import read_image
from conftest import Shell


def trained(run: Path, *, steps: int = 12) -> Path:
    """A run folder with a log alone; its last line is half written."""
    lines = [{"step": step, "loss": 3 - step / steps, "lr": 0.1} for step in range(steps)]
    scored = {"step": steps - 1, "eval": {"panoptic": {"all": {"pq": 0.5}}, "covering": None}}
    run.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in (*lines, scored))
    (run / "log.jsonl").write_text(text + '{"step": 12, "lo')
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    pytest.importorskip("matplotlib")
    return trained(tmp_path / "one")


def test_the_picture_is_in_the_first_run_and_stdout_is_empty(shell: Shell, run: Path) -> None:
    other = trained(run.parent / "two", steps=9)
    code, out, err = shell("plot", run, other)
    assert (code, out) == (0, ""), err
    assert err == f"curves of 2 runs: {run / 'curves.png'}\n"
    assert read_image(run / "curves.png").shape[1] > 1000
    assert sorted(path.name for path in run.iterdir()) == ["curves.png", "log.jsonl"]


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_suffix_chooses_the_format(shell: Shell, run: Path, suffix: str, start: bytes) -> None:
    path = run.parent / "new" / f"curves{suffix}"
    assert shell("plot", run, "--out", path, "--quiet") == (0, "", "")
    assert path.read_bytes().startswith(start)


def test_a_run_that_is_named_twice_is_drawn_once(shell: Shell, run: Path) -> None:
    _, _, err = shell("plot", run, run.parent / "." / "one", f"{run}/", "--smooth", 0)
    assert err.startswith("curves of 1 run: ")


def test_what_cannot_be_drawn_is_refused_in_one_line(shell: Shell, run: Path) -> None:
    folder = run.parent
    shell.refuses("plot", folder / "none", naming="none: no such folder: train first")
    shell.refuses("plot", run, folder, naming=f"{folder}: no log.jsonl in it: train first")
    shell.refuses("plot", run / "log.jsonl", naming="is a file: name the folder of a run")
    shell.refuses("plot", run, "--out", folder / "a.jpg", naming="ends in .png, .svg or .pdf")
    shell.refuses("plot", run, "--out", folder, naming="is a folder: name a file in it")
    shell.refuses("plot", run, "--smooth", -1, naming="--smooth")
    assert not (run / "curves.png").exists()


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        (["/w/runs/a"], ["a"]),
        (["/w/runs/a", "/w/runs/b"], ["a", "b"]),
        (["/w/a/run", "/w/b/run"], ["a", "b"]),
        (["/w/x/deep/s0", "/w/y/deep/s1", "/w/x/deep/s1"], ["x/s0", "y/s1", "x/s1"]),
        (["/w/runs/a", "/w/runs/b/second"], ["a", "b/second"]),
        (["/w/runs", "/w/runs/a"], ["runs", "runs/a"]),
        (["/w/a", "/x/a"], ["w", "x"]),
    ],
)
def test_names_are_the_parts_that_differ(runs: list[str], names: list[str]) -> None:
    assert short_names([Path(run) for run in runs]) == names


def test_names_too_long_for_the_legend_are_cut_and_stay_unlike() -> None:
    middle = ["left", "right"]
    names = short_names([Path(f"/w/{'a' * 50}{word}{'b' * 50}") for word in middle])
    assert len(set(names)) == 2
    assert all(len(name) < 70 and "…" in name for name in names)


def test_the_verb_needs_no_torch_and_help_loads_nothing_heavy(run: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
from atrous.cli import main
heavy = {"matplotlib", "cv2", "numba"} & set(sys.modules)
assert not heavy, heavy
sys.argv = ["atrous", "plot", "."]
try:
    main()
finally:
    assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert (run / "curves.png").is_file()
