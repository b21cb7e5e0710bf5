"""Sets that are clean but for one fault: it is found, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from seeds import BUILDERS, OFFICIAL, SEEDS, Seed

from atrous.doctor.kinds import ABSENT, FAULT, KINDS, NAMED_TWICE
from conftest import Shell


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_the_fault_is_found_and_nothing_else(seed: Seed, shell: Shell, tmp_path: Path) -> None:
    root = BUILDERS[seed.form](tmp_path / "set")
    seed.do(root)
    code, out, _ = shell("doctor", f"{seed.spec}={root}", "--json", "--quiet")
    rows = json.loads(out)["faults"]
    told = {row["kind"] for row in rows}
    may_lack = seed.form in OFFICIAL or seed.kind == NAMED_TWICE  # the second of two has no pixel
    absent = {ABSENT} if may_lack else set()
    assert told - absent == {seed.kind}, rows
    assert (code, rows[0]["count"], rows[0]["split"]) == (1, seed.count, seed.split), rows
    example = rows[0]["examples"][0]
    assert example["file"].endswith(seed.file), example
    assert seed.place in example["place"], example
    assert rows[0]["mend"]
    assert example["message"]


def test_every_kind_of_fault_has_a_set_with_it() -> None:
    kinds = {kind for kind, about in KINDS.items() if about.severity == FAULT}
    assert kinds <= {seed.kind for seed in SEEDS}


def test_the_docs_name_every_kind() -> None:
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| {kind} |" not in text] == []
