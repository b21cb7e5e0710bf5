from __future__ import annotations

import errno
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from atrous.run.checkpoint import (
    DTYPES,
    FORGOTTEN_S,
    canonical,
    half,
    make_folder,
    read_header,
    read_weights,
    tensor_chunks,
    write_bytes,
    write_model,
)
from atrous.types import BadInput

WEIGHTS = {"b": torch.arange(4.0), "a": torch.zeros(2, 3)}


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    write_model(tmp_path / "1.safetensors", WEIGHTS, {"network": {"b": 1, "a": (2, 3)}})
    turned = dict(reversed(WEIGHTS.items()))
    write_model(tmp_path / "2.safetensors", turned, {"network": {"a": [2, 3], "b": 1}})
    one, two = ((tmp_path / f"{n}.safetensors").read_bytes() for n in (1, 2))
    assert one == two


def test_a_model_file_holds_one_canonical_key(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path, WEIGHTS, {"labels": ["é"]})
    assert read_header(path) == {"format": 1, "labels": ["é"]}
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    assert metadata == {"atrous": '{"format":1,"labels":["é"]}'}


def test_canonical_json_is_sorted_and_has_no_spaces() -> None:
    data = {"b": (1, 2.5), "a": {"d": None, "c": "é"}}
    assert canonical(data) == '{"a":{"c":"é","d":null},"b":[1,2.5]}'


def test_weights_in_another_memory_order_give_equal_bytes(tmp_path: Path) -> None:
    plain = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for name, value in (("1", plain), ("2", plain.contiguous(memory_format=torch.channels_last))):
        write_model(tmp_path / name, {"w": value.requires_grad_()}, {})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_packaged_weights_have_16_bits_and_counters_stay_whole() -> None:
    small = half({"w": torch.ones(2), "n": torch.tensor(3)})
    assert {k: v.dtype for k, v in small.items()} == {"w": torch.float16, "n": torch.int64}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "no such file"),
        ("folder", "no such file"),
        ("text", "not a safetensors file"),
        ("empty", "not a safetensors file"),
        ("foreign", "no atrous model"),
        ("garbled", "broken"),
        ("a list", "broken"),
        ("newer", "model format 99"),
        ("older", "model format None"),
    ],
)
def test_files_that_are_no_model_are_refused_in_one_line(
    tmp_path: Path, kind: str, told: str
) -> None:
    path = tmp_path / "m.safetensors"
    keys = {"garbled": '{"format":', "a list": "[1]", "newer": '{"format":99}', "older": "{}"}
    if kind in keys:
        save_file(WEIGHTS, path, metadata={"atrous": keys[kind]})
    elif kind == "foreign":
        save_file(WEIGHTS, path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("hello\nthere\n" if kind == "text" else "")
    with pytest.raises(BadInput, match=told) as error:
        read_header(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    write_bytes(path, b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"old"


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_weights(tmp_path / "m.safetensors")


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path, WEIGHTS, {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BadInput, match="not a safetensors file"):
        read_weights(path)


def test_a_tensor_file_holds_the_bytes_that_the_library_would_write() -> None:
    weights = {f'é "{n}"\n\x01': torch.arange(3).to(dtype) for n, dtype in enumerate(DTYPES)}
    weights |= {
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "wide": torch.ones(1, 3).expand(4, 3),
    }
    weights["last"] = torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    plain = {name: value.contiguous().clone() for name, value in weights.items()}
    for metadata in ({"atrous": '{"labels":["é\\""]}'}, None):
        assert b"".join(tensor_chunks(weights, metadata)) == save(plain, metadata)
    assert b"".join(tensor_chunks({})) == save({})


def test_numbers_that_the_format_lacks_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"w is torch\.complex128"):
        write_model(tmp_path / "m", {"w": torch.ones(2, dtype=torch.complex128)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_a_model_is_for_the_umask_to_say(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_model(tmp_path / "m", WEIGHTS, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode


def test_a_link_stays_one_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "m"
    link.symlink_to(tmp_path / "there" / "m")
    for data in (b"new", b"newer"):
        write_bytes(link, data)
        assert link.is_symlink()
        assert [(p.name, p.read_bytes()) for p in (tmp_path / "there").iterdir()] == [("m", data)]


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(pipe, b"through")
        assert os.read(reader, 99) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["file/m", "file/new/m", "folder"])
def test_a_place_that_cannot_be_written_is_an_error_and_stays_as_it_is(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"file|folder"):
        write_bytes(tmp_path / place, b"new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_killed_writers_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    path, other = tmp_path / "m", tmp_path / "x.m"
    fresh, old, others = (
        p.with_name(f".{p.name}.{n}.part")
        for p, n in ((path, "0" * 8), (path, "1" * 8), (other, "2" * 8))
    )
    user = tmp_path / ".m.notes.part"
    for left in (fresh, old, others, user):
        left.write_bytes(b"half")
        age = 0 if left is fresh else FORGOTTEN_S + 60
        os.utime(left, (left.stat().st_mtime - age,) * 2)
    write_bytes(path, b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, fresh, others, user])


def test_two_writers_of_one_file_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m"
    values = [{"w": torch.full((50_000,), float(n))} for n in range(4)]

    def write(value: dict[str, torch.Tensor]) -> None:
        for _ in range(5):
            write_model(path, value, {})
            assert load_file(path)["w"].unique().numel() == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, values))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def _flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is flushed to the disk from now on."""
    names: list[str] = []
    flush = os.fsync

    def note(handle: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    return names


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see what is flushed")
def test_a_new_folder_is_flushed_into_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _flushed(monkeypatch)
    write_bytes(tmp_path / "a" / "b" / "x", b"data")
    assert names[:2] == [tmp_path.name, "a"]
    assert (names[2][:3], names[3:]) == (".x.", ["b"])
    names.clear()
    make_folder(tmp_path / "a" / "b")
    assert names == []


@pytest.mark.parametrize(
    ("number", "is_fatal"),
    [(errno.EINVAL, False), (errno.EACCES, False), (errno.EIO, True), (errno.ENOSPC, True)],
)
def test_a_folder_may_lack_the_means_to_be_flushed_but_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_fatal: bool
) -> None:
    flush = os.fsync

    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        flush(handle)

    monkeypatch.setattr(os, "fsync", fail)
    if is_fatal:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_bytes(tmp_path / "x", b"data")
    else:
        write_bytes(tmp_path / "x", b"data")
    assert (tmp_path / "x").read_bytes() == b"data"


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "m", WEIGHTS, {})
    before = (tmp_path / "m").read_bytes()

    def interrupt(_: int) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(tmp_path / "m", {"w": torch.zeros(9)}, {})
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("m", before)]
