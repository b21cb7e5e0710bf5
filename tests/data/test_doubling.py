from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from atrous.data.doubling import CHUNK, ClassIds, Read, again, places
from atrous.data.folder import open_folder
from atrous.data.shapes import LABELS, Shapes
from atrous.data.source import Source, Subset, subset
from atrous.formats import write_class_map, write_image, write_json
from atrous.labels import VOC, LabelSpace
from atrous.processes import in_order
from atrous.types import BadInput, Labelled, Region, Sample

SKY, GRASS, STAR, RING = 0, 1, 5, 6
CLASSES = {"classes": [{"id": 0, "name": "road"}, {"id": 1, "name": "bike"}]}


@dataclass(frozen=True)
class Drawn:
    """Images of two rows: the classes that have a pixel, then one class that has none."""

    held: tuple[tuple[int, ...], ...]
    without: int = RING
    labels: LabelSpace = LABELS
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.held)

    def name(self, index: int) -> str:
        return f"{index}.png"

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        held = self.held[index]
        ids = np.zeros((2, 4), np.int32)
        ids[0, : len(held)] = range(1, len(held) + 1)
        regions = [Region(i, class_id) for i, class_id in enumerate(held, 1)]
        regions.append(Region(99, self.without))
        return Sample(self.name(index), np.zeros((2, 4, 3), np.uint8), Labelled(ids, (*regions,)))


FIVE = Drawn(((SKY,), (SKY, STAR), (GRASS,), (STAR,), (GRASS, SKY)))


def doubled(source: Source, classes: tuple[str, ...]) -> Subset:
    return again(source, places(source, classes))


def test_images_of_a_class_come_once_more_after_all_others() -> None:
    twice = doubled(FIVE, ("star",))
    assert twice.indices == (0, 1, 2, 3, 4, 1, 3)
    assert [twice.name(i) for i in (4, 5, 6)] == ["4.png", "1.png", "3.png"]
    assert twice.labels is FIVE.labels


def test_an_image_of_several_of_the_classes_comes_once_more_not_oftener() -> None:
    assert places(FIVE, ("grass", "star", "sky", "star")) == (0, 1, 2, 3, 4)
    assert places(FIVE, ("grass", "star")) == (1, 2, 3, 4)


def test_a_region_without_a_pixel_is_not_there() -> None:
    heard: list[str] = []
    assert places(FIVE, ("ring", "grass"), told=heard.append) == (2, 4)
    assert heard == ["no image has ring, whose images come twice"]


def test_a_crowd_counts_with_its_pixels() -> None:
    class Crowd(Drawn):
        def truth(self, index: int) -> Labelled:
            return Labelled(np.ones((1, 1), np.int32), (Region(1, STAR, is_crowd=True),))

    assert places(Crowd(((SKY,),)), ("star",)) == (0,)


def test_classes_that_no_image_has_are_warned_of_once() -> None:
    with pytest.warns(UserWarning, match="no image has disc and ring, whose") as warned:
        assert places(FIVE, ("ring", "star", "disc")) == (1, 3)
    assert len(warned) == 1


def test_without_classes_nothing_is_read() -> None:
    source = Drawn(((SKY,), (STAR,)))
    assert doubled(source, ()).indices == (0, 1)
    assert source.read == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("potted plant", "did you mean pottedplant"),
        ("Sofa", "did you mean sofa"),
        ("dining", "did you mean diningtable"),
        ("", "there is background, aeroplane"),
    ],
)
def test_an_unknown_class_is_refused_with_the_nearest_names(name: str, words: str) -> None:
    source = Drawn((), labels=VOC)
    with pytest.raises(BadInput, match=f"the data have no class '{name}': {words}"):
        doubled(source, ("sofa", name))


def test_the_places_found_make_the_same_view_again_without_reading() -> None:
    source = Drawn(((SKY,), (STAR,)))
    hard = places(source, ("star",))
    assert source.read == [0, 1]
    assert again(source, hard).indices == (0, 1, 1)
    assert source.read == [0, 1]
    with pytest.raises(ValueError, match="no sample 2 among 2"):
        again(source, (2,))


def test_progress_hears_every_chunk_and_the_end() -> None:
    source, heard = Drawn(((SKY,),) * (2 * CHUNK + 5)), list[int]()
    places(source, ("sky",), progress=heard.append)
    assert heard == [CHUNK, 2 * CHUNK, 2 * CHUNK + 5]


def test_chunks_may_be_read_elsewhere_and_answers_keep_their_order() -> None:
    random = np.random.default_rng(0)
    held = tuple((int(c),) for c in random.choice((SKY, STAR), 3 * CHUNK))
    source, asked = Drawn(held), list[range]()

    def backwards(read: Read, chunks: Iterable[range]) -> Iterator[Sequence[ClassIds]]:
        work: Callable[[range], Sequence[ClassIds]] = pickle.loads(pickle.dumps(read))
        asked.extend(chunks)
        yield from reversed([work(chunk) for chunk in reversed(asked)])

    wanted = tuple(i for i, (class_id,) in enumerate(held) if class_id == STAR)
    assert places(source, ("star",), each=backwards) == wanted
    assert [len(chunk) for chunk in asked] == [CHUNK] * 3
    assert places(source, ("star",), each=partial(in_order, processes=0)) == wanted


def test_drawn_samples_agree_with_their_class_maps() -> None:
    source = Shapes("val", size_hw=(96, 128), count=12)
    has = [i for i in range(12) if (source.labels.semantic(source[i].truth) == STAR).any()]
    assert 0 < len(has) < 12
    assert list(places(source, ("star",))) == has


def test_of_a_data_set_in_files_labels_alone_are_read(tmp_path: Path) -> None:
    names = [f"photo{i}" for i in range(6)]
    write_json(tmp_path / "classes.json", CLASSES)
    for i, name in enumerate(names):
        classes = np.zeros((4, 6), np.uint8)
        classes[0, 0] = i in (2, 4)
        write_class_map(tmp_path / "labels" / "train" / f"{name}.png", classes)
        write_image(tmp_path / "images" / "train" / f"{name}.png", np.zeros((4, 6, 3), np.uint8))
    source = open_folder(tmp_path, "train")
    for name in names:
        (tmp_path / "images" / "train" / f"{name}.png").write_bytes(b"no photo")
    assert places(source, ("bike",)) == (2, 4)
    assert places(subset(source, (5, 4, 0)), ("bike",)) == (1,)


def test_labels_that_cannot_be_read_are_bad_input(tmp_path: Path) -> None:
    write_json(tmp_path / "classes.json", CLASSES)
    write_class_map(tmp_path / "labels" / "train" / "a.png", np.zeros((4, 6), np.uint8))
    write_image(tmp_path / "images" / "train" / "a.png", np.zeros((4, 6, 3), np.uint8))
    source = open_folder(tmp_path, "train")
    (tmp_path / "labels" / "train" / "a.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"a\.png"):
        places(source, ("road",))
