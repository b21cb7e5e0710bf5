from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.data.coco import open_coco, splits
from atrous.data.source import FileSource, Source, subset
from atrous.formats import write_image, write_panoptic
from atrous.labels import distinct_colours
from atrous.types import BadInput, Fault, Region

IDS = np.array([[0, 300, 300], [70000, 300, 0]], np.int32)


def two_images() -> dict[str, Any]:
    info = [
        {"id": 300, "category_id": 18, "area": 3, "iscrowd": 0},
        {"id": 70000, "category_id": 5, "area": 1, "iscrowd": 1},
    ]
    return {
        "images": [{"id": i, "file_name": f"{n}.jpg"} for i, n in enumerate("ab")],
        "annotations": [
            {"image_id": i, "file_name": f"{n}.png", "segments_info": info}
            for i, n in enumerate("ab")
        ],
        "categories": [
            {"id": 18, "name": "dog", "isthing": 1, "color": [9, 8, 7]},
            {"id": 5, "name": "sky", "isthing": 0},
        ],
    }


def fill(images: Path, pngs: Path) -> None:
    for value, name in enumerate("ab"):
        write_image(images / f"{name}.jpg", np.full((2, 3, 3), value, np.uint8))
        write_panoptic(pngs / f"{name}.png", IDS)


def write(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    write(tmp_path / "val.json", two_images())
    fill(tmp_path / "val", tmp_path / "val_png")
    return tmp_path


def official(root: Path, *, images: str, pngs: str, year: str = "2017") -> Path:
    write(root / "annotations" / f"panoptic_val{year}.json", two_images())
    fill(root / f"{images}val{year}", root / f"{pngs}panoptic_val{year}")
    return root


def refusal(root: Path, split: str = "val") -> str:
    with pytest.raises(BadInput) as error:
        open_coco(root, split)
    text = str(error.value)
    assert "\n" not in text
    assert str(root) in text
    return text


def read_refusal(source: Source, index: int = 0) -> str:
    with pytest.raises(BadInput) as error:
        source[index]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_flat_tree_opens(flat: Path) -> None:
    source: Source = open_coco(flat, "val")
    assert len(source) == 2
    sample = source[1]
    assert sample.name == source.name(1) == "b.jpg"
    assert sample.image.tolist() == np.ones((2, 3, 3)).tolist()
    np.testing.assert_array_equal(sample.truth.ids, IDS)
    assert sample.truth.regions == (Region(300, 0), Region(70000, 1, is_crowd=True))


@pytest.mark.parametrize("images", ["", "images/"])
@pytest.mark.parametrize("pngs", ["", "annotations/"])
@pytest.mark.parametrize("split", ["val", "val2017"])
def test_official_tree_opens(tmp_path: Path, images: str, pngs: str, split: str) -> None:
    source = open_coco(official(tmp_path, images=images, pngs=pngs), split)
    assert [source[i].name for i in range(2)] == ["a.jpg", "b.jpg"]


def test_class_id_is_the_place_in_the_list_of_categories(flat: Path) -> None:
    labels = open_coco(flat, "val").labels
    assert [label.name for label in labels.labels] == ["dog", "sky"]
    assert labels.class_ids() == {18: 0, 5: 1}
    assert labels.is_thing.tolist() == [True, False]


def test_colours_are_those_of_the_json_or_distinct_ones(flat: Path) -> None:
    colours = [label.colour for label in open_coco(flat, "val").labels.labels]
    assert colours == [(9, 8, 7), distinct_colours(2)[1]]


def test_a_sample_beyond_the_end_does_not_exist(flat: Path) -> None:
    with pytest.raises(IndexError):
        open_coco(flat, "val")[2]


def test_opening_reads_no_image(flat: Path) -> None:
    for path in [*flat.glob("val/*"), *flat.glob("val_png/*")]:
        path.write_bytes(b"")
    assert open_coco(flat, "val").name(0) == "a.jpg"


def test_a_source_goes_to_worker_processes(flat: Path) -> None:
    source = pickle.loads(pickle.dumps(open_coco(flat, "val")))
    np.testing.assert_array_equal(source[1].truth.ids, IDS)


def test_splits_are_json_files_with_a_folder(flat: Path) -> None:
    write(flat / "val_instances.json", {})
    write(flat / "notes.json", {})
    official(flat, images="", pngs="")
    write(flat / "annotations" / "panoptic_coco_categories.json", [])
    assert splits(flat) == {"val": 2, "val2017": 2}


def test_exact_split_is_preferred_to_one_with_a_year(flat: Path) -> None:
    official(flat, images="", pngs="")
    assert open_coco(flat, "val").entries[0].image == flat / "val" / "a.jpg"


def test_missing_split_lists_those_that_exist(tmp_path: Path) -> None:
    official(tmp_path, images="", pngs="")
    assert "no split 'train': choose one of val2017" in refusal(tmp_path, "train")


def test_split_of_two_years_asks_which(tmp_path: Path) -> None:
    official(tmp_path, images="", pngs="")
    official(tmp_path, images="", pngs="", year="2018")
    assert "2 splits are a 'val': choose one of val2017, val2018" in refusal(tmp_path)


def test_folder_without_a_data_set_is_refused(tmp_path: Path) -> None:
    assert "no COCO panoptic data set: expected SPLIT.json" in refusal(tmp_path)


def test_missing_root_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "gone")


@pytest.mark.parametrize(("folder", "what"), [("val", "images"), ("val_png", "label PNGs")])
def test_missing_folder_is_named(flat: Path, folder: str, what: str) -> None:
    (flat / folder).rename(flat / "elsewhere")
    assert f"{flat / folder}: no such folder: put the {what} of" in refusal(flat)


def test_label_pngs_that_are_still_zipped_are_to_be_unzipped(tmp_path: Path) -> None:
    official(tmp_path, images="", pngs="annotations/")
    pngs = tmp_path / "annotations" / "panoptic_val2017"
    pngs.rename(tmp_path / "elsewhere")
    pngs.with_suffix(".zip").touch()
    assert f"unzip {pngs}.zip" in refusal(tmp_path)


@pytest.mark.parametrize("folder", ["val/b.jpg", "val_png/b.png"])
def test_missing_file_is_named_when_the_set_is_opened(flat: Path, folder: str) -> None:
    (flat / folder).unlink()
    text = refusal(flat)
    assert (
        text == f"{flat / folder}: missing, but {flat / 'val.json'} lists it: add it or take it out"
    )


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("val/b.jpg", "labels without a photo"), ("val_png/b.png", "photos without a label")],
)
def test_a_lenient_reader_hears_of_a_missing_file_and_goes_on(
    flat: Path, folder: str, kind: str
) -> None:
    (flat / folder).unlink()
    faults: list[Fault] = []
    source = open_coco(flat, "val", faults.append)
    assert [source[i].name for i in range(len(source))] == ["a.jpg"]
    assert [fault.kind for fault in faults] == [kind]


def test_photos_in_folders_of_their_own_are_found(flat: Path) -> None:
    data = two_images()
    for image in data["images"]:
        image["file_name"] = f"city/{image['file_name']}"
    write(flat / "val.json", data)
    photos = flat / "val"
    photos.rename(flat / "city")
    photos.mkdir()
    (flat / "city").rename(photos / "city")
    source = open_coco(flat, "val")
    assert [source[i].name for i in range(2)] == ["city/a.jpg", "city/b.jpg"]


def test_json_without_images_is_refused(flat: Path) -> None:
    write(flat / "val.json", two_images() | {"images": [], "annotations": []})
    assert "lists no image with an annotation" in refusal(flat)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "the file is empty"), ("{", "not whole JSON"), ("[]", "no list 'images'")],
)
def test_what_is_no_coco_json_is_refused(flat: Path, text: str, told: str) -> None:
    (flat / "val.json").write_text(text)
    assert told in refusal(flat)


def test_image_and_label_of_different_size_are_refused(flat: Path) -> None:
    write_image(flat / "val" / "a.jpg", np.zeros((3, 2, 3), np.uint8))
    text = read_refusal(open_coco(flat, "val"))
    assert text.startswith(f"{flat / 'val_png' / 'a.png'}: the label is 2x3 but ")
    assert "a.jpg is 3x2" in text


def test_disagreement_of_png_and_json_is_refused(flat: Path) -> None:
    write_panoptic(flat / "val_png" / "a.png", np.where(IDS == 300, 301, IDS))
    text = read_refusal(open_coco(flat, "val"))
    assert "ids 301 have pixels but no entry" in text
    assert "ids 300 have an entry but no pixels" in text


def broken(flat: Path, part: str, value: object) -> str:
    write(flat / "val.json", two_images() | {part: value})
    return refusal(flat)


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_missing_part_of_the_json_is_named(flat: Path, part: str) -> None:
    assert f"no list '{part}'" in broken(flat, part, None)


@pytest.mark.parametrize(
    "category",
    [
        {"id": 1, "name": "dog"},
        {"id": 1, "name": "dog", "isthing": 1, "color": [1, 2]},
        {"id": 1, "name": "dog", "isthing": 1, "color": [1, 2, 256]},
        "dog",
    ],
)
def test_category_of_another_form_is_refused(flat: Path, category: object) -> None:
    assert "name and isthing" in broken(flat, "categories", [category])


def test_category_id_that_stands_twice_is_refused_with_the_file(flat: Path) -> None:
    text = broken(flat, "categories", [{"id": 1, "name": n, "isthing": 1} for n in "ab"])
    assert "val.json: category ids [1]" in text


def test_json_of_instances_is_refused(flat: Path) -> None:
    instance = {"image_id": 0, "id": 1, "bbox": [0, 0, 1, 1], "category_id": 18}
    assert "give panoptic, not instance, JSON" in broken(flat, "annotations", [instance])


def test_image_without_annotation_is_refused(flat: Path) -> None:
    text = broken(flat, "annotations", two_images()["annotations"][:1])
    assert "1 images have no annotation, b.jpg the first" in text


def test_two_annotations_of_one_image_are_refused(flat: Path) -> None:
    both = two_images()["annotations"]
    assert "a.png is of image 0, which" in broken(flat, "annotations", [*both, both[0]])


def test_image_id_that_stands_twice_is_refused(flat: Path) -> None:
    images = two_images()["images"]
    assert "an image id stands twice" in broken(flat, "images", [*images, images[0]])


def test_images_without_a_name_are_refused(flat: Path) -> None:
    assert "each image needs id and file_name" in broken(flat, "images", [{"id": 1}])


def test_subset_is_a_view_in_its_own_order(flat: Path) -> None:
    whole = open_coco(flat, "val")
    part: Source = subset(whole, [1, 0, 1])
    assert [part.name(i) for i in range(len(part))] == ["b.jpg", "a.jpg", "b.jpg"]
    assert part[0].name == "b.jpg"
    assert part.labels is whole.labels


@pytest.mark.parametrize("index", [-1, 2])
def test_subset_of_what_does_not_exist_is_refused(flat: Path, index: int) -> None:
    with pytest.raises(ValueError, match=f"no sample {index} among 2"):
        subset(open_coco(flat, "val"), [index])


# --- the sample data beside the repository ----------------------------------------------------


def read_some(source: FileSource, count: int = 4) -> None:
    """Reading is strict: ids, entries and areas agree, or it raises."""
    for index in range(0, len(source), max(1, len(source) // count)):
        sample = source[index]
        assert sample.image.shape[:2] == sample.truth.ids.shape
        present = set(np.unique(sample.truth.ids)) - {0}
        assert present == {region.id for region in sample.truth.regions}


def test_official_sample_reads_with_void_and_crowds(shared: Path) -> None:
    source = open_coco(shared / "data" / "coco_panoptic_sample", "sample")
    assert len(source.labels) == 133
    assert source.labels.void == 255
    assert int(source.labels.is_thing.sum()) == 80
    read_some(source)
    regions = [region for i in range(2) for region in source[i].truth.regions]
    assert len(regions) == 50
    assert any(region.is_crowd for region in regions)


@pytest.mark.parametrize(
    ("name", "split", "count", "classes"),
    [
        ("car_parts_panoptic", "train", 400, 9),
        ("car_parts_panoptic", "val", 50, 9),
        ("dsb2018", "train", 529, 2),
        ("dsb2018", "val", 60, 2),
        ("coco_things", "train", 177, 21),
    ],
)
def test_sample_sets_open_and_agree(
    shared: Path, name: str, split: str, count: int, classes: int
) -> None:
    source = open_coco(shared / "data" / name, split)
    assert (len(source), len(source.labels)) == (count, classes)
    read_some(source)


def test_splits_of_the_sample_sets_are_known(shared: Path) -> None:
    data = shared / "data"
    assert splits(data / "car_parts_panoptic") == {"train": 400, "val": 50}
    assert splits(data / "dsb2018") == {"train": 529, "val": 60}
    assert splits(data / "coco_things") == {"train": 177}
    assert splits(data / "coco_panoptic_sample") == {"sample": 2}
