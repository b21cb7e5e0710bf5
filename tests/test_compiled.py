from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
