from __future__ import annotations

from pathlib import Path

import pytest

from atrous.formats import cityscapes_files, stem_files
from atrous.types import BadInput


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_stems_pair_folders(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.PNG", "a.txt", ".hidden.png", "deeper/c.png")
    assert stem_files(tmp_path) == {"a": tmp_path / "a.PNG", "b": tmp_path / "b.png"}
    assert list(stem_files(tmp_path, ".txt")) == ["a"]


def test_links_count_as_files_where_they_lead_to_one(tmp_path: Path) -> None:
    touch(tmp_path, "far/a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "far" / "a.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "d.png")
    (tmp_path / "e.png").symlink_to(tmp_path / "far")
    assert list(stem_files(tmp_path)) == ["b"]


def test_files_that_need_not_be_there_are_none(tmp_path: Path) -> None:
    assert stem_files(tmp_path, needed=False) == {}
    assert stem_files(tmp_path / "gone", needed=False) == {}


def test_a_folder_without_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no \*\.png in it: name the folder"):
        stem_files(tmp_path)
    with pytest.raises(BadInput, match="no such folder"):
        stem_files(tmp_path / "gone")


def test_cityscapes_keys_are_the_same_whatever_follows(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "gt/aachen/aachen_000000_000019_gtFine_labelIds.png",
        "gt/aachen/aachen_000000_000019_gtFine_instanceIds.png",
        "gt/bad-honnef/bad-honnef_000001_000019_gtFine_labelIds.png",
        "results/aachen_000000_000019_leftImg8bit.png",
        "results/bad-honnef_000001_000019.png",
        "results/readme.png",
        "masks/aachen_000000_000019_pred.txt",
    )
    truth = cityscapes_files(tmp_path / "gt", "labelIds.png")
    assert list(truth) == ["aachen_000000_000019", "bad-honnef_000001_000019"]
    assert list(cityscapes_files(tmp_path / "results")) == list(truth)
    assert list(cityscapes_files(tmp_path / "masks", ".txt")) == ["aachen_000000_000019"]


def test_two_files_of_one_image_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "x_000000_000019_a.png", "y/x_000000_000019_b.png")
    with pytest.raises(BadInput, match=r"_b\.png: belongs to the image x_000000_000019, as .*_a"):
        cityscapes_files(tmp_path)
    with pytest.raises(BadInput, match=r"no city_000000_000000\*c\.png in it"):
        cityscapes_files(tmp_path, "c.png")
