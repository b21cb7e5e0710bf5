from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from truths import essence, truths

from atrous.formats import (
    mapillary_files,
    palette_of,
    read_classes,
    read_mapillary,
    read_mapillary_classes,
    write_class_map,
    write_classes,
    write_json,
    write_mapillary,
)
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Labelled, Region


def row(name: str, colour: int, *, instances: bool, evaluate: bool = True) -> dict[str, Any]:
    return {
        "color": [colour, 0, 0],
        "evaluate": evaluate,
        "instances": instances,
        "name": f"object--{name.lower()}",
        "readable": name,
    }


ROWS = [
    row("Bird", 1, instances=True),
    row("Ambiguous", 2, instances=True, evaluate=False),
    row("Road", 3, instances=False),
    row("Car", 4, instances=True),
    row("Unlabeled", 0, instances=False, evaluate=False),
]
LABELS = LabelSpace(
    (
        Label("Bird", (1, 0, 0), True, 0),
        Label("Road", (3, 0, 0), False, 2),
        Label("Car", (4, 0, 0), True, 3),
    )
)
IGNORED = frozenset({1, 4})


def test_classes_are_places_in_the_config_and_the_unevaluated_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "config_v2.0.json"
    write_json(path, {"labels": ROWS, "version": "2.0"})
    assert read_mapillary_classes(path) == (LABELS, IGNORED)


def changed(**entry: Any) -> list[dict[str, Any]]:
    return [ROWS[0], ROWS[1] | entry]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], 'has no list "labels"'),
        ({"labels": []}, 'has no list "labels"'),
        ({"labels": changed(color=[1, 2])}, "label 1 needs name, color and instances"),
        ({"labels": changed(color="red")}, "label 1 needs"),
        ({"labels": [ROWS[0], 7]}, "label 1 needs"),
        ({"labels": [{"color": [1, 2, 3], "readable": "x"}]}, "label 0 needs"),
        ({"labels": [ROWS[1]]}, 'no class has "evaluate": true'),
    ],
)
def test_other_json_is_told(tmp_path: Path, data: Any, told: str) -> None:
    path = tmp_path / "config.json"
    write_json(path, data)
    with pytest.raises(BadInput, match=told):
        read_mapillary_classes(path)


def test_the_number_0_is_a_thing_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    stored = [[0, 1, 512], [768, 769, 4 * 256], [256, 257, 512]]
    write_class_map(path, np.array(stored, np.uint16))
    truth = read_mapillary(path, LABELS, ignored=IGNORED)
    assert truth.ids.tolist() == [[1, 2, 3], [4, 5, 0], [0, 0, 3]]
    assert [(r.class_id, r.is_crowd) for r in truth.regions] == [
        (c, False) for c in (0, 0, 1, 2, 2)
    ]


@given(truths(LABELS))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    instances, classes = (tmp_path_factory.getbasetemp() / f"{k}.png" for k in ("i", "c"))
    write_mapillary(instances, truth, LABELS, void=4)
    write_classes(classes, LABELS.semantic(truth), LABELS, void=4, palette=palette_of(LABELS))
    again = read_mapillary(instances, LABELS, ignored=IGNORED, class_path=classes)
    assert np.array_equal(essence(again), essence(truth))
    plain = read_classes(classes, LABELS, ignored=IGNORED)
    assert np.array_equal(LABELS.semantic(plain), LABELS.semantic(truth))


def test_ids_that_the_config_does_not_list_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_class_map(path, np.array([[5 * 256 + 3]], np.uint16))
    with pytest.raises(BadInput, match=r"a\.png: holds \[5\]"):
        read_mapillary(path, LABELS, ignored=IGNORED)


def test_a_class_has_256_things_and_no_crowd(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    ids = np.arange(1, 258, dtype=np.int32)[None]
    regions = tuple(Region(i, 2) for i in range(1, 258))
    write_mapillary(path, Labelled(ids[:, :256], regions), LABELS, void=4)
    assert len(read_mapillary(path, LABELS, ignored=IGNORED).regions) == 256
    with pytest.raises(ValueError, match="id 3 has more than 256 things"):
        write_mapillary(path, Labelled(ids, regions), LABELS, void=4)
    crowd = Labelled(ids[:, :1], (Region(1, 2, is_crowd=True),))
    with pytest.raises(ValueError, match="crowd, which this form cannot say"):
        write_mapillary(path, crowd, LABELS, void=4)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_are_found_with_and_without_the_folder_of_the_version(tmp_path: Path) -> None:
    one, flat, results = tmp_path / "one", tmp_path / "flat", tmp_path / "results"
    touch(one / "v2.0" / "instances" / "a.png", one / "images" / "a.jpg")
    touch(flat / "labels" / "a.png", flat / "instances" / "a.png", results / "a.png")
    assert mapillary_files(one) == {"a": one / "v2.0" / "instances" / "a.png"}
    assert mapillary_files(flat, "labels") == {"a": flat / "labels" / "a.png"}
    assert mapillary_files(results) == {"a": results / "a.png"}
    touch(one / "v1.2" / "instances" / "a.png")
    with pytest.raises(BadInput, match=r"has v1\.2 and v2\.0: say which version"):
        mapillary_files(one)
    assert mapillary_files(one, version="v1.2")["a"].parent.parent.name == "v1.2"
    with pytest.raises(BadInput, match="no such folder"):
        mapillary_files(flat, version="v1.2")
    with pytest.raises(BadInput, match="no such folder"):
        mapillary_files(tmp_path / "gone")
