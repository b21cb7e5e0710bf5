"""Every form of labels, as truth and as prediction."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from test_score import run

from atrous.formats import write_classes
from atrous.formats.ade20k import write_ade20k
from atrous.formats.cityscapes import write_cityscapes
from atrous.formats.instances import instances_json, results_json
from atrous.formats.kitti import write_kitti
from atrous.formats.listing import ImageKey
from atrous.formats.mapillary import read_mapillary_classes, write_mapillary
from atrous.formats.masklist import write_mask_list
from atrous.formats.rle import encode_mask
from atrous.formats.segmentation import segmentation_json
from atrous.formats.voc import write_voc
from atrous.labels import ADE20K, CITYSCAPES, VOC, LabelSpace
from atrous.score import Place, Rules, open_prediction, open_truth, score
from atrous.score.opening import recognised
from atrous.types import BadInput, Instance, Instances, Labelled, Region

KEYS = ("aachen_000000_000019", "bonn_000001_000019")


def scene(labels: LabelSpace, *, shift: int = 0, score: float | None = None) -> Labelled:
    """Two things of the first class of things on the first class of stuff."""
    thing, stuff = int(np.argmax(labels.is_thing)), int(np.argmin(labels.is_thing))
    ids = np.full((12, 20), 1, np.int32)
    ids[2:8, 1 + shift : 7 + shift], ids[4:11, 11:17] = 2, 3
    things = (Region(i, thing, score=score) for i in (2, 3))
    return Labelled(ids, (Region(1, stuff), *things))


def as_voc(root: Path, labelled: Labelled) -> None:
    classes, objects = root / "SegmentationClass", root / "SegmentationObject"
    for key in KEYS:
        write_voc(classes / f"{key}.png", objects / f"{key}.png", labelled)


def as_ade20k(root: Path, labelled: Labelled) -> None:
    classes, instances = root / "annotations", root / "annotations_instance"
    for key in KEYS:
        write_ade20k(classes / f"{key}.png", instances / f"{key}.png", labelled)


def as_cityscapes(root: Path, labelled: Labelled) -> None:
    for key in KEYS:
        path = root / key.partition("_")[0] / f"{key}_gtFine_instanceIds.png"
        write_cityscapes(path, labelled)


def as_kitti(root: Path, labelled: Labelled) -> None:
    (root / "semantic").mkdir(parents=True)
    for key in KEYS:
        write_kitti(root / "instance" / f"{key}.png", labelled)


def mapillary_config(root: Path) -> Path:
    rows = [
        {
            "name": n,
            "readable": n,
            "color": [i, i, i],
            "instances": n == "Car",
            "evaluate": n != "-",
        }
        for i, n in enumerate(("Sky", "Car", "-"))
    ]
    root.mkdir(parents=True, exist_ok=True)
    path = root / "config_v2.0.json"
    path.write_text(json.dumps({"labels": rows}))
    return path


def as_mapillary(root: Path, labelled: Labelled) -> None:
    labels, ignored = read_mapillary_classes(mapillary_config(root))
    for key in KEYS:
        path = root / "v2.0" / "instances" / f"{key}.png"
        write_mapillary(path, labelled, labels, void=max(ignored))


def mapillary_labels(root: Path) -> LabelSpace:
    return read_mapillary_classes(mapillary_config(root))[0]


WRITERS: list[tuple[str, Any, Any]] = [
    ("voc", as_voc, lambda _: VOC),
    ("ade20k", as_ade20k, lambda _: ADE20K),
    ("cityscapes", as_cityscapes, lambda _: CITYSCAPES),
    ("kitti", as_kitti, lambda _: CITYSCAPES),
    ("mapillary", as_mapillary, mapillary_labels),
]


@pytest.mark.parametrize(("name", "write", "labels"), WRITERS, ids=[n for n, *_ in WRITERS])
def test_folders_are_recognised_and_scored_with_their_instances(
    tmp_path: Path, name: str, write: Any, labels: Any
) -> None:
    space = labels(tmp_path / "gt")
    write(tmp_path / "gt", scene(space))
    write(tmp_path / "pred", scene(space, shift=1))
    assert recognised(tmp_path / "gt") == name
    answer = run(tmp_path / "gt", tmp_path / "pred").scores.to_json()
    assert answer["images"] == 2
    assert answer["panoptic"]["things"] == {
        "pq": pytest.approx((30 / 42 + 1) / 2),
        "sq": pytest.approx((30 / 42 + 1) / 2),
        "rq": 1,
        "classes": 1,
    }


def class_maps(folder: Path, labels: LabelSpace, *, shift: int = 0, void: int = 255) -> Path:
    for key in KEYS:
        class_map = labels.semantic(scene(labels, shift=shift))
        write_classes(folder / f"{key}.png", class_map, labels, void=void)
    return folder


@pytest.mark.parametrize("form", ["voc", "cityscapes", "ade20k", "classes"])
def test_class_maps_are_scored_by_class_alone(tmp_path: Path, form: str) -> None:
    labels = {"cityscapes": CITYSCAPES, "ade20k": ADE20K}.get(form, VOC)
    void = 255 if labels is VOC else 0
    folders = [
        class_maps(tmp_path / name, labels, shift=shift, void=void)
        for name, shift in (("gt", 0), ("pred", 1))
    ]
    places = [Place(f, format=form, classes="voc" if form == "classes" else None) for f in folders]
    truth = open_truth(places[0])
    answer = score(truth, open_prediction(places[1], truth)).scores.to_json()
    assert set(answer) & {"panoptic", "covering", "instance"} == set()
    assert answer["semantic"]["pixel_accuracy"] == pytest.approx(1 - 12 / 240)


def test_class_maps_may_be_scored_against_segments(tmp_path: Path) -> None:
    as_cityscapes(tmp_path / "gt", scene(CITYSCAPES))
    truth = open_truth(Place(tmp_path / "gt"))
    folder = class_maps(tmp_path / "pred", CITYSCAPES, shift=1, void=0)
    for place in (Place(folder), Place(folder, format="classes")):
        answer = score(truth, open_prediction(place, truth)).scores.to_json()
        assert answer["semantic"]["pixel_accuracy"] == pytest.approx(1 - 12 / 240)
        assert "panoptic" not in answer


def test_train_ids_in_place_of_label_ids_are_refused(tmp_path: Path) -> None:
    as_cityscapes(tmp_path / "gt", scene(CITYSCAPES))
    truth = open_truth(Place(tmp_path / "gt"))
    for key in KEYS:
        path = tmp_path / "pred" / f"{key}_pred.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.full((12, 20), 255, np.uint8)).save(path)
    prediction = open_prediction(Place(tmp_path / "pred", format="cityscapes"), truth)
    with pytest.raises(BadInput, match=r"aachen.*_pred\.png: holds \[255\].*train ids"):
        score(truth, prediction)


def test_results_of_cityscapes_are_scored_as_masks(tmp_path: Path) -> None:
    as_cityscapes(tmp_path / "gt", scene(CITYSCAPES))
    labelled = scene(CITYSCAPES, score=0.5)
    for key in KEYS:
        masks = (
            Instance(r.id, r.class_id, encode_mask(labelled.ids == r.id), r.score)
            for r in labelled.regions[1:]
        )
        write_mask_list(tmp_path / "pred" / f"{key}_pred.txt", Instances((12, 20), tuple(masks)))
    truth = open_truth(Place(tmp_path / "gt"))
    prediction = open_prediction(Place(tmp_path / "pred", format="cityscapes"), truth)
    assert score(truth, prediction).scores.to_json()["instance"]["map_vol"] == 1
    flat = score(truth, prediction, Rules(flat=True)).scores.to_json()
    assert flat["panoptic"]["things"]["pq"] == 1


LABELS = LabelSpace(tuple(label for label in VOC.labels if label.is_thing))


def instance_files(root: Path, *, overlap: bool = False) -> tuple[Path, Path]:
    """Truth and results of two images; with `overlap` the masks of the results share pixels."""
    files = []
    for name, write in (("gt", instances_json), ("pred", results_json)):
        labelled = scene(LABELS)
        masks = [labelled.ids == i for i in (2, 3)]
        if overlap and name == "pred":
            masks[1] = masks[1] | masks[0]
        images = [
            (
                ImageKey(i, f"{i - 1}.jpg", (12, 20)),
                Instances((12, 20), tuple(instance(10 * i + j, m) for j, m in enumerate(masks))),
            )
            for i in (1, 2)
        ]
        path = root / f"{name}.json"
        path.write_text(json.dumps(write(images, LABELS)))
        files.append(path)
    return files[0], files[1]


def instance(number: Any, mask: Any) -> Instance:
    return Instance(number, 0, encode_mask(mask), 0.9)


def test_coco_instances_are_scored_as_masks_that_may_overlap(tmp_path: Path) -> None:
    answer = run(*instance_files(tmp_path, overlap=True)).scores.to_json()
    assert set(answer) >= {"instance"}
    assert set(answer) & {"panoptic", "coco", "semantic"} == set()
    assert answer["per_class"][0]["ap_50"] == 1
    assert answer["per_class"][0]["ap_70"] == 0.25


def test_coco_gives_its_own_ap(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    answer = run(*instance_files(tmp_path), coco=True).scores.to_json()
    assert answer["coco"]["ap"] == pytest.approx(1)
    assert answer["per_class"][0]["coco_ap"] == pytest.approx(1)


def test_masks_laid_flat_must_not_overlap(tmp_path: Path) -> None:
    sides = instance_files(tmp_path, overlap=True)
    words = r"pred\.json: image 1 \(0\.jpg\): .* 36 "
    with pytest.raises(BadInput, match=words):
        run(*sides, flat=True)
    outcome = run(*sides, flat=True, lenient=True)
    assert outcome.skipped.counts == {"images with masks over each other": 2}
    assert outcome.scores.panoptic is not None


def test_masks_laid_flat_are_segments(tmp_path: Path) -> None:
    assert run(*instance_files(tmp_path), flat=True).scores.to_json()["panoptic"]["all"]["pq"] == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (None, "of unknown format: name it"),
        ("cocopanoptic", "format 'cocopanoptic': no such format"),
        ("classes", "give --classes"),
        ("coco-panoptic", "is a folder, but coco-panoptic is a JSON file"),
        ("mapillary", "config_v1.2.json"),
    ],
)
def test_folders_that_say_nothing_are_refused(tmp_path: Path, form: str | None, words: str) -> None:
    class_maps(tmp_path / "gt", VOC)
    with pytest.raises(BadInput, match=words):
        open_truth(Place(tmp_path / "gt", format=form))


def test_a_missing_object_map_is_named(tmp_path: Path) -> None:
    as_voc(tmp_path, scene(VOC))
    (tmp_path / "SegmentationObject" / f"{KEYS[1]}.png").unlink()
    with pytest.raises(BadInput, match=rf"SegmentationObject/{KEYS[1]}\.png: missing"):
        open_truth(Place(tmp_path))


def test_masks_against_classes_are_nothing_to_compare(tmp_path: Path) -> None:
    _, results = instance_files(tmp_path)
    folder = class_maps(tmp_path / "gt", VOC)
    truth = open_truth(Place(folder, format="voc"))
    with pytest.raises(BadInput, match="it needs COCO instances as truth"):
        open_prediction(Place(results), truth)


def test_public_predictions_on_voc_have_the_published_scores(shared: Path) -> None:
    root = shared / "data" / "voc2007_seg44"
    semantic = run(root, root / "public_model_prediction").scores.to_json()["semantic"]
    assert semantic["pixel_accuracy"] == pytest.approx(0.9559, abs=5e-5)
    assert semantic["miou"] == pytest.approx(0.566, abs=5e-4)


def test_false_alarms_beside_all_masks_count_when_laid_flat(tmp_path: Path) -> None:
    truth, results = instance_files(tmp_path)
    rows = json.loads(results.read_text())
    spurious = np.zeros((12, 20), bool)
    spurious[9:, 1:6] = True
    mask = encode_mask(spurious)
    size_hw = (12, 20)
    rows.append(
        {"image_id": 1, "category_id": rows[0]["category_id"], "score": 0.4}
        | {"segmentation": segmentation_json(mask, size_hw)}
    )
    results.write_text(json.dumps(rows))
    answer = run(truth, results, flat=True).scores.to_json()
    assert answer["per_class"][0]["fp"] == 1
    assert answer["per_class"][-1]["name"] == "background"
    assert answer["semantic"]["pixel_accuracy"] == pytest.approx(1 - 15 / 480)


def test_boxes_of_results_say_how_large_they_are_as_in_coco(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    truth, results = instance_files(tmp_path)
    rows = json.loads(results.read_text())
    for row in rows:
        row["bbox"] = [0, 0, 50, 50]
    spoilt = rows[0] | {"score": 0.95, "segmentation": rows[1]["segmentation"]}
    results.write_text(json.dumps([spoilt, *rows]))
    answer = run(truth, results, coco=True).scores.to_json()["coco"]
    assert answer["ap_small"] == official(truth, results)["ap_small"]
    assert answer["ap"] == pytest.approx(official(truth, results)["ap"], abs=1e-12)


def official(truth: Path, results: Path) -> dict[str, float]:
    """What pycocotools says of two files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO(str(truth))
        judge = COCOeval(data, data.loadRes(str(results)), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {"ap": float(judge.stats[0]), "ap_small": float(judge.stats[3])}


@pytest.mark.parametrize("config", ["config_v1.2.json", "config_v2.0.json"])
def test_mapillary_takes_the_list_that_is_named(tmp_path: Path, config: str) -> None:
    labels = mapillary_labels(tmp_path / "gt")
    as_mapillary(tmp_path / "gt", scene(labels))
    named = tmp_path / "elsewhere" / config
    named.parent.mkdir()
    mapillary_config(tmp_path / "gt").rename(named)
    truth = open_truth(Place(tmp_path / "gt", format="mapillary", classes=str(named)))
    assert [label.name for label in truth.labels.labels] == ["Sky", "Car"]
    assert truth.holds == "segments"


def test_other_texts_do_not_make_a_cityscapes_folder_one_of_masks(tmp_path: Path) -> None:
    as_cityscapes(tmp_path / "gt", scene(CITYSCAPES))
    (tmp_path / "gt" / "license_of_data.txt").touch()
    truth = open_truth(Place(tmp_path / "gt"))
    assert open_prediction(Place(tmp_path / "gt"), truth).holds == "segments"


def test_a_second_folder_is_refused_where_nothing_is_read_from_it(tmp_path: Path) -> None:
    as_cityscapes(tmp_path / "gt", scene(CITYSCAPES))
    with pytest.raises(BadInput, match="cityscapes has no files in a second folder"):
        open_truth(Place(tmp_path / "gt", folder=tmp_path))
