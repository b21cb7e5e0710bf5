from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.formats import (
    decode_mask,
    encode_mask,
    read_mask_list,
    write_class_map,
    write_mask_list,
)
from atrous.types import BadInput, Fault, Instance, Instances

CAR, PERSON, ROAD, SIZE = 13, 11, 0, (2, 3)
LEFT = np.array([[1, 0, 0], [1, 0, 0]], np.uint8)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A list without lines, and a mask beside it."""
    write_class_map(tmp_path / "masks" / "left.png", LEFT * np.uint8(255))
    path = tmp_path / "a_000000_000019.txt"
    path.write_text("")
    return path


@st.composite
def drawn(draw: st.DrawFn) -> Instances:
    masks = st.lists(arrays(np.bool_, SIZE).filter(lambda mask: bool(mask.any())), max_size=4)
    items = []
    for place, mask in enumerate(draw(masks), 1):
        score = draw(st.floats(0, 1))
        class_id = draw(st.sampled_from((CAR, PERSON)))
        items.append(Instance(place, class_id, encode_mask(mask), score))
    return Instances(SIZE, tuple(items))


@given(drawn())
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, instances: Instances
) -> None:
    path = tmp_path_factory.getbasetemp() / "list" / "a_000000_000019.txt"
    write_mask_list(path, instances)
    again = read_mask_list(path, size_hw=SIZE)
    for x, y in zip(again.items, instances.items, strict=True):
        assert (x.id, x.class_id, x.score, x.is_crowd) == (y.id, y.class_id, y.score, False)
        assert np.array_equal(x.runs, y.runs)


def test_a_list_without_lines_has_no_instances(text: Path) -> None:
    assert read_mask_list(text, size_hw=SIZE).items == ()


def test_lines_are_path_label_id_and_confidence(text: Path) -> None:
    text.write_text("masks/left.png 026 0.5\n\nmasks/left.png 24.0 2e-1\n")
    one, two = read_mask_list(text, size_hw=SIZE).items
    assert (one.id, one.class_id, one.score) == (1, CAR, 0.5)
    assert (two.id, two.class_id, two.score) == (3, PERSON, 0.2)
    assert decode_mask(two.runs, SIZE).tolist() == LEFT.tolist()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_masks_are_what_is_not_0_in_any_kind_of_png(text: Path, mode: str) -> None:
    deep = PIL.Image.fromarray(LEFT.astype(np.uint16))
    image = deep if mode == "I;16" else PIL.Image.fromarray(LEFT * np.uint8(255)).convert(mode)
    image.save(text.parent / "masks" / "left.png")
    text.write_text("masks/left.png 26 1\n")
    (item,) = read_mask_list(text, size_hw=SIZE).items
    assert decode_mask(item.runs, SIZE).tolist() == LEFT.tolist()


def test_empty_masks_and_ids_that_are_not_evaluated_are_left_out(text: Path) -> None:
    write_class_map(text.parent / "masks" / "none.png", np.zeros(SIZE, np.uint8))
    text.write_text("masks/none.png 26 0.5\nmasks/left.png 29 0.5\nmasks/left.png 26 0.5\n")
    assert [item.id for item in read_mask_list(text, size_hw=SIZE).items] == [3]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("masks/left.png 26", "line 1 is 'masks/left.png 26': write path"),
        ("masks/left.png car 0.5", "line 1 is"),
        ("masks/left.png 26.5 0.5", "line 1 is"),
        ("masks/left.png 26 nan", "line 1 is"),
        ("/masks/left.png 26 0.5", "line 1 is"),
        ("../left.png 26 0.5", "line 1 names .*left.png, which is outside"),
        ("masks/../../left.png 26 0.5", "which is outside"),
        ("masks/left.png 34 0.5", "label id 34, none of the classes"),
        ("masks/left.png 7 0.5", "label id 7, road, stuff"),
    ],
)
def test_lines_that_cannot_be_used_are_told(text: Path, line: str, told: str) -> None:
    text.write_text(f"{line}\nmasks/left.png 26 0.5\n")
    with pytest.raises(BadInput, match=told):
        read_mask_list(text, size_hw=SIZE)
    faults: list[Fault] = []
    items = read_mask_list(text, size_hw=SIZE, report=faults.append).items
    assert ([item.id for item in items], len(faults)) == ([2], 1)


def test_masks_may_lie_elsewhere_within_a_root(text: Path) -> None:
    listed = text.parent / "pred_list" / "a.txt"
    listed.parent.mkdir()
    listed.write_text("../masks/left.png 26 0.5\n")
    assert len(read_mask_list(listed, size_hw=SIZE, root=text.parent).items) == 1


def test_files_that_do_not_fit_are_told(text: Path, tmp_path: Path) -> None:
    text.write_text("masks/left.png 26 0.5\n")
    with pytest.raises(BadInput, match=r"left\.png: is 2 x 3 but its image is 3 x 2"):
        read_mask_list(text, size_hw=(3, 2))
    text.write_text("masks/gone.png 26 0.5\n")
    with pytest.raises(BadInput, match="no such file"):
        read_mask_list(text, size_hw=SIZE)
    text.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read as text"):
        read_mask_list(text, size_hw=SIZE)
    with pytest.raises(BadInput, match="cannot be read as text"):
        read_mask_list(tmp_path / "none.txt", size_hw=SIZE)


RUNS = encode_mask(LEFT > 0)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (Instance(4, ROAD, RUNS, 0.5), "instance 4 is of road, which is stuff"),
        (Instance(4, CAR, RUNS, 0.5, is_crowd=True), "is a crowd"),
        (Instance(4, CAR, RUNS), "has no score"),
        (Instance(4, CAR, RUNS, float("nan")), "has no score"),
        (Instance(4, CAR, np.array([6], np.uint32), 0.5), "has no pixels"),
    ],
)
def test_what_a_list_cannot_hold_is_refused(tmp_path: Path, item: Instance, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        write_mask_list(tmp_path / "a.txt", Instances(SIZE, (item,)))
    assert not list(tmp_path.iterdir())


def test_names_with_spaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no spaces"):
        write_mask_list(tmp_path / "a b.txt", Instances(SIZE, ()))
