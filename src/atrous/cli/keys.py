"""A key that ends what would go on for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def pressed(key: str, *, wanted: bool) -> Iterator[Callable[[], bool]]:
    """Yields what says whether a key was pressed on the terminal; it need not be followed by Enter.

    wanted  False, or no terminal, or not a Unix one: it is never pressed
    """
    try:
        import termios
        import tty
    except ImportError:
        wanted = False
    if not wanted or not sys.stdin.isatty():
        yield lambda: False
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield lambda: _is_waiting(key)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _is_waiting(key: str) -> bool:
    import os
    import select

    if not select.select([sys.stdin], [], [], 0)[0]:
        return False
    return key in os.read(sys.stdin.fileno(), 64).decode(errors="ignore").lower()
