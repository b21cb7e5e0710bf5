"""What may be meant is told too, and is no fault."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from seeds import LABEL, PHOTO, all_labels, exif_turned, one_label, rewritten

import drawn_sets as sets
from atrous.doctor import kinds
from atrous.formats import write_class_map, write_image, write_panoptic
from conftest import Shell


def no_trees(root: Path) -> None:
    all_labels(lambda ids: np.where(ids == 4, 0, ids).astype(np.uint8))(root)


def no_trees_at_all(root: Path) -> None:
    for split in ("train", "val"):
        change = lambda ids: np.where(ids == 4, 0, ids).astype(np.uint8)  # noqa: E731
        all_labels(change, f"labels/{split}")(root)


def photo_as(change: Callable[[PIL.Image.Image], PIL.Image.Image], suffix: str) -> object:
    def do(root: Path) -> None:
        image = PIL.Image.open(root / PHOTO)
        changed = change(image.copy())
        (root / PHOTO).unlink()
        changed.save((root / PHOTO).with_suffix(suffix))

    return do


def deep(image: PIL.Image.Image) -> PIL.Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return PIL.Image.fromarray(grey * 8)


def twin(root: Path) -> None:
    shutil.copy(root / PHOTO, root / "images" / "train" / "again.png")
    shutil.copy(root / LABEL, root / "labels" / "train" / "again.png")


def same_label(root: Path) -> None:
    shutil.copy(root / LABEL, root / "labels" / "train" / "train3.png")


def nearly_void(root: Path) -> None:
    ids = np.full(sets.SIZE, 255, np.uint8)
    ids[:3, :40] = 1
    write_class_map(root / LABEL, ids)


def one_class(root: Path) -> None:
    for split in ("train", "val"):
        all_labels(lambda ids: np.zeros_like(ids).astype(np.uint8), f"labels/{split}")(root)


def large(root: Path) -> None:
    write_image(root / PHOTO, sets.pixels(root / PHOTO).repeat(12, 0).repeat(12, 1))
    write_class_map(root / LABEL, sets.pixels(root / LABEL).repeat(12, 0).repeat(12, 1))


def a_speck(root: Path) -> None:
    """Person 3 is but two pixels."""
    path = root / "train_png" / "train2.png"
    ids = sets.pixels(path)[..., 0].astype(np.int32)
    where = np.argwhere(ids == 3)
    ids[ids == 3] = 100
    for y, x in where[:2]:
        ids[y, x] = 3
    write_panoptic(path, ids)
    rewritten(lambda data: recount(data, 2, ids))(root)


def two_pieces(root: Path) -> None:
    """Both cars have one id."""
    path = root / "train_png" / "train2.png"
    ids = sets.pixels(path)[..., 0].astype(np.int32)
    ids[ids == 2] = 1
    write_panoptic(path, ids)
    rewritten(lambda data: recount(data, 2, ids))(root)


def stuff_apart(root: Path) -> None:
    """Half of the sky has an id of its own."""
    path = root / "train_png" / "train2.png"
    ids = sets.pixels(path)[..., 0].astype(np.int32)
    ids[(ids == 101) & (np.arange(sets.SIZE[1]) > 40)] = 200
    write_panoptic(path, ids)

    def change(data: dict[str, list[dict[str, object]]]) -> None:
        rows = data["annotations"][2]["segments_info"]
        assert isinstance(rows, list)
        rows.append({"id": 200, "category_id": 12, "iscrowd": 0})
        recount(data, 2, ids)

    rewritten(change)(root)


def recount(data: dict[str, list[dict[str, object]]], place: int, ids: np.ndarray) -> None:
    note = data["annotations"][place]
    rows = note["segments_info"]
    assert isinstance(rows, list)
    areas = [int((ids == row["id"]).sum()) for row in rows]
    note["segments_info"] = [row | {"area": n} for row, n in zip(rows, areas, strict=True) if n]


def blank(root: Path) -> None:
    write_image(root / PHOTO, np.full((*sets.SIZE, 3), 40, np.uint8))


def no_test_labels(root: Path) -> None:
    write_image(root / "images" / "test" / "x.png", sets.scene(900).photo)


def unlisted(root: Path) -> None:
    shutil.copy(root / "train" / "train2.png", root / "train" / "more.png")


WARNINGS: list[tuple[str, object, str, str]] = [
    ("folder", no_trees, kinds.ABSENT_HERE, "class 'tree'"),
    ("folder", no_trees_at_all, kinds.ABSENT, "class 'tree'"),
    ("folder", one_label(lambda ids: np.full_like(ids, 255)), kinds.VOID_LABEL, "whole file"),
    ("folder", nearly_void, kinds.NEAR_VOID, "whole file"),
    ("folder", twin, kinds.TWINS, "whole file"),
    ("folder", same_label, kinds.SAME_LABEL, "whole file"),
    ("folder", large, kinds.SIZE_RANGE, "all photos"),
    ("folder", photo_as(lambda x: x.convert("L"), ".png"), kinds.GREY_AMONG, "whole file"),
    ("folder", photo_as(lambda x: x.convert("CMYK"), ".jpg"), kinds.CMYK, "whole file"),
    ("folder", photo_as(lambda x: x.convert("RGBA"), ".png"), kinds.SEE_THROUGH, "whole file"),
    ("folder", blank, kinds.BLANK, "whole file"),
    ("folder", no_test_labels, kinds.NO_LABELS, "whole file"),
    ("coco-panoptic", unlisted, kinds.UNLISTED, "whole file"),
    ("folder", lambda root: exif_turned(root, 3), kinds.TURN_UNSEEN, "EXIF"),
    ("coco-panoptic", a_speck, kinds.TINY, "segment 3 at y "),
    ("coco-panoptic", two_pieces, kinds.PARTED, "segment 1 at y "),
    ("coco-panoptic", stuff_apart, kinds.STUFF_APART, "segment 101 at y 0, x 0"),
]


@pytest.mark.parametrize(
    ("form", "do", "kind", "place"), WARNINGS, ids=[row[2] for row in WARNINGS]
)
def test_a_warning_is_told_and_the_set_stays_healthy(
    form: str, do: Callable[[Path], None], kind: str, place: str, shell: Shell, tmp_path: Path
) -> None:
    root = (sets.folder if form == "folder" else sets.coco)(tmp_path / "set")
    do(root)
    code, out, _ = shell("doctor", f"{form}={root}", "--json", "--quiet")
    answer = json.loads(out)
    assert [row["kind"] for row in answer["faults"]] == [kind], answer["faults"]
    (row,) = answer["faults"]
    assert (code, answer["healthy"], row["severity"]) == (0, True, "warning")
    assert row["count"] == (2 if kind == kinds.STUFF_APART else 1)
    assert place in row["examples"][0]["place"]
    assert row["mend"]


def test_photos_of_16_bit_are_told_to_be_nearly_black(shell: Shell, tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    photo_as(deep, ".png")(root)  # type: ignore[operator]
    code, out, _ = shell("doctor", f"folder={root}", "--json", "--quiet")
    rows = {row["kind"]: row for row in json.loads(out)["faults"]}
    assert code == 0
    assert rows.keys() == {kinds.DEEP, kinds.GREY_AMONG}
    assert "brightest 7 of 255" in rows[kinds.DEEP]["examples"][0]["message"]


def test_a_set_of_nearly_one_class_is_told(shell: Shell, tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    one_class(root)
    code, out, _ = shell("doctor", f"folder={root}", "--json", "--quiet")
    rows = json.loads(out)["faults"]
    assert code == 0
    assert {row["kind"] for row in rows} == {kinds.ONE_CLASS, kinds.ABSENT}
    message = {row["kind"]: row["examples"][0]["message"] for row in rows}[kinds.ONE_CLASS]
    assert message == "100.00 % of all pixels that are not void"


def test_warnings_of_an_image_with_a_fault_are_left_out(shell: Shell, tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    two_pieces(root)
    write_image(root / "train" / "train2.png", np.zeros((30, 30, 3), np.uint8))
    code, out, _ = shell("doctor", f"coco-panoptic={root}", "--json", "--quiet")
    assert code == 1
    assert [row["kind"] for row in json.loads(out)["faults"]] == [kinds.SIZES]
