"""Our scores against those of the official and the common implementations."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import peers
from atrous.formats import read_categories, regions_of, segment_rows, write_panoptic
from atrous.labels import LabelSpace, unnamed
from atrous.metrics.covering import ParsingCovering
from atrous.metrics.panoptic import PanopticQuality, PanopticScore
from atrous.metrics.semantic import ConfusionMatrix
from atrous.types import Labelled, Region

GOLDEN = json.loads((Path(__file__).parent / "panopticapi.json").read_text())
"""Written by benchmarks/panopticapi_golden.py."""
LABELS = read_categories([c | {"name": str(c["id"])} for c in GOLDEN["categories"]], "golden")
close = partial(pytest.approx, rel=0, abs=1e-9)


def labelled(side: dict[str, Any]) -> Labelled:
    rows = segment_rows(side["segments_info"], "golden")
    return Labelled(id_map(side), regions_of(rows, LABELS.class_ids()))


def id_map(side: dict[str, Any]) -> NDArray[np.int32]:
    """The ids of a side, a digit a pixel."""
    return np.array([list(row) for row in side["ids"]]).astype(np.int32)


def scored(*images: dict[str, Any]) -> PanopticQuality:
    quality = PanopticQuality(LABELS)
    for image in images:
        quality.update(labelled(image["truth"]), labelled(image["prediction"]))
    return quality


def counts_of(score: PanopticScore) -> list[tuple[int, int, int]]:
    return [(row.tp, row.fp, row.fn) for row in score.per_class]


@pytest.mark.parametrize("image", GOLDEN["images"], ids=str)
def test_every_image_has_the_counts_of_panopticapi(image: dict[str, Any]) -> None:
    quality = scored(image)
    for class_id, label in enumerate(LABELS.labels):
        iou, *counts = image["counts"].get(str(label.file_id), [0, 0, 0, 0])
        assert [quality.tp[class_id], quality.fp[class_id], quality.fn[class_id]] == counts
        assert quality.iou[class_id] / 2**96 == close(iou)


@pytest.mark.parametrize("part", ["all", "things", "stuff"])
def test_the_means_are_those_of_panopticapi(part: str) -> None:
    ours, theirs = getattr(scored(*GOLDEN["images"]).compute(), part), GOLDEN["means"][part]
    assert (ours.pq, ours.sq, ours.rq) == close((theirs["pq"], theirs["sq"], theirs["rq"]))
    assert ours.classes == theirs["n"]


def test_the_golden_images_hold_what_can_go_wrong() -> None:
    true = [i["truth"]["segments_info"] for i in GOLDEN["images"]]
    crowds = [[e["category_id"] for e in info if e["iscrowd"]] for info in true]
    assert any(len(c) > len(set(c)) for c in crowds)
    assert any(e["area"] == 1 for info in true for e in info)
    assert any(all(e["category_id"] >= 4 for e in info) for info in true)
    assert any(0 in id_map(i["truth"]) for i in GOLDEN["images"])


# Live, where a checkout is at hand


@pytest.fixture(scope="module")
def panopticapi() -> ModuleType:
    folder = os.environ.get("PANOPTICAPI")
    if not folder:
        pytest.skip("needs PANOPTICAPI, the folder of a checkout of panopticapi")
    sys.path.insert(0, folder)
    from panopticapi import evaluation

    assert isinstance(evaluation, ModuleType)
    return evaluation


@st.composite
def sides(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(0, 5))
    ids = draw(arrays(np.int32, (5, 6), elements=st.integers(0, count)))
    ids[:, :3] = ids[0, 0]
    info = [
        {
            "id": i,
            "category_id": draw(st.integers(1, 6)),
            "iscrowd": int(draw(st.booleans())),
            "area": int((ids == i).sum()),
        }
        for i in draw(st.permutations(range(1, count + 1)))
        if (ids == i).any()
    ]
    return {"ids": ["".join(map(str, row)) for row in ids.tolist()], "segments_info": info}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(truth=sides(), prediction=sides())
def test_drawn_images_have_the_counts_of_panopticapi(
    panopticapi: Any, tmp_path: Path, truth: dict[str, Any], prediction: dict[str, Any]
) -> None:
    annotations = []
    for name, side in (("truth", truth), ("prediction", prediction)):
        write_panoptic(tmp_path / name / "0.png", id_map(side))
        info = [dict(entry) for entry in side["segments_info"]]
        annotations.append({"image_id": 0, "file_name": "0.png", "segments_info": info})
    categories = {c["id"]: c for c in GOLDEN["categories"]}
    folders = str(tmp_path / "truth"), str(tmp_path / "prediction")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = panopticapi.pq_compute_single_core(0, [annotations], *folders, categories)
    ours = scored({"truth": truth, "prediction": prediction})
    for class_id, label in enumerate(LABELS.labels):
        wanted = theirs[label.file_id]
        counts = (ours.tp[class_id], ours.fp[class_id], ours.fn[class_id])
        assert counts == (wanted.tp, wanted.fp, wanted.fn)
        assert ours.iou[class_id] / 2**96 == close(wanted.iou)


TEAM = {
    **dict.fromkeys((47, 97, 133, 150, 174, 215, 244, 255), 1),
    198: 2,
    0: 0,
}
TEAM_COLOURS = {(0, 0, 0): 0, (0, 0, 255): 1, (255, 0, 0): 2}


def team(folder: Path) -> tuple[Labelled, Labelled]:
    """The test image of TensorFlow's DeepLab, its class 0 as void: classes 0 and 1 are left."""
    true, number = (
        np.asarray(PIL.Image.open(folder / f"team_{name}_instance.png").convert("L"), np.int32)
        for name in ("gt", "pred")
    )
    rgb = np.asarray(PIL.Image.open(folder / "team_pred_class.png").convert("RGB"))
    classes = np.zeros(true.shape, np.int32)
    for colour, class_id in TEAM_COLOURS.items():
        classes[(rgb == colour).all(-1)] = class_id
    predicted = np.where(classes > 0, classes * 256 + number, 0).astype(np.int32)
    true_classes = np.vectorize(TEAM.__getitem__, otypes=[np.int32])(true)
    true = np.where(true_classes > 0, true_classes * 256 + true, 0).astype(np.int32)
    regions = (
        tuple(Region(int(i), int(i) // 256 - 1) for i in np.unique(ids) if i)
        for ids in (true, predicted)
    )
    return Labelled(true, next(regions)), Labelled(predicted, next(regions))


def test_the_image_of_tensorflows_tests_has_the_published_scores() -> None:
    folder = os.environ.get("DEEPLAB2")
    if not folder:
        pytest.skip("needs DEEPLAB2, the folder of a checkout of deeplab2")
    truth, prediction = team(Path(folder) / "evaluation" / "testdata")
    quality, covering = PanopticQuality(unnamed(2)), ParsingCovering(unnamed(2))
    quality.update(truth, prediction)
    covering.update(truth, prediction)
    score = quality.compute()
    assert counts_of(score) == [(7, 0, 1), (1, 0, 0)]
    assert [x / 2**96 for x in quality.iou] == pytest.approx([5.26827, 0.54069], abs=1e-5)
    assert score.all.pq == pytest.approx(0.62156287, abs=1e-8)
    assert [x / 2**96 for x in covering.covered] == pytest.approx([39864.146, 3136], rel=1e-4)
    assert covering.area.tolist() == [56870, 5800]
    assert covering.compute().paper == pytest.approx(0.6208296732, abs=1e-9)


# torchmetrics, where its rules are ours: no crowds, no void


maps = arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


def stacked(labels: LabelSpace, classes: NDArray[np.uint8], number: NDArray[np.uint8]) -> Labelled:
    number = np.where(labels.is_thing[classes], number, 0)
    ids = (1 + classes.astype(np.int32) * 8 + number).astype(np.int32)
    return Labelled(ids, tuple(Region(int(i), (int(i) - 1) // 8) for i in np.unique(ids)))


@given(maps, maps, maps, maps)
def test_pq_without_void_is_that_of_torchmetrics(
    true: NDArray[np.uint8],
    true_number: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    predicted_number: NDArray[np.uint8],
) -> None:
    torch = pytest.importorskip("torch")
    theirs = peers.torchmetrics().detection.PanopticQuality(
        things={0, 1}, stuffs={2, 3}, return_per_class=True, return_sq_and_rq=True
    )
    predicted[:3], predicted_number[:3] = true[:3], true_number[:3]
    tensors = [
        torch.tensor(np.stack(x, -1)[None].astype(np.int64))
        for x in ((predicted, predicted_number), (true, true_number))
    ]
    theirs.update(*tensors)
    labels = read_categories(
        [{"id": i, "name": str(i), "isthing": int(i < 2)} for i in range(4)], "drawn"
    )
    quality = PanopticQuality(labels)
    quality.update(stacked(labels, true, true_number), stacked(labels, predicted, predicted_number))
    for ours, wanted in zip(
        quality.compute().per_class, theirs.compute().reshape(-1, 3).tolist(), strict=True
    ):
        if ours.tp + ours.fp + ours.fn:
            assert (ours.pq, ours.sq, ours.rq) == pytest.approx(wanted, abs=1e-6)


@given(maps, maps)
def test_confusion_matrix_is_that_of_torchmetrics(
    true: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> None:
    torch = pytest.importorskip("torch")
    classification = peers.torchmetrics().classification
    theirs = classification.MulticlassConfusionMatrix(4, ignore_index=3)
    theirs.update(torch.tensor(predicted.astype(np.int64)), torch.tensor(true.astype(np.int64)))
    ours = ConfusionMatrix(3, 255)
    ours.update(np.where(true == 3, 255, true), np.where(predicted == 3, 255, predicted))
    np.testing.assert_array_equal(ours.counts, theirs.compute().numpy()[:3])
