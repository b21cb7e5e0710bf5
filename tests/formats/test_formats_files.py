from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from atrous.formats import (
    read_image,
    read_json,
    write_class_map,
    write_confidence,
    write_image,
    write_json,
    write_text,
)
from atrous.types import BadInput, ClassMap


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    data = {"schema": 1, "name": "Straße", "rows": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", data)
    assert read_json(tmp_path / "a.json") == data


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_name_that_is_not_utf8_is_text_but_no_json(tmp_path: Path) -> None:
    write_text(tmp_path / "list.txt", "caf\udce9.png\n")
    assert (tmp_path / "list.txt").read_bytes() == b"caf\xe9.png\n"
    with pytest.raises(BadInput, match=r"^caf\\udce9.png: .* is not UTF-8: rename it$"):
        write_json(tmp_path / "a.json", {"rows": [{"name": "caf\udce9.png", "area": 1}]})
    assert names(tmp_path) == ["list.txt"]


def test_json_holds_no_number_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"miou": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"a": 1,\n "b"', r"not whole JSON \(.* at line 2, column 5\)"),
        (b"", "the file is empty"),
        (b"\xff\xfe\x00", "not JSON in UTF-8"),
        (b"[" * 100_000, "not"),
    ],
)
def test_broken_json_is_named_in_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInput, match=rf"a\.json: {what}") as error:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("content", ["{}", "{"])
def test_reading_json_leaves_the_collector_as_it_was(
    tmp_path: Path, was_on: bool, content: str
) -> None:
    (tmp_path / "a.json").write_text(content)
    (gc.enable if was_on else gc.disable)()
    try:
        with contextlib.suppress(BadInput):
            read_json(tmp_path / "a.json")
        assert gc.isenabled() == was_on
    finally:
        gc.enable()


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.json: no such file: check the path"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_class_map_comes_back_in_its_own_depth(tmp_path: Path, kind: type) -> None:
    class_map: ClassMap = np.array([[0, 7], [254, np.iinfo(kind).max]], kind)
    write_class_map(tmp_path / "a.png", class_map)
    with PIL.Image.open(tmp_path / "a.png") as image:
        read = np.asarray(image)
    assert read.dtype == kind
    np.testing.assert_array_equal(read, class_map)


def test_class_map_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"int64 of shape \(2, 2\): give \(h, w\) uint8"):
        write_class_map(tmp_path / "a.png", np.zeros((2, 2), np.int64))  # type: ignore[arg-type]


def test_confidence_comes_back_within_half_a_step(tmp_path: Path) -> None:
    confidence = np.linspace(0, 1, 1000, dtype=np.float32).reshape(20, 50)
    write_confidence(tmp_path / "a.png", confidence)
    with PIL.Image.open(tmp_path / "a.png") as image:
        read = np.asarray(image)
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read / 65535, confidence, atol=0.5001 / 65535)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_confidence_outside_its_range_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        write_confidence(tmp_path / "a.png", np.full((2, 2), value, np.float32))


def test_image_comes_back_with_red_on_red(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb)


def test_image_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give \(h, w, 3\) uint8"):
        write_image(tmp_path / "a.png", np.zeros((5, 7, 4), np.uint8))


def test_writing_makes_folders_and_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out" / "overlay" / "a.png"
    write_image(target, np.zeros((2, 2, 3), np.uint8))
    assert names(target.parent) == ["a.png"]


def test_name_of_full_length_is_written(tmp_path: Path) -> None:
    write_json(tmp_path / ("a" * 250 + ".json"), {})
    assert len(names(tmp_path)) == 1


def test_failed_write_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BadInput, match=r"a\.json: cannot be written .*: choose") as error:
        write_json(tmp_path / "a.json", {})
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["a.json"]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "a.json", {"old": 1})

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write_json(tmp_path / "a.json", {"new": 1})
    assert names(tmp_path) == ["a.json"]
    assert read_json(tmp_path / "a.json") == {"old": 1}


def test_file_is_written_with_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "a.json", {})
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "a.json")]
    assert modes[0] == modes[1]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "there" / "real.json")
    write_json(link, [1])
    write_json(link, [2])
    assert link.is_symlink()
    assert read_json(tmp_path / "there" / "real.json") == [2]


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "hello")
    assert os.read(reader, 9) == b"hello"
    os.close(reader)
    assert pipe.is_fifo()
