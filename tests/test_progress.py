from __future__ import annotations

import pytest

from atrous.progress import Lines, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("atrous.progress.time.monotonic", clock)
    return clock


def test_without_a_terminal_there_is_a_line_a_minute(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(1000, quiet=False) as advance:
        for done in range(300):
            clock.now += 1.0
            advance(done + 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0] == "images 61/1000, 1.0 images/s, 16 min left"


def test_where_nobody_knows_how_many_there_are_only_the_speed_is_told(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(None)
    clock.now = 100.0
    lines(250)
    assert capsys.readouterr().err == "images 250, 2.5 images/s\n"


def test_data_stay_on_stdout_while_a_bar_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # stderr is a terminal then, to rich
    with progress(10, quiet=False) as advance:
        advance(5)
        print("data")
    out, err = capsys.readouterr()
    assert out == "data\n"
    assert "5/10" in err


@pytest.mark.parametrize(("total", "quiet"), [(1, False), (1000, True), (0, False)])
def test_short_and_quiet_work_says_nothing(
    clock: Clock, capsys: pytest.CaptureFixture[str], total: int, quiet: bool
) -> None:
    with progress(total, quiet=quiet) as advance:
        clock.now = 1000.0
        advance(1)
    assert capsys.readouterr().err == ""
