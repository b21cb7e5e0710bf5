"""The contact sheet of a folder of results: whose pictures are on it, and when it is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.batch import Answer, Input, Journal, Made, Shelf, parse_all, sheet
from atrous.formats import read_image, write_image
from atrous.result import ResultFolder
from fakes import GreyParser, photos


def shelf_in(out: Path, *, picture: str = "png", has_sheet: bool = True) -> Shelf:
    journal = Journal(out, Made("grey", "0" * 64, {}))
    return Shelf(ResultFolder(out, picture=picture), journal, has_sheet=has_sheet)


def parse(inputs: list[Input], shelf: Shelf) -> list[Answer]:
    return list(parse_all(GreyParser(), inputs, shelf=shelf))


def told(shelf: Shelf) -> tuple[int, int]:
    assert shelf.sheet
    return shelf.sheet.shown, shelf.sheet.total


def grid_of(out: Path) -> tuple[int, int]:
    """Rows and columns of a sheet of `photos`: 16 x 16 under titles of 22, with gaps of 2."""
    height, width = read_image(out / "contact_sheet.png").shape[:2]
    assert ((height - 2) % 40, (width - 2) % 18) == (0, 0)
    return (height - 2) // 40, (width - 2) // 18


def test_a_sheet_has_the_overlays_of_all_that_the_folder_holds(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 5), tmp_path / "out"
    parse(inputs[:2], shelf_in(out, has_sheet=False))
    assert not (out / "contact_sheet.png").exists()
    shelf = shelf_in(out)
    answers = parse(inputs, shelf)
    assert [answer.is_old for answer in answers] == [True, True, False, False, False]
    assert told(shelf) == (5, 5)
    assert grid_of(out) == (2, 3)


def test_it_can_be_asked_for_when_all_is_done(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    parse(inputs, shelf_in(out, has_sheet=False))
    shelf = shelf_in(out)
    assert all(answer.is_old for answer in parse(inputs, shelf))
    assert told(shelf) == (4, 4)
    assert grid_of(out) == (2, 2)


def test_of_many_pictures_some_that_lie_evenly_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "MOST", 4)
    monkeypatch.setattr(sheet, "captioned", lambda picture, title, longest_px: shown.append(title))
    shown: list[str] = []
    parse(photos(tmp_path, 9), shelf_in(tmp_path / "out"))
    assert sorted(shown) == ["p00", "p02", "p04", "p06"]


def test_large_overlays_are_scaled_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "LONGEST_PX", 40)
    write_image(tmp_path / "x.png", np.zeros((100, 200, 3), np.uint8))
    parse([Input(tmp_path / "x.png")], shelf_in(tmp_path / "out"))
    assert read_image(tmp_path / "out" / "contact_sheet.png").shape[1] < 50


def test_it_has_the_form_of_the_overlays(tmp_path: Path) -> None:
    parse(photos(tmp_path, 1), shelf_in(tmp_path / "out", picture="jpg"))
    assert (tmp_path / "out" / "contact_sheet.jpg").is_file()


def test_overlays_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 3), tmp_path / "out"
    parse(inputs, shelf_in(out))
    (out / "overlay" / "p01.png").write_bytes(b"torn")
    shelf = shelf_in(out)
    parse(inputs, shelf)
    assert told(shelf) == (2, 3)


def test_without_any_picture_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    shelf = shelf_in(tmp_path / "out")
    parse([Input(tmp_path / "x.png")], shelf)
    assert shelf.sheet is None
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_does_not_wait_for_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answers = parse_all(GreyParser(), photos(tmp_path, 3), shelf=shelf_in(out))
    next(answers)
    answers.close()
    assert (out / "panoptic.json").exists()
    assert not (out / "contact_sheet.png").exists()
