"""The verb `shard`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from atrous.data import catalogue
from atrous.data.shapes import Shapes
from conftest import Shell

SMALL = Shapes("train", size_hw=(40, 50), count=9)


@pytest.fixture(autouse=True)
def _small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = catalogue.open_data
    monkeypatch.setattr(
        catalogue,
        "open_data",
        lambda spec, split: SMALL if spec == "shapes" else whole(spec, split),
    )


def test_shards_open_as_the_data_that_they_were_written_from(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell("shard", "--data", "shapes", "--out", tmp_path / "s")
    assert code == 0
    told = json.loads(out)
    path = tmp_path / "s" / "train-000.tar"
    assert told["shards"] == [{"file": str(path), "images": 9, "bytes": path.stat().st_size}]
    assert (told["schema"], told["images"]) == (1, 9)
    assert f"{path}: the last of 1" in err
    data = catalogue.open_data(f"shards={tmp_path / 's'}", "train")
    for i in range(len(SMALL)):
        assert np.array_equal(data[i].image, SMALL[i].image)
        assert np.array_equal(data[i].truth.ids, SMALL[i].truth.ids)
        assert data[i].truth.regions == SMALL[i].truth.regions


def test_workers_change_no_byte(shell: Shell, tmp_path: Path) -> None:
    for workers in (0, 2):
        words = ("shard", "--data", "shapes", "--out", tmp_path / str(workers), "--quiet")
        code, _, err = shell(*words, "--workers", workers)
        assert (code, err) == (0, "")
    one, two = ((tmp_path / n / "train-000.tar").read_bytes() for n in "02")
    assert one == two


def test_a_list_becomes_a_split_of_its_name(shell: Shell, tmp_path: Path) -> None:
    data = f"shards={tmp_path / 'all'}"
    assert shell("shard", "--data", "shapes", "--out", tmp_path / "all")[0] == 0
    assert shell("split", "--data", data, "--out", tmp_path / "lists", "--stratify")[0] == 0
    for side in ("train", "val"):
        listed = f"train@{tmp_path / 'lists' / side}.txt"
        words = ("shard", "--data", data, "--split", listed, "--out", tmp_path / "parts")
        assert shell(*words)[0] == 0
    parts = [len(catalogue.open_data(f"shards={tmp_path / 'parts'}", s)) for s in ("train", "val")]
    assert sum(parts) == 9
    assert parts == [7, 2]


def test_nothing_is_overwritten_and_bad_input_is_one_line(shell: Shell, tmp_path: Path) -> None:
    words = ("shard", "--data", "shapes", "--out", tmp_path / "s")
    shell.refuses(*words, "--size-mb", 0, naming="--size-mb")
    assert shell(*words)[0] == 0
    shell.refuses(*words, naming="train-000.tar: is there already")
    shell.refuses(*words, "--split", "a/b", naming="names no file")
    data = f"shards={tmp_path / 's'}"
    shell.refuses("shard", "--data", data, "--split", "val", "--out", tmp_path, naming="no shards")
    (tmp_path / "file").write_text("x")
    shell.refuses("shard", "--data", data, "--out", tmp_path / "file", naming="is a file")
    assert shell("shard", "--data", "shards", "--out", tmp_path / "x")[0] == 2


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that none can write")
def test_a_place_that_cannot_be_written_is_told(shell: Shell) -> None:
    words = ("shard", "--data", "shapes", "--out", "/proc/x", "--quiet")
    shell.refuses(*words, naming="/proc/x: cannot be written (")


def test_a_sample_that_cannot_be_read_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    assert shell("shard", "--data", "shapes", "--out", tmp_path / "s")[0] == 0
    tar = tmp_path / "s" / "train-000.tar"
    data = bytearray(tar.read_bytes())
    place = data.index(b"segments_info", len(data) // 2)
    data[place] = ord("x")
    tar.write_bytes(data)
    words = ("shard", "--data", f"shards={tmp_path / 's'}", "--out", tmp_path / "t", "--quiet")
    for workers in (0, 2):
        shell.refuses(*words, "--workers", workers, naming="have pixels but no entry")
        assert not (tmp_path / "t").exists()


def test_shards_are_scored_and_described_like_any_data(
    shell: Shell, tmp_path: Path, tiny_model: Path
) -> None:
    assert shell("shard", "--data", "shapes", "--out", tmp_path / "s")[0] == 0
    words = ("eval", "--model", tiny_model, "--data", f"shards={tmp_path / 's'}")
    code, out, err = shell(*words, "--split", "train")
    assert code == 0
    assert json.loads(out)["images"] == 9
    assert err.startswith(f"shards={tmp_path / 's'}: train 9 images in 1 shard; 7 classes, 4 of")
