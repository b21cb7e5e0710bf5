from __future__ import annotations

import io
import os
import time

import pytest

from atrous.cli.keys import pressed


def test_a_key_on_the_terminal_is_heard_without_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    pty = pytest.importorskip("pty")
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stdin, os.fdopen(keyboard, "wb", buffering=0) as typing:
        monkeypatch.setattr("sys.stdin", stdin)
        with pressed("q", wanted=True) as is_pressed:
            assert not is_pressed()
            typing.write(b"x")
            time.sleep(0.05)
            assert not is_pressed()
            typing.write(b"Q")
            time.sleep(0.05)
            assert is_pressed()


@pytest.mark.parametrize("wanted", [True, False])
def test_without_a_terminal_no_key_is_ever_pressed(
    monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("q"))
    with pressed("q", wanted=wanted) as is_pressed:
        assert not is_pressed()
