"""The verbs that make lists, packages and cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atrous.data import catalogue
from atrous.data.shapes import Shapes
from atrous.data.source import Source
from atrous.instances.keypoints import KeypointNumbers
from atrous.parser import load
from atrous.run.checkpoint import read_header, read_weights
from atrous.training import train
from conftest import TINY_NETWORK, Shell

TINY = (*TINY_NETWORK, "train.iterations=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    data = Shapes("train", size_hw=(65, 65), count=4)
    train("deeperlab-light", data=data, out=folder, settings=TINY, quiet=True)
    return folder


@pytest.fixture(autouse=True)
def _small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = catalogue.open_data
    small = Shapes("val", size_hw=(65, 65), count=3)

    def opened(spec: str, split: str) -> Source:
        return small if spec == "shapes" and "@" not in split else whole(spec, split)

    monkeypatch.setattr(catalogue, "open_data", opened)


def test_split_writes_lists_that_training_data_open_with(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("split", "--data", "shapes", "--out", tmp_path / "lists", "--val", 0.5)
    assert code == 0
    train, val = ((tmp_path / "lists" / f"{n}.txt").read_text().split() for n in ("train", "val"))
    assert len(train) + len(val) == 3
    assert f"{len(val)} images" in err
    few = catalogue.open_data("shapes", f"val@{tmp_path / 'lists' / 'val.txt'}")
    assert [few.name(i) for i in range(len(few))] == val


def test_split_overwrites_nothing_and_leaves_no_list_empty(shell: Shell, tmp_path: Path) -> None:
    words = ("split", "--data", "shapes", "--out", tmp_path)
    shell.refuses(*words, "--val", "0.0001", naming="no image of 3 is left for val")
    assert list(tmp_path.iterdir()) == []
    shell.refuses(*words, "--val", "1.5", naming="between 0 and 1")
    (tmp_path / "val.txt").write_text("mine\n")
    shell.refuses(*words, "--val", "0.5", naming="val.txt: is there already")
    assert (tmp_path / "val.txt").read_text() == "mine\n"


def test_a_package_is_half_as_large_and_has_its_own_fusion_numbers(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.safetensors"
    words = ("package", run, "--out", out, "--set", "fusion.peak_threshold=0.25")
    assert shell(*words)[0] == 0
    assert {str(v.dtype) for v in read_weights(out).values()} == {"torch.float16", "torch.int64"}
    fusion = load(out).fusion
    assert isinstance(fusion, KeypointNumbers)
    assert fusion.peak_threshold == 0.25
    before, after = read_header(run / "last.safetensors"), read_header(out)
    before["fusion"]["peak_threshold"] = 0.25
    assert before == after
    shell.refuses(*words, naming="is there already")
    other = tmp_path / "other.safetensors"
    shell.refuses("package", run, "--out", other, "--set", "train.lr=1", naming="fusion alone")
    assert not other.exists()


def test_a_card_says_what_a_model_is_learnt_from_and_scores(
    shell: Shell, run: Path, photo: Path, tmp_path: Path
) -> None:
    code, out, _ = shell("eval", "--data", "shapes", "--model", run, "--quiet")
    assert code == 0
    scores, notes, page = (tmp_path / n for n in ("scores.json", "notes.md", "cards/tiny.md"))
    scores.write_text(out)
    notes.write_text("## Licences\n\nDrawn here.\n")
    words = ("card", run, "--data", "shapes", "--split", "val", "--run", run, "--out", page)
    more = ("--scores", scores, "--photo", photo, "--notes", notes)
    assert shell(*words, *more)[0] == 0
    text = page.read_text()
    for part in ("## Scores", "## Classes", "## Training", "## Licences"):
        assert part in text
    said = json.loads(out)
    assert f"{100 * said['panoptic']['all']['pq']:.1f}" in text
    truth = Shapes("val", size_hw=(65, 65), count=3)
    names = [truth.labels[r.class_id].name for i in range(3) for r in truth[i].truth.regions]
    for label in truth.labels.labels:
        assert f"| {label.name} | {names.count(label.name)} |" in text
    assert (page.parent / "tiny.photo.jpg").exists()
    assert "(tiny.photo.jpg)" in text
    assert str(tmp_path) not in text


def test_a_card_without_a_run_or_with_missing_files_is_refused(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    words = ("card", run, "--data", "shapes", "--split", "val", "--out", tmp_path / "card.md")
    shell.refuses(*words, "--run", tmp_path, naming="run.json")
    shell.refuses(*words, "--run", run, "--scores", tmp_path / "none.json", naming="none.json")
    shell.refuses(*words, "--run", run, "--notes", tmp_path / "none.md", naming="none.md")
    other = tmp_path / "other.json"
    other.write_text("{}")
    shell.refuses(*words, "--run", run, "--scores", other, naming="other.json")
    assert not (tmp_path / "card.md").exists()
