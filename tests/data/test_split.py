from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.catalogue import open_data
from atrous.data.shapes import Shapes
from atrous.data.split import divide, listed, place_of
from atrous.types import BadInput

NAMES = st.lists(st.text(st.characters(exclude_characters="/\n\0", codec="utf-8"), min_size=1))


def test_a_place_is_the_hash_of_the_file_name_as_a_fraction() -> None:
    digest = sha256(b"000000000025.jpg").hexdigest()
    assert place_of("000000000025.jpg") == int(digest, 16) / 16**64
    assert place_of("train2017/000000000025.jpg") == place_of("000000000025.jpg")


@given(NAMES, st.floats(0.01, 0.99))
def test_every_name_is_on_one_list_and_more_images_move_none(names: list[str], val: float) -> None:
    train, held = divide(names, val=val)
    assert sorted(train + held) == sorted(names)
    assert all(place_of(n) < val for n in held)
    fewer = divide(names[: len(names) // 2], val=val)
    assert set(fewer[0]) <= set(train)
    assert set(fewer[1]) <= set(held)


@pytest.mark.parametrize("val", [0.0, 1.0, -0.5, 20.0])
def test_a_share_outside_0_and_1_is_refused(val: float) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        divide(["a"], val=val)


def test_the_sample_of_coco_is_divided_as_its_readme_says(shared: Path) -> None:
    source = open_data(f"coco-panoptic={shared / 'data' / 'coco_things'}", "train")
    train, val = divide((source.name(i) for i in range(len(source))), val=0.2)
    assert (len(train), len(val)) == (139, 38)


def test_a_list_gives_its_samples_in_its_order(tmp_path: Path) -> None:
    source = Shapes("train", size_hw=(33, 33), count=5)
    path = tmp_path / "val.txt"
    path.write_text(f"{source.name(3)}\n\n {source.name(1)} \n")
    chosen = listed(source, path)
    assert [chosen.name(i) for i in range(len(chosen))] == [source.name(3), source.name(1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "no names"), ("nobody.jpg\n", "no image 'nobody.jpg'"), ("{0}\n{0}\n", "stands twice")],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, text: str, told: str) -> None:
    source = Shapes("train", size_hw=(33, 33), count=2)
    path = tmp_path / "list.txt"
    path.write_text(text.format(source.name(0)))
    with pytest.raises(BadInput, match=told):
        listed(source, path)


def test_a_list_is_named_after_an_at(tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text(Shapes("train").name(7) + "\n")
    few = open_data("shapes", f"train@{path}")
    assert [few.name(i) for i in range(len(few))] == [Shapes("train").name(7)]
    with pytest.raises(BadInput, match="no list of image names"):
        open_data("shapes", f"train@{tmp_path / 'none.txt'}")
