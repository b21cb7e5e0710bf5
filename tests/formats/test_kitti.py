from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from truths import essence, truths

from atrous.formats import (
    read_class_map,
    read_classes,
    read_kitti,
    stem_files,
    write_class_map,
    write_kitti,
)
from atrous.labels import CITYSCAPES, CITYSCAPES_IGNORED
from atrous.types import Labelled, Region


def test_things_without_number_are_a_crowd_and_numbers_of_stuff_tell_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    stored = [[26 * 256, 26 * 256 + 1, 26 * 256 + 3], [11 * 256, 11 * 256 + 5, 4 * 256 + 2]]
    write_class_map(path, np.array(stored, np.uint16))
    truth = read_kitti(path)
    assert truth.ids.tolist() == [[2, 3, 4], [1, 1, 0]]
    assert truth.regions == (
        Region(1, 2),
        Region(2, 13, is_crowd=True),
        Region(3, 13),
        Region(4, 13),
    )


@given(truths(CITYSCAPES, crowds=True))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    path = tmp_path_factory.getbasetemp() / "kitti.png"
    write_kitti(path, truth)
    assert np.array_equal(essence(read_kitti(path)), essence(truth))


def test_a_class_has_255_things(tmp_path: Path) -> None:
    ids = np.arange(1, 257, dtype=np.int32)[None]
    truth = Labelled(ids, tuple(Region(i, 13) for i in range(1, 257)))
    with pytest.raises(ValueError, match="id 26 has more than 255 things"):
        write_kitti(tmp_path / "a.png", truth)


def test_the_official_files_agree_and_come_back(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "kitti_semantics5" / "training"
    instances, classes = stem_files(root / "instance"), stem_files(root / "semantic")
    assert list(instances) == list(classes) == ["000000_10", "000001_10", "000002_10"]
    things = []
    for key, path in instances.items():
        truth = read_kitti(path, class_path=classes[key])
        plain = read_classes(classes[key], CITYSCAPES, ignored=CITYSCAPES_IGNORED)
        assert np.array_equal(CITYSCAPES.semantic(truth), CITYSCAPES.semantic(plain))
        write_kitti(tmp_path / path.name, truth)
        again = read_kitti(tmp_path / path.name)
        assert again.regions == truth.regions
        assert np.array_equal(again.ids, truth.ids)
        ours, official = read_class_map(tmp_path / path.name), read_class_map(path)
        assert np.array_equal(np.where(truth.ids, ours, 0), np.where(truth.ids, official, 0))
        is_thing = CITYSCAPES.is_thing
        things.append(sum(bool(is_thing[r.class_id]) and not r.is_crowd for r in truth.regions))
    assert things == [26, 15, 11]
