from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean

PACKAGE = """from atrous.compiled import compiled
from {name}.inner import two

@compiled
def outer() -> int:
    return two() + 1
"""
INNER = """from atrous.compiled import compiled

@compiled
def two() -> int:
    return {value}
"""


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    """In a copy of the package's `compiled`, for it looks at the files around itself."""
    house = tmp_path / "atrous"
    house.mkdir()
    source = Path(__file__).parents[1] / "src" / "atrous" / "compiled.py"
    (house / "compiled.py").write_text(source.read_text())
    (house / "__init__.py").write_text("")
    (house / "outer.py").write_text(PACKAGE.format(name="atrous"))
    told = []
    for value in (2, 5):
        (house / "inner.py").write_text(INNER.format(value=value))
        command = [sys.executable, "-c", "from atrous.outer import outer; print(outer())"]
        env = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=True)
        told.append(int(done.stdout))
    assert told == [3, 6]


class Held(NamedTuple):
    rows: NDArray[np.float64]
    first: int


@lean
def first_of(held: Held, row: int) -> float:
    part = held.rows[row]
    part[held.first] += 1
    return float(part[held.first])


@compiled
def of_own_and_given(held: Held) -> float:
    own = Held(np.zeros((2, 3)), 1)
    return first_of(own, 0) + first_of(own, 1) + first_of(held, 0)


def test_a_lean_kernel_lets_go_of_what_it_was_given_and_keeps_it_alive() -> None:
    rows = np.zeros((2, 3))
    holders = sys.getrefcount(rows)
    told = [of_own_and_given(Held(rows, 0)) + first_of(Held(rows, 0), 0) for _ in range(5)]
    assert told == [2 + n + n + 1 for n in range(1, 10, 2)]
    assert sys.getrefcount(rows) == holders
    assert rows.tolist() == [[10, 0, 0], [0, 0, 0]]
