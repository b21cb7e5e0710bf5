from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.batch.inputs import Input, find_inputs, names, source_of
from atrous.types import BadInput


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "notes.txt", "deep/er/c.png", "deep/d.png", "film.MP4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(tree: Path, *words: str, listed: bytes | None = None) -> list[str]:
    inputs = find_inputs(words, listed=None if listed is None else io.BytesIO(listed))
    return [Path(each.file).relative_to(tree).as_posix() for each in inputs]


def test_a_folder_is_the_images_in_it_by_name(tree: Path) -> None:
    assert found(tree, str(tree)) == ["a.jpg", "b.png"]


def test_a_pattern_that_no_shell_has_expanded_is_expanded(tree: Path) -> None:
    assert found(tree, f"{tree}/*.png") == ["b.png"]
    assert found(tree, f"{tree}/**/*.png") == ["b.png", "deep/d.png", "deep/er/c.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path) -> None:
    (tree / "x[1].png").touch()
    assert found(tree, str(tree / "x[1].png")) == ["x[1].png"]


def test_what_is_named_twice_is_parsed_once(tree: Path) -> None:
    assert found(tree, str(tree / "b.png"), str(tree), str(tree / "b.png")) == ["b.png", "a.jpg"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_has_a_path_a_line_or_nul(tree: Path, end: bytes) -> None:
    lines = [str(tree / "b.png").encode(), b"", str(tree / "deep").encode(), b""]
    assert found(tree, "-", listed=end.join(lines)) == ["b.png", "deep/d.png"]


def test_videos_are_told_by_their_ending_and_cameras_by_their_number(tree: Path) -> None:
    film, one, two = find_inputs([str(tree / "film.MP4"), "camera:0", "webcam:3"])
    assert film.is_video
    assert not film.is_live
    assert (one, two) == (Input(0, is_video=True), Input(3, is_video=True))
    assert (one.file, one.is_live) == ("camera:0", True)


@pytest.mark.parametrize(
    ("word", "naming"),
    [
        ("nowhere.png", "no such file"),
        ("none*.png", "pattern"),
        ("d*p", r"only folders are called so: .*/d\*p/\*.jpg"),
        ("deep/er/..", None),
        ("deep/empty", r"no images directly in this folder: .*/deep/empty/\*\*/\*.jpg"),
        ("camera:x", "no such file"),
    ],
)
def test_what_names_nothing_is_refused(tree: Path, word: str, naming: str | None) -> None:
    (tree / "deep" / "empty").mkdir()
    if naming is None:
        assert find_inputs([str(tree / word)])
        return
    with pytest.raises(BadInput, match=naming):
        find_inputs([str(tree / word)])


def test_an_empty_name_is_not_the_folder_that_one_works_in() -> None:
    with pytest.raises(BadInput, match="an empty name"):
        find_inputs([""])


@pytest.mark.parametrize("word", ["https://a.org/x.jpg", "rtsp://a.org/1", "s3://a/x.png"])
def test_an_address_is_no_file(word: str) -> None:
    with pytest.raises(BadInput, match=f"{word}: is an address, not a file"):
        find_inputs([word])


@pytest.mark.parametrize("listed", [b"", b"\n \n", None])
def test_an_empty_list_is_refused(listed: bytes | None) -> None:
    with pytest.raises(BadInput, match="stdin is empty"):
        find_inputs(["-"], listed=None if listed is None else io.BytesIO(listed))


STEMS = st.sampled_from(["x", "x_2", "a_x", "a_x_2"])
FRAMES = st.sampled_from(["x", "x_000001", "x_2_000001", "a_x_000001"])
PLACES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a_x", "c/a"]), STEMS | FRAMES, st.booleans()), unique=True
)


def inputs_at(places: list[tuple[str, str, bool]]) -> list[Input]:
    return [
        Input(Path(folder) / f"{stem}.{'mp4' if is_video else 'png'}", is_video)
        for folder, stem, is_video in places
    ]


@given(PLACES)
def test_no_file_of_results_has_the_name_of_another(places: list[tuple[str, str, bool]]) -> None:
    given_names = names(inputs_at(places))
    files = [
        f"{name}_{number:06}" if each.is_video else name
        for each, name in given_names.items()
        for number in (1, 2)[: 1 + each.is_video]
    ]
    assert len(set(files)) == len(files)


@given(st.data(), st.booleans())
def test_names_that_some_know_already_are_the_names_that_all_get(
    data: st.DataObject, are_videos: bool
) -> None:
    places = st.lists(st.tuples(st.sampled_from(["a", "b", "a_x", "c/a"]), STEMS), unique=True)
    inputs = inputs_at([(*place, are_videos) for place in data.draw(places)])
    alone = names(inputs)
    told = [(source_of(each), name) for each, name in alone.items()]
    known = data.draw(st.lists(st.sampled_from(told), unique=True)) if told else []
    assert names(inputs, dict(known)) == alone


def test_names_keep_to_the_order_of_numbers_for_many_alike() -> None:
    inputs = [Input(Path(f"{number}/a/x.png")) for number in range(1, 2000)]
    found_names = list(names(inputs).values())
    assert found_names[:3] == ["a_x", "a_x_2", "a_x_3"]
    assert found_names[-1] == "a_x_1999"
