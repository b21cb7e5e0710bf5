"""Where `atrous parse` puts what it makes, and what it refuses to put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.video import Film
from conftest import Shell


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    film = Film(tmp_path / "clip.mp4", fps=5)
    film.add(np.zeros((32, 48, 3), np.uint8))
    film.close()
    return tmp_path / "clip.mp4"


def test_a_contact_sheet_is_told_of_and_shows_what_was_done_before_too(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other, out = photo.with_name("other.png"), tmp_path / "out"
    other.write_bytes(photo.read_bytes())
    words = ("--model", tiny_model, "--out", out)
    assert shell("parse", photo, *words)[0] == 0
    code, stdout, err = shell("parse", photo, other, *words, "--contact-sheet")
    sheet = out / "contact_sheet.png"
    assert (code, stdout) == (0, "")
    assert err.splitlines()[-1] == f"{sheet}: 2 of 2 pictures on one page"
    assert sheet.is_file()
    assert shell("parse", photo, *words, "--contact-sheet", "--quiet") == (0, "", "")


def test_a_contact_sheet_needs_a_folder_and_overlays(
    shell: Shell, clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("parse", clip, "--model", tiny_model, "--contact-sheet", "--out")
    shell.refuses(*words, tmp_path / "film.mp4", naming="give such a folder too")
    shell.refuses(*words, tmp_path / "out", "--overlay", "none", naming="leave out --overlay none")
    shell.refuses(*words, tmp_path, naming="choose another --out")
    both = (tmp_path / "film.mp4", "--out", tmp_path / "out")
    assert shell(*words, *both)[0] == 0
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


@pytest.mark.parametrize("name", ["photo.png", "photo.png/deeper/still"])
def test_a_file_is_no_folder_for_results(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path, name: str
) -> None:
    before = photo.read_bytes()
    told = f"{photo} is a file, not a folder: choose another name"
    shell.refuses("parse", photo, "--model", tiny_model, "--out", tmp_path / name, naming=told)
    assert photo.read_bytes() == before


def test_where_nothing_could_be_parsed_nothing_is_to_be_seen(
    shell: Shell, tiny_model: Path, tmp_path: Path
) -> None:
    bad = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in bad:
        path.write_text("not a picture")
    out = tmp_path / "out"
    code, _, err = shell("parse", *bad, "--model", tiny_model, "--out", out, "--contact-sheet")
    assert code == 1
    assert err.splitlines()[-1] == "0 of 2 parsed"
    assert not out.exists()


def test_the_help_tells_what_holds_where_nothing_is_said(shell: Shell) -> None:
    told = " ".join(shell("parse", "--help")[1].replace("│", " ").split())
    for default in ("parsed", "8 on CUDA, else 1", "a core each, to 8", "all"):
        assert f"[default: ({default})]" in told
