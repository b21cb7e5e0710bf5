from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.catalogue import open_data
from atrous.data.folder import open_folder
from atrous.data.shapes import Shapes
from atrous.data.shards import files
from atrous.data.shards.files import expanded, split_of
from atrous.data.shards.index import INDEX, members_of, scanned
from atrous.data.shards.reading import Shards, open_shards, positions
from atrous.data.shards.samples import member_stem, name_of
from atrous.data.shards.writing import Files, order_of, packed, write_shards
from atrous.data.source import Entry, FileSource, Source, opened, subset
from atrous.formats import (
    decode_ids,
    encode_ids,
    write_class_map,
    write_image,
    write_json,
    write_text,
)
from atrous.formats.files import id_png
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Region, Report

LABELS = LabelSpace((Label("road", (1, 2, 3), False, 7), Label("car", (4, 5, 6), True, 11)))
PHOTO = id_png(np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3))
IDS = np.array([[1, 1, 1, 1], [1, 300, 300, 0], [70000, 70000, 0, 0]], np.int32)
PNG = id_png(encode_ids(IDS))
ROWS = [
    {"id": 300, "category_id": 11, "area": 2, "iscrowd": 0},
    {"id": 1, "category_id": 7, "area": 5, "iscrowd": 0},
    {"id": 70000, "category_id": 11, "area": 2, "iscrowd": 1},
]
TRUTH = (Region(300, 1), Region(1, 0), Region(70000, 1, is_crowd=True))
SEGMENTS = json.dumps({"segments_info": ROWS}).encode()
CLASS_MAP = id_png(np.array([[7, 7, 11, 255]] * 3, np.uint8))
PANOPTIC = {"png": PHOTO, "panoptic.png": PNG, "json": SEGMENTS}


def write_tar(path: Path, members: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def key(name: str, **kinds: bytes) -> dict[str, bytes]:
    """The members of a key; of panoptic labels without `kinds`."""
    return {f"{name}.{kind.replace('_', '.')}": d for kind, d in (kinds or PANOPTIC).items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three samples in two shards, without an index."""
    folder = tmp_path / "set"
    write_tar(folder / "train-000.tar", key("a") | {"notes.txt": b"hello"} | key("x/b"))
    write_tar(folder / "train-001.tar", key("c"))
    write_json(folder / "classes.json", LABELS.to_json())
    return folder


def assert_same(ours: Source, index: int, theirs: Source, other: int) -> None:
    one, two = ours[index], theirs[other]
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.truth.ids, two.truth.ids)
    assert one.truth.regions == two.truth.regions


class Hidden(Shapes):
    """Shapes with a region that has no pixels, between others that have."""

    def __getitem__(self, index: int):  # type: ignore[no-untyped-def]
        sample = super().__getitem__(index)
        first, *rest = sample.truth.regions
        regions = (first, Region(9999, 3, is_crowd=True), *rest)
        return replace(sample, truth=Labelled(sample.truth.ids, regions))


def written(source: Source, out: Path, *, split: str = "train", size: int = 10**9) -> Shards:
    """A source as shards, opened again."""
    samples = (files for i in order_of(source) for files in packed(source, [i]))
    write_shards(samples, out, split=split, labels=source.labels, size=size)
    return open_shards(str(out), split)


def test_a_sample_is_read_as_its_members_say(root: Path) -> None:
    data = open_data(f"shards={root}", "train")
    assert [data.name(i) for i in range(len(data))] == ["a.png", "x/b.png", "c.png"]
    assert data.labels == LABELS
    sample = data[1]
    assert sample.name == "x/b.png"
    assert sample.truth.ids.tolist() == IDS.tolist()
    assert sample.truth.regions == TRUTH
    assert sample.image.ravel().tolist() == list(range(36))
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.parametrize("kind", ["seg", "cls", "mask", "label", "semantic"])
def test_class_maps_have_many_names_and_tell_no_things_apart(tmp_path: Path, kind: str) -> None:
    write_tar(tmp_path / "val.tar", {"a.jpeg": PHOTO, f"a.{kind}.png": CLASS_MAP})
    write_json(tmp_path / "labels.json", LABELS.to_json())
    data = open_shards(str(tmp_path), "val")
    assert data.labels.semantic(data[0].truth).tolist() == [[0, 0, 1, 255]] * 3
    assert not data.labels.is_thing.any()


def test_a_png_beside_another_photo_is_a_class_map(tmp_path: Path) -> None:
    write_tar(tmp_path / "val" / "any.tar", {"./a.jpg": PHOTO, "./a.png": CLASS_MAP})
    rows = [{"id": 7, "name": "road"}, {"id": 11, "name": "car", "color": [4, 5, 6]}]
    write_json(tmp_path / "classes.json", {"classes": rows, "ignore_label": 255})
    data = open_shards(str(tmp_path), "val")
    assert data.labels.semantic(data[0].truth).tolist() == [[0, 0, 1, 255]] * 3
    assert data.name(0) == "a.jpg"


SOURCES: dict[str, Source] = {
    "drawn": Shapes("val", size_hw=(40, 50), count=7),
    "hidden": Hidden("val", size_hw=(40, 50), count=3),
    "some": subset(Shapes("val", size_hw=(40, 50), count=7), [5, 2, 3]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_sample_of_shards_is_that_of_its_source(tmp_path: Path, name: str) -> None:
    source = SOURCES[name]
    data = written(source, tmp_path / "out", size=20_000)
    assert len(data.paths) > 1
    order = order_of(source)
    assert len(data) == len(source)
    assert data.labels == source.labels
    for place, index in enumerate(order):
        assert_same(data, place, source, index)
        assert data.name(place) == f"{source.name(index)}.png"
        assert np.array_equal(opened(data, place).pixels(1.0), source[index].image)


@pytest.fixture
def photos(tmp_path: Path) -> FileSource:
    """Photos of names that are hard to put into a tar, of which one is turned by EXIF."""
    root = tmp_path / "photos"
    names = ["a.b", "50%2E", "é" * 60, "z", "long" * 40]
    for i, name in enumerate(names):
        pixels = np.full((5, 7, 3), 20 * i, np.uint8)
        done, jpeg = cv2.imencode(".jpg", pixels)
        assert done
        path = root / "images" / "train" / f"{name}.{'JPG' if i == 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg.tobytes())
        write_class_map(root / "labels" / "train" / f"{name}.png", np.full((5, 7), i, np.uint8))
    rows = [{"id": i, "name": f"class {i}"} for i in range(5)]
    write_json(root / "classes.json", {"classes": rows})
    return open_folder(root, "train")


def test_photos_and_names_stay_as_they_were(photos: FileSource, tmp_path: Path) -> None:
    data = written(photos, tmp_path / "out")
    names = {photos.name(i): i for i in range(len(photos))}
    assert sorted(data.name(i) for i in range(len(data))) == sorted(names)
    for i in range(len(data)):
        index = names[data.name(i)]
        assert data.photo(i) == photos.entries[index].image.read_bytes()
        assert_same(data, i, photos, index)
    again = written(data, tmp_path / "again")
    first, second = (tmp_path / n / "train-000.tar" for n in ("out", "again"))
    assert first.read_bytes() == second.read_bytes()
    assert len(again) == len(photos)


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1))
def test_a_key_has_no_dot_and_gives_the_name_back(base: str) -> None:
    stem = member_stem(f"x.y/{base}.jpg")
    assert "." not in stem.rpartition("/")[2]
    assert name_of(f"{stem}.jpg") == f"x.y/{base}.jpg"


def test_equal_data_give_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    source = Shapes("val", size_hw=(40, 50), count=4)
    for name, data in (("one", source), ("two", subset(source, [3, 1, 0, 2]))):
        written(data, tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two
    assert sorted(one) == ["classes.json", "train-000.tar", "train-000.tar.index.json"]


def test_shards_are_no_larger_than_asked_but_hold_a_sample(tmp_path: Path) -> None:
    source = Shapes("val", size_hw=(40, 50), count=6)
    sizes = {p: p.stat().st_size for p in map(Path, written(source, tmp_path, size=1).paths)}
    assert len(sizes) == 6
    data = written(source, tmp_path, split="val", size=max(sizes.values()) * 2 + 20_000)
    assert 1 < len(data.paths) < 6
    assert [Path(p).name for p in data.paths] == [f"val-{i:03}.tar" for i in range(len(data.paths))]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Files]:
        yield from packed(SOURCES["drawn"], [0])
        raise BadInput("no more")

    with pytest.raises(BadInput, match="no more"):
        write_shards(broken(), tmp_path / "out", split="train", labels=LABELS, size=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source = Shapes("val", size_hw=(40, 50), count=2)
    written(source, tmp_path)
    with pytest.raises(BadInput, match=r"train-000\.tar: is there already"):
        written(source, tmp_path)
    written(source, tmp_path, split="train-extra")
    with pytest.raises(BadInput, match="lists other classes"):
        write_shards(iter(()), tmp_path, split="val", labels=LABELS, size=1)
    with pytest.raises(BadInput, match="names no file"):
        write_shards(iter(()), tmp_path, split="a/b", labels=source.labels, size=1)


def test_two_photos_of_one_key_are_told_before_anything_is_written(tmp_path: Path) -> None:
    class Twins(Shapes):
        def name(self, index: int) -> str:
            return ("a.png", "a.jpg")[index]

    with pytest.raises(BadInput, match="one name but for their suffix"):
        written(Twins("val", count=2), tmp_path / "out")


def test_an_index_spares_the_headers_and_one_that_does_not_fit_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard,) = written(SOURCES["drawn"], tmp_path).paths
    truth, index = members_of(shard), Path(shard + INDEX)
    assert truth == scanned(shard, Path(shard).stat().st_size)
    monkeypatch.setattr("atrous.data.shards.index.scanned", lambda *_: ())
    assert members_of(shard) == truth
    told = json.loads(index.read_text())
    for changes in ({"size": 1}, {"format": 2}, {"members": [["a", 1]]}, {"members": 3}):
        index.write_text(json.dumps(told | changes))
        assert members_of(shard) == ()
    index.write_text("{")
    assert members_of(shard) == ()


def test_an_index_of_another_shard_of_that_size_is_told_when_a_sample_is_read(
    root: Path,
) -> None:
    shard = root / "train-001.tar"
    rows = [["c.png", 0, 512, 9], ["c.panoptic.png", 512, 1024, 9], ["c.json", 1024, 1536, 9]]
    size = shard.stat().st_size
    write_json(Path(f"{shard}{INDEX}"), {"format": 1, "size": size, "members": rows})
    with pytest.raises(BadInput, match="does not lie where the index says: delete"):
        open_shards(str(root), "train")[2]


def remote(root: Path, url: str) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            files.pipe(f"{url}/{path.relative_to(root)}", path.read_bytes())


def test_shards_from_afar_are_those_of_the_disk(tmp_path: Path) -> None:
    here = written(SOURCES["drawn"], tmp_path, size=20_000)
    remote(tmp_path, "memory://afar/whole")
    there = open_shards("memory://afar/whole", "train")
    pattern = f"memory://afar/whole/{{train,val}}-{{000..{len(here.paths) - 1:03}}}.tar"
    named = open_shards(pattern, "train")
    for i in range(len(here)):
        assert_same(there, i, here, i)
        assert_same(named, i, here, i)
    assert [there.name(i) for i in range(len(there))] == [here.name(i) for i in range(len(here))]


def test_without_an_index_headers_are_read_and_photos_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = id_png(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    members = {f"{i}.{k}": d for i in range(5) for k, d in ({**PANOPTIC, "png": photo}).items()}
    write_tar(tmp_path / "train-0.tar", members)
    write_json(tmp_path / "classes.json", LABELS.to_json())
    remote(tmp_path, "memory://bare")
    reads = record_reads(monkeypatch)
    data = open_shards("memory://bare", "train")
    assert len(data) == 5
    assert sum(stop - start for start, stop in reads) < len(members) * 17_000 < 5 * len(photo)


def record_reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges that are read from now on."""
    reads: list[tuple[int, int]] = []
    whole = files.read_range

    def read(path: str, start: int, stop: int) -> bytes:
        reads.append((start, stop))
        return whole(path, start, stop)

    for page in ("reading", "index"):
        monkeypatch.setattr(f"atrous.data.shards.{page}.read_range", read)
    return reads


def test_a_sample_is_one_read_and_a_stream_reads_each_shard_once_front_to_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(SOURCES["drawn"], tmp_path, size=20_000)
    reads = record_reads(monkeypatch)
    data[3]
    assert len(reads) == 1
    reads.clear()
    assert [s.name for s in data.stream()] == [data.name(i) for i in range(len(data))]
    assert len(reads) == len(data.paths)
    reads.clear()
    monkeypatch.setattr("atrous.data.shards.reading.STRETCH", 1)
    assert len(list(data.stream())) == len(reads) == len(data)
    assert all(a[1] <= b[0] or b[0] == 0 for a, b in pairwise(reads))


@pytest.mark.parametrize("count", [0, 1, 5, 7, 24])
def test_readers_share_all_samples_without_overlap_or_loss(count: int) -> None:
    for world, workers in product((1, 2, 3, 5), (1, 2, 4)):
        parts = [
            positions(count, rank=rank, world=world, worker=worker, workers=workers)
            for rank, worker in product(range(world), range(workers))
        ]
        assert [i for part in parts for i in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_streams_of_all_readers_are_the_whole_set(tmp_path: Path) -> None:
    data = written(SOURCES["drawn"], tmp_path, size=20_000)
    names = [data.name(i) for i in range(len(data))]
    for world, workers in product((1, 2, 3), (1, 2, 4)):
        readers = product(range(world), range(workers))
        read = [
            sample
            for rank, worker in readers
            for sample in data.stream(rank=rank, world=world, worker=worker, workers=workers)
        ]
        assert [s.name for s in read] == names
    assert np.array_equal(read[4].pixels(1.0), data[4].image)
    with pytest.raises(ValueError, match="rank 2 of 2"):
        next(data.stream(rank=2, world=2))


def test_shards_go_to_other_processes_and_back(root: Path) -> None:
    data = open_shards(str(root), "train")
    assert_same(pickle.loads(pickle.dumps(data)), 1, data, 1)


@pytest.mark.study
def test_loader_workers_read_what_this_process_reads(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    data = written(SOURCES["drawn"], tmp_path, size=20_000)
    loader: DataLoader[object] = DataLoader(
        data,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=2,
        multiprocessing_context="forkserver",
    )
    images = [torch.as_tensor(sample.image) for sample in loader]
    assert len(images) == len(data)
    assert all(np.array_equal(image, data[i].image) for i, image in enumerate(images))


@pytest.mark.parametrize(
    ("members", "kind", "told"),
    [
        ({"a.png": PHOTO, "a.txt": b"x"}, "photos without a label", "png has no label"),
        ({"a.panoptic.png": PNG, "a.json": SEGMENTS}, "labels without a photo", "has no photo"),
        (key("a", jpg=PHOTO, seg_png=CLASS_MAP, panoptic_png=PNG), "keys with two labels", "keep"),
        (key("a", jpg=PHOTO, png=CLASS_MAP, mask_png=CLASS_MAP), "keys with two labels", "keep"),
        (key("a", jpg=PHOTO, webp=PHOTO, png=CLASS_MAP), "keys with two photos", "jpg and webp"),
        (key("a", jpg=PHOTO, panoptic_png=PNG), "photos without a label", "has no json"),
        ([*key("a").items(), ("a.png", PHOTO)], "keys with a member twice", "png stands twice"),
        (key("a") | key("b") | {"a.seg.png": CLASS_MAP}, "keys in two places", "do not follow"),
    ],
)
def test_a_key_that_makes_no_sample_is_told_and_can_be_left_out(
    root: Path, members: dict[str, bytes], kind: str, told: str
) -> None:
    write_tar(root / "train-000.tar", members)
    with pytest.raises(BadInput, match=rf"train-000\.tar: a: .*{told}"):
        open_shards(str(root), "train")
    faults: list[Fault] = []
    data = open_shards(str(root), "train", faults.append)
    assert [fault.kind for fault in faults] == [kind]
    assert "c.png" in {data.name(i) for i in range(len(data))}


def test_a_name_in_two_shards_is_told(root: Path) -> None:
    write_tar(root / "train-001.tar", key("a"))
    with pytest.raises(BadInput, match=r"a\.png stands in .*train-000\.tar too"):
        open_shards(str(root), "train")


def test_one_split_has_one_kind_of_labels(root: Path) -> None:
    write_tar(root / "train-001.tar", key("c", jpg=PHOTO, seg_png=CLASS_MAP))
    with pytest.raises(BadInput, match=r"a\.png has segments but c\.jpg a class map"):
        open_shards(str(root), "train")


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_tar_that_is_cut_off_anywhere_is_told(root: Path) -> None:
    shard = root / "train-001.tar"
    end = 6 * 512  # three headers, and three payloads of one block
    assert any(shard.read_bytes()[end - 512 : end])
    for size in range(end + 511, -1, -128):
        cut(shard, size)
        with pytest.raises(BadInput, match=r"train-001\.tar: (no whole tar|cut off)"):
            open_shards(str(root), "train")


def test_a_shard_that_is_cut_off_after_it_was_opened_is_told(root: Path) -> None:
    data = open_shards(str(root), "train")
    cut(root / "train-001.tar", 1000)
    with pytest.raises(BadInput, match="ends before its last sample"):
        data[2]


def test_compressed_shards_are_told(root: Path) -> None:
    with tarfile.open(root / "train-001.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(BadInput, match="is compressed"):
        open_shards(str(root), "train")


def test_a_name_that_no_json_holds_is_told_before_anything_is_written(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    source = FileSource(LABELS, (Entry("caf\udce9.png", image, (image,)),), _unread)
    with pytest.raises(BadInput, match=r"^caf\\udce9.png: .* is not UTF-8: rename it"):
        order_of(source)


def _unread(entry: Entry, report: Report) -> Labelled:
    raise AssertionError(f"{entry.name} was read")


def test_a_shard_without_any_sample_is_told(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", {"readme.txt": b"x", "0.json": b"{}"})
    write_json(tmp_path / "classes.json", LABELS.to_json())
    with pytest.raises(BadInput, match="no sample in the 1 shards of train"):
        open_shards(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no classes.json or labels.json beside the shards"),
        ("{", "not whole JSON"),
        ("[]", "lists no classes"),
        ('[{"name": "a"}]', "a class has an id"),
        ('[{"file_id": 1.5, "name": "a"}]', "its id is 1.5, no whole number: a class has an id"),
        ('[{"file_id": 1, "name": "a", "thing": "false"}]', "'false', neither true nor false"),
        ('[{"file_id": 1, "name": null}]', "its name is None, not a line of text"),
        ('[{"file_id": 1, "name": "a"}, {"file_id": 1, "name": "b"}]', "more than one class"),
        ('{"classes": [{"id": 1, "name": "a"}], "ignore_label": []}', "ignore_label is"),
    ],
)
def test_a_list_of_classes_must_be_there_and_make_sense(
    root: Path, text: str | None, told: str
) -> None:
    (root / "classes.json").unlink()
    if text is not None:
        write_text(root / "classes.json", text)
    with pytest.raises(BadInput, match=told):
        open_shards(str(root), "train")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere", "no such folder"),
        ("memory://nowhere/at/all", "no such file"),
        ("memory://nowhere/train-{000..001}.tar", r"train-000\.tar: no such file"),
        ("nothing://x/train-000.tar", "Protocol not known: nothing"),
        ("dir/train-{a..b}.tar", r"\{a\.\.b\} is no pattern"),
        ("dir/train-{9..1}.tar", r"\{9\.\.1\} is no pattern"),
        ("dir/data.tar", "no shards of the split 'train': there is data"),
    ],
)
def test_a_place_without_shards_is_told_in_one_line(place: str, told: str) -> None:
    with pytest.raises(BadInput, match=told) as found:
        open_data(f"shards={place}", "train")
    assert "\n" not in str(found.value)


def test_a_protocol_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def url_to_fs(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.url_to_fs", url_to_fs)
    with pytest.raises(BadInput, match=r"s3://b/train-0\.tar: Install s3fs .*: pip install"):
        open_shards("s3://b/train-0.tar", "train")


def test_any_error_of_a_server_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Exception):
        pass

    def url_to_fs(url: str) -> None:
        raise Gone("403,\n forbidden")

    monkeypatch.setattr("fsspec.url_to_fs", url_to_fs)
    with pytest.raises(BadInput, match=r"cannot be read \(403, forbidden\): check the address"):
        open_shards("http://b/train-0.tar", "train")


def test_a_server_without_ranges_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    written(SOURCES["drawn"], tmp_path)
    remote(tmp_path, "memory://deaf")
    data = open_shards("memory://deaf", "train")
    whole = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda fs, path, **_: whole(fs, path))
    with pytest.raises(BadInput, match="no ranges: copy the shards"):
        data[0]


def test_a_folder_without_shards_and_an_unknown_split_are_told(root: Path) -> None:
    with pytest.raises(BadInput, match="no shards of the split 'val': there is train"):
        open_shards(str(root), "val")
    for path in root.glob("*.tar"):
        path.unlink()
    with pytest.raises(BadInput, match=r"no SPLIT-\*\.tar and no folder SPLIT"):
        open_shards(str(root), "train")


def test_patterns_count_and_list() -> None:
    assert expanded("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expanded("{x,y}-{0..1}") == ["x-0", "x-1", "y-0", "y-1"]
    assert expanded("s3://b/c.tar") == ["s3://b/c.tar"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-000.tar", "train"),
        ("train.tar", "train"),
        ("val2017_12.tar", "val2017"),
        ("train-000-of-010.tar", "train"),
        ("train-extra-3.tar", "train-extra"),
        ("http://host/x/val-1.tar?key=a/b", "val"),
        ("train-000.tar.gz", ""),
    ],
)
def test_the_name_of_a_shard_tells_its_split(name: str, split: str) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"json": b"{"}, r"c\.json: not whole JSON"),
        ({"json": b"[1]"}, r"c\.panoptic\.png: .*have pixels but no entry"),
        ({"json": b'{"segments_info": [{"id": 1}]}'}, r"c\.json: entry 1"),
        ({"json": SEGMENTS.replace(b"11", b"12")}, r"category ids 12"),
        ({"panoptic.png": CLASS_MAP}, r"c\.panoptic\.png: segment ids need an 8 bit RGB PNG"),
        ({"panoptic.png": PNG[:60]}, r"c\.panoptic\.png: "),
        ({"png": b"no photo"}, r"c\.png: not an image"),
        ({"png": id_png(np.zeros((4, 4, 3), np.uint8))}, "the label is 3x4 but .* is 4x4"),
    ],
)
def test_a_damaged_sample_is_told_when_it_is_read(
    root: Path, changes: dict[str, bytes], told: str
) -> None:
    write_tar(root / "train-001.tar", key("c", **{**PANOPTIC, **changes}))
    data = open_shards(str(root), "train")
    with pytest.raises(BadInput, match=told) as found:
        data[2]
    assert "train-001.tar: c." in str(found.value)


def test_a_lenient_report_hears_of_damaged_labels(root: Path) -> None:
    write_tar(root / "train-001.tar", key("c", **{**PANOPTIC, "json": b'{"segments_info": []}'}))
    faults: list[Fault] = []
    report: Report = faults.append
    truth = open_shards(str(root), "train").truth(2, report)
    assert not truth.ids.any()
    assert len(faults) == 1


def test_ids_of_shards_are_those_of_coco(tmp_path: Path) -> None:
    source = Shapes("val", size_hw=(40, 50), count=1)
    written(source, tmp_path)
    with tarfile.open(tmp_path / "train-000.tar") as tar:
        names = tar.getnames()
        png = tar.extractfile(names[1])
        assert png is not None
        bgr = cv2.imdecode(np.frombuffer(png.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert names == [f"shapes-val-000000.{k}" for k in ("png", "panoptic.png", "json")]
    assert bgr is not None
    ids = decode_ids(np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8))
    assert np.array_equal(ids, source[0].truth.ids)


def test_the_sample_of_coco_goes_through_shards_unchanged(shared: Path, tmp_path: Path) -> None:
    source = open_data(f"coco-panoptic={shared / 'data' / 'coco_things'}", "train")
    few = subset(source, range(0, len(source), 20))
    data = written(few, tmp_path, size=300_000)
    for place, index in enumerate(order_of(few)):
        assert data.name(place) == few.name(index)
        assert_same(data, place, few, index)


def test_a_photo_of_which_labels_have_another_size_is_not_packed(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "train" / "a.png", np.zeros((3, 4, 3), np.uint8))
    write_class_map(tmp_path / "labels" / "train" / "a.png", np.zeros((3, 5), np.uint8))
    write_json(tmp_path / "classes.json", {"classes": [{"id": 0, "name": "road"}]})
    with pytest.raises(BadInput, match="same size"):
        packed(open_folder(tmp_path, "train"), [0])
