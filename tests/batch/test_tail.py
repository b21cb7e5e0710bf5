from __future__ import annotations

from pathlib import Path

import pytest

from atrous.batch.tail import Tail


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def grow(file: Path, text: str) -> None:
    with file.open("a") as lines:
        lines.write(text)


def test_each_line_is_read_once_and_with_its_place(file: Path) -> None:
    tail = Tail(file)
    assert list(tail.lines()) == []
    grow(file, "run 1\na\n")
    assert list(tail.lines()) == [(0, b"run 1\n"), (6, b"a\n")]
    grow(file, "b\n")
    assert list(tail.lines()) == [(8, b"b\n")]
    assert list(tail.lines()) == []


@pytest.mark.parametrize("written", ["run", "run 1\na"])
def test_half_a_line_is_left_until_it_is_whole(file: Path, written: str) -> None:
    tail, whole = Tail(file), "run 1\nab\n"
    grow(file, written)
    before = list(tail.lines())
    grow(file, whole.removeprefix(written))
    assert [line for _, line in before + list(tail.lines())] == [b"run 1\n", b"ab\n"]


def test_a_file_that_is_begun_anew_is_read_from_its_first_line(file: Path) -> None:
    tail = Tail(file)
    grow(file, "run 1\na\n")
    list(tail.lines())
    file.unlink()
    grow(file, "run 2\nb\nc\nd\n")
    assert [line for _, line in tail.lines()] == [b"run 2\n", b"b\n", b"c\n", b"d\n"]


@pytest.mark.parametrize("later", ["b\n", ""])
def test_what_is_stale_is_left_until_somebody_writes_on(file: Path, later: str) -> None:
    grow(file, "run 1\na\n")
    tail = Tail(file, is_stale=True)
    assert list(tail.lines()) == []
    grow(file, later)
    assert [line for _, line in tail.lines()] == ([b"run 1\n", b"a\n", b"b\n"] if later else [])


def test_what_is_stale_is_left_until_it_is_begun_anew(file: Path) -> None:
    grow(file, "run 1\na\n")
    tail = Tail(file, is_stale=True)
    file.unlink()
    assert list(tail.lines()) == []
    grow(file, "run 2\nb\n")  # as long as before
    assert [line for _, line in tail.lines()] == [b"run 2\n", b"b\n"]
