from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from truths import essence, truths

from atrous.formats import (
    read_label_map,
    read_sbd,
    read_sbd_classes,
    write_label_map,
    write_sbd,
)
from atrous.labels import VOC
from atrous.types import BadInput, Fault, Labelled, Region

io = pytest.importorskip("scipy.io")

INSTANCES = np.array([[0, 1, 1], [0, 0, 2]], np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.mat"


def save_instances(path: Path, ids: object, categories: object) -> None:
    io.savemat(path, {"GTinst": {"Segmentation": ids, "Categories": categories}})


@given(truths(VOC))
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    root = tmp_path_factory.getbasetemp()
    write_sbd(root / "cls.mat", root / "inst.mat", truth)
    again, flat = read_sbd(root / "inst.mat"), read_sbd_classes(root / "cls.mat")
    assert np.array_equal(essence(again), essence(truth))
    assert [region.id for region in again.regions] == list(range(1, len(again.regions) + 1))
    assert np.array_equal(VOC.semantic(flat), VOC.semantic(truth))


def test_instances_of_one_class_stay_apart(path: Path) -> None:
    save_instances(path, INSTANCES, np.array([[15.0], [15.0]]))
    truth = read_sbd(path)
    assert truth.regions == (Region(1, 0), Region(2, 15), Region(3, 15))
    assert truth.ids.tolist() == [[1, 2, 2], [1, 1, 3]]


def test_the_classes_of_instances_stand_in_a_column_or_a_row(path: Path) -> None:
    for categories in ([[7], [20]], [[7, 20]]):
        save_instances(path, INSTANCES, categories)
        assert [region.class_id for region in read_sbd(path).regions] == [0, 7, 20]


def test_an_image_without_instances_is_background(path: Path) -> None:
    save_instances(path, np.zeros((2, 2), np.uint8), np.zeros((0, 0)))
    assert read_sbd(path).regions == (Region(1, 0),)


def test_the_void_of_voc_is_void_here(path: Path) -> None:
    save_instances(path, np.array([[255, 1]], np.uint8), [[3]])
    assert read_sbd(path).ids.tolist() == [[0, 1]]
    many = np.array([[255, 1]], np.uint8)
    save_instances(path, many, np.full((255, 1), 3))
    assert read_sbd(path).ids.tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("categories", "told"),
    [
        ([[15]], "instance 2 has no class, for Categories holds 1"),
        (np.zeros((0, 0)), "instance 1 has no class, for Categories holds 0"),
        ([[15], [21]], "instance 2 is of 21, which is no class of things"),
        ([[15], [0]], "instance 2 is of 0, which is no class of things"),
        ([[15], [-1]], "instance 2 is of -1"),
    ],
)
def test_instances_without_a_class_are_told_or_become_void(
    path: Path, categories: object, told: str
) -> None:
    save_instances(path, INSTANCES, categories)
    with pytest.raises(BadInput, match=rf"a\.mat: {told}"):
        read_sbd(path)
    faults: list[Fault] = []
    assert read_sbd(path, report=faults.append).ids[1, 2] == 0
    assert {fault.kind for fault in faults} == {"instances of no class"}


@pytest.mark.parametrize(
    "categories",
    [
        [[15, 15], [15, 15]],
        [[1.5], [2]],
        [[np.nan], [2]],
        [[np.inf], [2]],
        "person",
        [[{}]],
        [[1j]],
    ],
)
def test_other_lists_of_classes_are_refused(path: Path, categories: object) -> None:
    save_instances(path, INSTANCES, categories)
    with pytest.raises(BadInput, match=r"GTinst\.Categories: .* one class id for each instance"):
        read_sbd(path)


@pytest.mark.parametrize(
    "ids",
    [
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((0, 0)),
        np.array([[0.5]]),
        np.array([[-1]]),
        np.array([[2**16]]),
        np.array([[np.nan]]),
        np.array([[np.inf]]),
        "text",
    ],
)
def test_what_is_no_label_map_is_refused(path: Path, ids: object) -> None:
    save_instances(path, ids, [[1]])
    with pytest.raises(BadInput, match=r"GTinst\.Segmentation: is .* a label map is"):
        read_sbd(path)
    io.savemat(path, {"LabelMap": ids})
    with pytest.raises(BadInput, match=r"a\.mat: LabelMap: is "):
        read_label_map(path)


def test_files_of_another_kind_are_told(path: Path) -> None:
    io.savemat(path, {"GTcls": {"Segmentation": INSTANCES}})
    with pytest.raises(BadInput, match="holds no GTinst: give the files that have it"):
        read_sbd(path)
    for value in (np.zeros((2, 2)), {"Boundaries": 1}, [{"Segmentation": 1}] * 2):
        io.savemat(path, {"GTinst": value})
        with pytest.raises(BadInput, match="GTinst is no struct with Segmentation"):
            read_sbd(path)
    save_instances(path, INSTANCES, [[1], [2]])
    with pytest.raises(BadInput, match="holds no LabelMap"):
        read_label_map(path)
    io.savemat(path, {"GTinst": {"Segmentation": INSTANCES}})
    with pytest.raises(BadInput, match=r"GTinst\.Categories: "):
        read_sbd(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), "no MATLAB file of version 5: give the .mat files"),
        (bytes(300), "no MATLAB file of version 5"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(600), "save it again with -v7"),
        (b"MATLAB 5.0 MAT-file" + bytes(40), "damaged or cut off"),
    ],
)
def test_bytes_of_another_kind_are_told_in_one_line(path: Path, data: bytes, told: str) -> None:
    path.write_bytes(data)
    with pytest.raises(BadInput, match=told) as error:
        read_sbd(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_missing_is_told(path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.mat: no such file"):
        read_label_map(path)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_file_cut_off_anywhere_is_told(path: Path, is_packed: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (9, 9), dtype=np.uint8)
    struct = {"Segmentation": noise, "Categories": [[1.0]]}
    io.savemat(path, {"GTinst": struct}, do_compression=is_packed)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 8, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput):
            read_sbd(path)


def test_a_byte_that_changed_in_a_packed_file_is_told(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (9, 9), dtype=np.uint8)
    save_instances(path, noise, [[1.0]])
    unpacked = path.read_bytes()
    io.savemat(
        path,
        {"GTinst": {"Segmentation": noise, "Categories": [[1.0]]}},
        do_compression=True,
    )
    whole = path.read_bytes()
    assert len(whole) < len(unpacked)
    for at in range(140, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(BadInput, match="damaged or cut off"):
            read_sbd(path)


def test_label_maps_come_back(path: Path) -> None:
    ids = np.array([[0, 459], [1, 65535]])
    write_label_map(path, ids)
    assert read_label_map(path).tolist() == ids.tolist()
    assert read_label_map(path).dtype == np.uint16


@pytest.mark.parametrize("ids", [np.zeros(3, int), np.array([[-1]]), np.array([[2**16]])])
def test_what_a_label_map_cannot_hold_is_not_written(path: Path, ids: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give \\(h, w\\) of 0 to 65535"):
        write_label_map(path, ids)
    assert not path.exists()


def test_what_sbd_cannot_hold_is_not_written(path: Path) -> None:
    many = np.arange(1, 256, dtype=np.int32)[None]
    things = Labelled(many, tuple(Region(i, 15) for i in range(1, 256)))
    with pytest.raises(ValueError, match="255 instances: a file of SBD holds 254"):
        write_sbd(path, path, things)
    crowd = Labelled(np.ones((1, 1), np.int32), (Region(1, 15, is_crowd=True),))
    with pytest.raises(ValueError, match="is a crowd"):
        write_sbd(path, path, crowd)
    assert not path.exists()


def test_without_scipy_one_line_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_instances(path, INSTANCES, [[1], [2]])
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    for call in (lambda: read_sbd(path), lambda: write_label_map(path, INSTANCES)):
        with pytest.raises(BadInput, match=r"need scipy: pip install 'atrous\[mat\]'"):
            call()
