from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data import sbd, voc_aug
from atrous.data.catalogue import open_data
from atrous.data.source import FileSource
from atrous.formats import write_class_map, write_label_map
from atrous.labels import VOC
from atrous.types import BadInput, Fault, Region
from voc_trees import (
    IDS,
    PERSON,
    WITHOUT_VOID,
    class_map,
    sbd_tree,
    voc_tree,
    write_list,
    write_photo,
)

pytest.importorskip("scipy.io")

# Of SBD: a is in VOC's train too, v in its val; m and n are labelled by SBD alone.
VOC_LISTS = {"train": ["a", "b"], "val": ["v"]}
SBD_TRAIN, SBD_VAL = ["m", "v"], ["a", "n"]
BELOW = ["benchmark_RELEASE/dataset", "dataset", "sbd", "SBD", "SBD/benchmark_RELEASE/dataset"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """VOC 2012 and SBD in one folder, as their archives unpack."""
    base = voc_tree(tmp_path / "VOCdevkit" / "VOC2012", VOC_LISTS)
    write_list(base / "ImageSets" / "Main" / "train.txt", ["a", "b", "m", "x"])
    write_list(base / "ImageSets" / "Main" / "val.txt", ["v", "n", "y"])
    sbd_tree(tmp_path / "benchmark_RELEASE" / "dataset", SBD_TRAIN, SBD_VAL)
    return tmp_path


@pytest.fixture
def base(root: Path) -> Path:
    return root / "benchmark_RELEASE" / "dataset"


@pytest.fixture
def voc(root: Path) -> Path:
    return root / "VOCdevkit" / "VOC2012"


def names(source: FileSource) -> list[str]:
    return [source.name(i).removesuffix(".jpg") for i in range(len(source))]


# --- SBD alone --------------------------------------------------------------------------------


def test_instances_of_one_class_are_told_apart(root: Path) -> None:
    source = sbd.open_sbd(root, "sbd-train")
    sample = source[0]
    assert (sample.name, source.labels) == ("m.jpg", VOC)
    assert sample.truth.regions == (Region(1, 0), Region(2, PERSON), Region(3, PERSON))
    assert np.array_equal(sample.truth.ids, WITHOUT_VOID.ids)


def test_train_and_val_follow_the_lists_of_voc(root: Path) -> None:
    assert names(sbd.open_sbd(root, "train")) == ["m", "a"]
    assert names(sbd.open_sbd(root, "val")) == ["v", "n"]
    assert sbd.splits(root) == {"train": 2, "val": 2, "sbd-train": 2, "sbd-val": 2}


@pytest.mark.parametrize("name", ["train_noval.txt", "train_voc2012.txt"])
def test_the_list_of_its_authors_wins(root: Path, base: Path, name: str) -> None:
    write_list(base / name, ["n"])
    assert names(sbd.open_sbd(root, "train")) == ["n"]
    assert names(sbd.open_sbd(base, "val")) == ["m", "v", "a"]


def test_without_a_list_of_voc_its_own_splits_are_left(base: Path) -> None:
    assert sbd.splits(base) == {"sbd-train": 2, "sbd-val": 2}
    assert names(sbd.open_sbd(base, "sbd-val")) == ["a", "n"]
    with pytest.raises(BadInput, match=r"train needs ImageSets/Main/train.txt of VOC2012 .*noval"):
        sbd.open_sbd(base, "train")


@pytest.mark.parametrize("where", [".", *BELOW, "VOCaug/dataset", "VOCdevkit/VOCaug/dataset"])
def test_sbd_is_found_in_the_usual_places(tmp_path: Path, where: str) -> None:
    sbd_tree(tmp_path / where, ["m"], ["n"])
    assert len(open_data(f"sbd={tmp_path}", "sbd-train")) == 1


def test_the_photos_of_voc_will_do(root: Path, base: Path, voc: Path) -> None:
    (base / "img").rename(base / "elsewhere")
    for name in "mn":
        write_photo(voc / "JPEGImages" / f"{name}.jpg")
    assert names(sbd.open_sbd(root, "train")) == ["m", "a"]
    with pytest.raises(BadInput, match="img: no such folder"):
        sbd.open_sbd(base, "sbd-train")


def test_wrong_roots_and_splits_are_told(root: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no SBD .* looked for inst or cls, found nothing"):
        sbd.open_sbd(tmp_path / "empty", "train")
    with pytest.raises(BadInput, match="no split 'test': there is train, val, sbd-train, sbd-val"):
        sbd.open_sbd(root, "test")
    with pytest.raises(BadInput, match="no split 'test': there is sbd-train, sbd-val"):
        sbd.open_sbd(base, "test")


def test_half_a_download_is_told(root: Path, base: Path) -> None:
    (base / "inst").rename(base / "elsewhere")
    with pytest.raises(BadInput, match=r"inst: no such folder: unpack benchmark\.tgz"):
        sbd.open_sbd(root, "train")
    (base / "val.txt").unlink()
    with pytest.raises(BadInput, match=r"val\.txt: cannot be read"):
        sbd.splits(root)


def test_a_list_of_another_data_set_is_refused(root: Path, base: Path) -> None:
    write_list(base / "train_noval.txt", ["000032"])
    with pytest.raises(BadInput, match=r"train_noval\.txt: names no image of .*the list of VOC"):
        sbd.splits(root)


@pytest.mark.parametrize(
    ("missing", "kind"),
    [("img/m.jpg", "labels without a photo"), ("inst/m.mat", "photos without a label")],
)
def test_what_is_missing_is_named_or_left_out(base: Path, missing: str, kind: str) -> None:
    (base / missing).unlink()
    with pytest.raises(BadInput, match=f"{missing}: missing"):
        sbd.open_sbd(base, "sbd-train")
    faults: list[Fault] = []
    assert names(sbd.open_sbd(base, "sbd-train", faults.append)) == ["v"]
    assert [fault.kind for fault in faults] == [kind]


def test_damaged_labels_are_told_when_they_are_read(base: Path) -> None:
    path = base / "inst" / "m.mat"
    path.write_bytes(path.read_bytes()[:200])
    source = sbd.open_sbd(base, "sbd-train")
    with pytest.raises(BadInput, match=r"m\.mat: damaged or cut off"):
        source[0]
    write_label_map(path, IDS)
    with pytest.raises(BadInput, match=r"m\.mat: holds no GTinst"):
        source[0]


# --- VOC with the labels of SBD ---------------------------------------------------------------


def test_train_aug_is_voc_train_and_sbd_without_voc_val(root: Path) -> None:
    for name in ("train_aug", "train", "trainaug"):
        assert names(voc_aug.open_voc_aug(root, name)) == ["a", "b", "m", "n"]
    assert names(voc_aug.open_voc_aug(root, "val")) == ["v"]
    assert names(voc_aug.open_voc_aug(root, "trainval_aug")) == ["a", "b", "m", "n", "v"]
    assert names(voc_aug.open_voc_aug(root, "trainval")) == ["a", "b", "v"]
    counts = {"train_aug": 4, "val": 1, "trainval_aug": 5, "trainval": 3}
    assert voc_aug.splits(root) == counts


def test_what_voc_labels_is_read_from_voc_and_the_rest_from_sbd(root: Path) -> None:
    source = voc_aug.open_voc_aug(root, "trainval_aug")
    assert source.labels == VOC
    has_border = {source.name(i): bool((source[i].truth.ids == 0).any()) for i in range(5)}
    assert has_border == {
        "a.jpg": True,
        "b.jpg": True,
        "m.jpg": False,
        "n.jpg": False,
        "v.jpg": True,
    }
    for i in range(5):
        assert [r.class_id for r in source[i].truth.regions] == [0, PERSON, PERSON]


@pytest.mark.parametrize("name", ["train_aug.txt", "trainaug.txt"])
def test_a_list_that_is_there_wins(root: Path, voc: Path, name: str) -> None:
    lines = ["/JPEGImages/n.jpg /SegmentationClassAug/n.png", "b"]
    write_list(voc / "ImageSets" / "Segmentation" / name, lines)
    assert names(voc_aug.open_voc_aug(root, "train_aug")) == ["n", "b"]


@pytest.mark.parametrize("kept", ["mnvab", "mnva"])
def test_converted_maps_serve_without_sbd(root: Path, voc: Path, base: Path, kept: str) -> None:
    base.parent.rename(root / "elsewhere")
    for name in kept:
        write_class_map(voc / "SegmentationClassAug" / f"{name}.png", class_map())
        write_photo(voc / "JPEGImages" / f"{name}.jpg")
    source = voc_aug.open_voc_aug(voc, "train_aug")
    assert names(source) == ["a", "b", "m", "n"]
    assert not source.labels.is_thing.any()
    assert [region.class_id for region in source[2].truth.regions] == [0, PERSON]
    assert [(source[i].truth.ids == 0).any() for i in range(4)] == [True, True, False, False]


def test_without_object_maps_sbd_is_read_as_class_maps(root: Path, voc: Path) -> None:
    (voc / "SegmentationObject").rename(voc / "elsewhere")
    source = voc_aug.open_voc_aug(root, "train_aug")
    assert not source.labels.is_thing.any()
    assert np.array_equal(source.labels.semantic(source[2].truth), class_map())
    assert [len(source[i].truth.regions) for i in range(4)] == [2, 2, 2, 2]


@pytest.mark.parametrize("where", [*BELOW, "VOCdevkit/VOCaug/dataset"])
def test_voc_and_sbd_are_found_together(tmp_path: Path, where: str) -> None:
    voc_tree(tmp_path / "VOCdevkit" / "VOC2012", VOC_LISTS)
    sbd_tree(tmp_path / where, SBD_TRAIN, SBD_VAL)
    assert len(open_data(f"voc-aug={tmp_path}", "train")) == 4


def test_another_year_beside_it_does_not_matter(root: Path) -> None:
    voc_tree(root / "VOCdevkit" / "VOC2007", {"train": ["000032"]})
    assert len(voc_aug.open_voc_aug(root, "train")) == 4


def test_readers_can_be_sent_to_another_process(root: Path) -> None:
    for source in (sbd.open_sbd(root, "train"), voc_aug.open_voc_aug(root, "train")):
        again = pickle.loads(pickle.dumps(source.read))
        assert again(source.entries[0], lambda _: None).regions == source[0].truth.regions


def test_without_sbd_one_line_says_where_it_was_looked_for(root: Path, base: Path) -> None:
    base.parent.rename(root / "elsewhere")
    with pytest.raises(BadInput, match=r"no SBD: looked for benchmark_RELEASE/dataset, .*Aug"):
        voc_aug.open_voc_aug(root, "train")


def test_without_voc_2012_it_is_refused(root: Path, voc: Path) -> None:
    voc.rename(voc.with_name("VOC2007"))
    with pytest.raises(BadInput, match="holds VOC2007, not VOC2012"):
        voc_aug.splits(root)


def test_an_unknown_split_names_the_three(root: Path) -> None:
    with pytest.raises(BadInput, match="there is train_aug, val, trainval_aug"):
        voc_aug.open_voc_aug(root, "test")


@pytest.mark.parametrize(
    "missing",
    [
        "VOCdevkit/VOC2012/SegmentationClass/a.png",
        "VOCdevkit/VOC2012/SegmentationObject/a.png",
        "benchmark_RELEASE/dataset/inst/m.mat",
    ],
)
def test_labels_that_are_missing_are_named_and_never_replaced(root: Path, missing: str) -> None:
    (root / missing).unlink()
    with pytest.raises(BadInput, match=f"{missing}: missing"):
        voc_aug.open_voc_aug(root, "train")
    faults: list[Fault] = []
    assert len(voc_aug.open_voc_aug(root, "train", faults.append)) == 3
    assert [fault.kind for fault in faults] == ["photos without a label"]


def test_missing_maps_and_photos_are_named(root: Path, voc: Path, base: Path) -> None:
    (voc / "SegmentationObject").rename(voc / "elsewhere")
    (base / "cls" / "n.mat").unlink()
    with pytest.raises(BadInput, match=r"cls/n\.mat: missing"):
        voc_aug.open_voc_aug(root, "train")
    write_class_map(voc / "SegmentationClassAug" / "m.png", class_map())
    with pytest.raises(BadInput, match=r"SegmentationClassAug/n\.png: missing"):
        voc_aug.open_voc_aug(root, "train")
    (base / "img" / "m.jpg").unlink()
    with pytest.raises(BadInput, match=r"JPEGImages/m\.jpg: missing"):
        voc_aug.open_voc_aug(root, "train")


def test_without_any_photos_the_folder_is_named(root: Path, voc: Path, base: Path) -> None:
    (base / "img").rename(base / "elsewhere")
    (voc / "JPEGImages").rename(voc / "elsewhere")
    with pytest.raises(BadInput, match="JPEGImages: no such folder: unpack VOCtrainval"):
        voc_aug.open_voc_aug(root, "train")
