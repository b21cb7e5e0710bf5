from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from atrous.data.catalogue import open_data
from atrous.data.shapes import Shapes
from atrous.data.source import Entry, FileSource, subset
from atrous.data.split import (
    Shares,
    fraction,
    groups_of,
    hashed,
    hashed_groups,
    listed,
    names_with_folders,
    place_of,
    require_no_empty_side,
    seeded,
)
from atrous.types import BadInput, Labelled, Report


def divide(
    names: list[str], *, val: float, test: float = 0.0, seed: int = 0
) -> tuple[list[str], ...]:
    """The names of each side."""
    shares = Shares(val, test)
    sides = hashed(names, shares=shares, seed=seed).tolist()
    return tuple(
        [name for name, own in zip(names, sides, strict=True) if own == side]
        for side in range(len(shares.values))
    )


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
    train, val = divide([source.name(i) for i in range(len(source))], val=0.2)
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


def test_what_is_no_list_is_told_in_plain_words(tmp_path: Path) -> None:
    for split, told in (
        (f"train@{tmp_path}/none.txt", r"no list of image names \(no such file or directory\)"),
        (f"train@{tmp_path}", r"no list of image names \(is a folder\)"),
        (f"train@{tmp_path}/photo.png", r"no list of image names \(is no text\)"),
        ("train@", "no list after the @: write train@lists/val.txt"),
    ):
        (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\0\0")
        with pytest.raises(BadInput, match=told) as error:
            open_data("shapes", split)
        assert "Errno" not in str(error.value)


def test_a_list_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    source = Shapes("train", size_hw=(33, 33), count=2)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + source.name(1).encode() + b"\r\n")
    assert listed(source, tmp_path / "list.txt").name(0) == source.name(1)


def test_a_list_lies_at_home_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "few.txt").write_text(Shapes("train").name(7) + "\n")
    assert len(open_data("shapes", "train@~/few.txt")) == 1


def test_a_test_side_takes_what_lies_above_validation_and_moves_none_of_it() -> None:
    names = [f"{i}.jpg" for i in range(500)]
    train, held, test = divide(names, val=0.2, test=0.1)
    assert sorted(train + held + test) == sorted(names)
    assert held == divide(names, val=0.2)[1]
    assert all(0.2 <= place_of(n) < 0.2 + 0.1 for n in test)
    assert 30 < len(test) < 70


def test_another_seed_divides_otherwise() -> None:
    names = [f"{i}.jpg" for i in range(100)]
    assert divide(names, val=0.2, seed=1) == divide(names, val=0.2, seed=1)
    assert divide(names, val=0.2, seed=1) != divide(names, val=0.2)


@pytest.mark.parametrize(
    ("val", "test", "told"),
    [(0.2, 1.0, "--test 1.0"), (0.2, -0.1, "--test -0.1"), (0.7, 0.3, "nothing for training")],
)
def test_shares_that_leave_nothing_are_refused(val: float, test: float, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Shares(val, test)


@pytest.mark.parametrize(
    ("group_by", "names", "groups"),
    [
        ("folder", ["a/1.jpg", "a/2.jpg", "b/c/3.jpg"], ["a", "a", "b/c"]),
        (r"^(\w+?)_", ["p1_a.png", "p1_b.png", "p22_a.png"], ["p1", "p1", "p22"]),
        (r"^[a-z]+", ["ab1.png", "ab2.png", "c1.png"], ["ab", "ab", "c"]),
    ],
)
def test_a_group_is_the_folder_or_what_the_pattern_matches(
    group_by: str, names: list[str], groups: list[str]
) -> None:
    assert groups_of(names, group_by) == groups


@pytest.mark.parametrize(
    ("group_by", "told"),
    [
        ("(", "no regular expression"),
        ("x{99999999999}", "no regular expression"),
        ("^([0-9]+)_", "does not match 'photo.jpg'"),
        ("^(z?)", "matches nothing of '1_a.jpg'"),
        ("^(1)?", "matches nothing of 'photo.jpg'"),
        ("folder", "'1_a.jpg' lies in no folder"),
    ],
)
def test_a_name_without_a_group_and_a_bad_pattern_are_told(group_by: str, told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        groups_of(["1_a.jpg", "photo.jpg"], group_by)


def test_names_without_folders_get_those_of_their_photos(tmp_path: Path) -> None:
    paths = [tmp_path / "train" / place for place in ("aachen/a.png", "aachen/b.png", "ulm/c.png")]
    entries = tuple(Entry(path.name, path, ()) for path in paths)
    source = FileSource(Shapes("train").labels, entries, _unread)
    assert names_with_folders(source) == ["aachen/a.png", "aachen/b.png", "ulm/c.png"]
    assert names_with_folders(subset(source, [2, 0])) == ["ulm/c.png", "aachen/a.png"]
    assert names_with_folders(subset(source, [0, 1])) == ["a.png", "b.png"]
    named = replace(source, entries=(replace(entries[0], name="x/a.png"), *entries[1:]))
    assert names_with_folders(named) == ["x/a.png", "b.png", "c.png"]
    assert names_with_folders(Shapes("train", count=1)) == ["shapes-train-000000"]


def _unread(entry: Entry, report: Report) -> Labelled:
    raise AssertionError(f"{entry.name} was read")


@given(st.lists(st.integers(0, 30), min_size=60, max_size=90), st.integers(0, 3))
def test_groups_are_divided_whole_by_their_names_alone(numbers: list[int], seed: int) -> None:
    groups = [f"patient {n}" for n in numbers] + ["one", "two"]
    assume(max(map(groups.count, groups)) < len(groups) / 2)
    sides = hashed_groups(groups, shares=Shares(0.3), seed=seed)
    place = {g: fraction(seeded(g, seed)) for g in groups}
    assert sides.tolist() == [int(place[g] < 0.3) for g in groups]


def test_a_group_larger_than_every_side_is_refused() -> None:
    with pytest.raises(BadInput, match="'a' has 9 of 10 images, but the largest side shall have 8"):
        hashed_groups(["a"] * 9 + ["b"], shares=Shares(0.2))
    hashed_groups(["a"] * 8 + ["b"] * 2, shares=Shares(0.2))


def test_a_side_without_an_image_is_refused() -> None:
    with pytest.raises(BadInput, match="no image of 2 is left for val"):
        require_no_empty_side(np.array([0, 0]), Shares(0.2))
    told = "no image of 3 in 2 groups is left for val: try --stratify or another --seed"
    with pytest.raises(BadInput, match=told):
        require_no_empty_side(np.array([0, 0, 0]), Shares(0.2), groups=["a", "a", "b"])
