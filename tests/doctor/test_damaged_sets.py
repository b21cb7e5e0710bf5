"""Whatever is on the disk, the doctor says something of it and does not fall over."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drawn_sets as sets
from atrous.doctor import diagnose, plan
from atrous.doctor.report import to_json
from atrous.doctor.sheet import sheet
from atrous.types import BadInput

FORMS = {"folder": sets.folder, "coco-panoptic": sets.coco, "voc": sets.voc}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    return {form: build(folder / form) for form, build in FORMS.items()}


@settings(max_examples=25)
@given(data=st.data())
def test_random_bytes_anywhere_are_survived(roots: dict[str, Path], data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(FORMS)))
    files = sorted(path for path in roots[form].rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    start = data.draw(st.integers(0, len(before) - 1))
    junk = data.draw(st.binary(max_size=12))
    keep = data.draw(st.booleans())
    path.write_bytes(before[:start] + junk + (before[start + len(junk) :] if keep else b""))
    try:
        with suppress(BadInput):
            answer = to_json(diagnose(plan(f"{form}={roots[form]}")), examples=3)
            is_sick = any(row["severity"] == "fault" for row in answer["faults"])
            assert answer["healthy"] is not is_sick
    finally:
        path.write_bytes(before)


def test_a_sheet_is_drawn_of_the_worst(tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    for path in [*root.glob("labels/*/*3.png"), *root.glob("images/*/*2.png")]:
        path.write_bytes(b"nothing")
    picture = sheet(diagnose(plan(f"folder={root}")), images=16)
    assert picture is not None
    assert picture.shape[2] == 3


def test_an_empty_set_has_no_sheet_and_no_shares(tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    for split in ("train", "val"):
        shutil.rmtree(root / f"{split}_png")
        (root / f"{split}_png").mkdir()
    diagnosis = diagnose(plan(f"coco-panoptic={root}"))
    answer = to_json(diagnosis, examples=1)
    assert not diagnosis.is_healthy
    assert sum(row["count"] for row in answer["faults"]) == 11
    assert answer["splits"]["train"]["void"] is None
    assert sheet(diagnosis, images=4) is None
