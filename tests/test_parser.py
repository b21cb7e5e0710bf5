from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import atrous
from atrous.data.shapes import Shapes
from atrous.formats import read_panoptic
from atrous.instances.keypoints import KeypointNumbers
from atrous.parser import Parser
from atrous.recipes import find
from atrous.recipes.described import views_of
from atrous.run.checkpoint import read_header, read_weights, write_model
from atrous.run.predict import Views
from atrous.types import BadInput, Image


@pytest.fixture(scope="module")
def photo() -> Image:
    return Shapes("val", size_hw=(50, 70))[0].image


@pytest.fixture(scope="module")
def parser(tiny_model: Path) -> Parser:
    return atrous.load(tiny_model, device="cpu")


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("fusion", "radius_px", -1),
        ("fusion", "radius_px", "wide"),
        ("network", "decoder_width", -3),
        ("network", "output_stride", 7),
        ("input", "scale", [0, 0, 0]),
        ("input", "mean", None),
        ("views", "scales", [0]),
    ],
)
def test_a_model_that_cannot_be_is_refused_in_one_line(
    tiny_model: Path, tmp_path: Path, part: str, name: str, value: object
) -> None:
    header, path = read_header(tiny_model), tmp_path / "odd.safetensors"
    header[part] = {**header.get(part, {}), name: value}
    del header["format"]
    write_model(path, dict(read_weights(tiny_model)), header)
    with pytest.raises(BadInput, match=r"save it again|scale|input.mean") as told:
        atrous.load(path, device="cpu")
    assert "\n" not in str(told.value)


def test_every_kind_of_image_gives_the_same_result(
    parser: Parser, photo: Image, tmp_path: Path
) -> None:
    picture = Pillow.fromarray(photo)
    picture.save(tmp_path / "x.png")
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    expected = parser(photo)
    for image in (picture, tmp_path / "x.png", str(tmp_path / "x.png"), tensor):
        result = parser(image)
        assert np.array_equal(result.panoptic, expected.panoptic)
        assert np.array_equal(result.confidence, expected.confidence)


def test_a_list_gives_a_list_and_an_iterator_is_lazy(parser: Parser, photo: Image) -> None:
    assert [r.panoptic.shape for r in parser([photo, photo])] == [(50, 70)] * 2
    taken = []

    def stream() -> Iterator[Image]:
        for index in range(3):
            taken.append(index)
            yield photo

    results = parser(stream())
    assert taken == []
    next(results)
    assert taken == [0]


def test_a_bad_image_in_a_stream_is_refused_when_its_turn_comes(
    parser: Parser, photo: Image
) -> None:
    results = parser(iter([photo, "nowhere.png"]))
    assert next(results).panoptic.shape == (50, 70)
    with pytest.raises(BadInput, match=r"nowhere\.png"):
        next(results)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        torch.zeros(3, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.bfloat16),
        torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
        3,
        None,
    ],
)
def test_what_is_no_image_is_refused(parser: Parser, wrong: object) -> None:
    with pytest.raises(BadInput, match="give"):
        parser(wrong)  # type: ignore[call-overload]


def test_maps_have_the_size_of_the_image_and_every_id_a_segment(
    parser: Parser, photo: Image
) -> None:
    result = parser(photo)
    for plane in (result.panoptic, result.semantic, result.confidence):
        assert plane.shape == photo.shape[:2]
    assert sorted(np.unique(result.panoptic)) == [s.id for s in result.segments]
    assert sum(s.area for s in result.segments) == result.panoptic.size
    assert 0 <= result.confidence.min() <= result.confidence.max() <= 1


def test_a_segment_tells_its_area_box_and_mean_confidence(parser: Parser, photo: Image) -> None:
    result = parser(photo)
    for segment in result.segments:
        own = result.panoptic == segment.id
        y, x = np.nonzero(own)
        assert segment.area == own.sum()
        assert segment.box == (y.min(), x.min(), y.max() + 1, x.max() + 1)
        assert segment.score == pytest.approx(result.confidence[own].mean(), abs=6e-5)
        label = parser.labels[segment.class_id]
        assert (segment.name, segment.is_thing) == (label.name, label.is_thing)


def test_a_model_that_is_loaded_again_gives_the_same_result(
    parser: Parser, tiny_model: Path, photo: Image
) -> None:
    before = photo.copy()
    one, two = parser(photo), atrous.load(tiny_model, device="cpu")(photo)
    for name in ("panoptic", "semantic", "confidence"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.segments == two.segments
    assert np.array_equal(photo, before)


@pytest.mark.parametrize("stride", [0, 4, -8])
def test_an_output_stride_that_the_network_lacks_is_refused(parser: Parser, stride: int) -> None:
    with pytest.raises(ValueError, match=f"output_stride is {stride}"):
        parser.replace(output_stride=stride)


def test_another_output_stride_shares_the_weights_and_leaves_the_parser_as_it_was(
    parser: Parser, photo: Image
) -> None:
    before = parser(photo).confidence
    finer = parser.replace(output_stride=8)
    ours, theirs = dict(parser.network.named_parameters()), dict(finer.network.named_parameters())
    assert all(ours[n].data_ptr() == theirs[n].data_ptr() for n in ours)
    assert not np.array_equal(finer(photo).confidence, before)
    assert np.array_equal(parser(photo).confidence, before)


def test_without_instances_a_thing_class_is_one_segment(parser: Parser, photo: Image) -> None:
    assert isinstance(parser.fusion, KeypointNumbers)
    many = parser.replace(fusion=replace(parser.fusion, peak_threshold=0.0))
    plain = many.replace(fusion=replace(parser.fusion, peak_threshold=0.0, instances=0))
    classes = [[s.class_id for s in each(photo).segments] for each in (many, plain)]
    assert len(classes[0]) > len(set(classes[0]))
    assert len(classes[1]) == len(set(classes[1]))


def test_threads_get_the_answers_that_one_thread_gets(parser: Parser) -> None:
    data = Shapes("val", size_hw=(50, 70))
    photos = [data[i].image for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(parser, photos))
    for result, image in zip(many, photos, strict=True):
        assert np.array_equal(result.panoptic, parser(image).panoptic)


def test_a_result_draws_saves_and_shows_itself(
    parser: Parser, photo: Image, tmp_path: Path
) -> None:
    result = parser(photo)
    assert result.draw().size[0] == 70
    assert result._repr_png_()[:4] == b"\x89PNG"
    assert all(Path(path).is_file() for path in result.save(tmp_path).values())
    assert (tmp_path / "panoptic.json").is_file()
    rows = result.to_coco()["segments_info"]
    assert [row["id"] for row in rows] == [s.id for s in result.segments]
    classes = {label.file_id: i for i, label in enumerate(parser.labels.labels)}
    again = read_panoptic(tmp_path / "panoptic" / "image.png", rows, classes)
    assert np.array_equal(again.ids, result.panoptic)
    with pytest.raises(BadInput, match="coco"):
        result.save(tmp_path, format="nonsense")


def test_any_iterable_of_samples_trains(tmp_path: Path) -> None:
    settings = ("network.decoder_width=8", "train.batch=2", "train.crop=33", "train.iterations=1")
    data = Shapes("train", size_hw=(65, 65), count=3)
    atrous.train("deeperlab-light", data=data, out=tmp_path, settings=settings, quiet=True)
    assert atrous.load(tmp_path).labels == data.labels


def test_a_network_can_be_had_without_any_data() -> None:
    network = atrous.create("deeperlab-light", classes=4)
    assert network(torch.zeros(2, 3, 33, 33)).semantic.shape == (2, 4, 9, 9)


@pytest.mark.parametrize("part", ["semantic", "heatmap", "long"])
def test_nan_in_any_map_is_told_and_the_rest_is_parsed(
    parser: Parser, photo: Image, part: str
) -> None:
    broken = copy.deepcopy(parser.network)
    last = list(getattr(broken, part).parameters())[-1]
    last.data.fill_(float("nan"))
    rule, header = parser.input, parser.header
    spoilt = Parser(broken, rule, header=header, device=parser.device)
    with pytest.warns(UserWarning, match="NaN or infinity"):
        result = spoilt(photo)
    assert result.panoptic.shape == photo.shape[:2]
    assert (part == "semantic") == bool((result.semantic == 255).all())
    assert (part == "semantic") == (not result.segments)


def test_what_is_unsure_or_small_is_void_if_that_is_asked_for(parser: Parser, photo: Image) -> None:
    plain = parser(photo)
    bound = float(np.median(plain.confidence))
    picky = parser.replace(reject_below=bound)(photo)
    assert ((picky.panoptic == 0) == (plain.confidence < np.float32(bound))).all()
    largest = max(segment.area for segment in plain.segments)
    few = parser.replace(least_area=largest)(photo)
    assert {segment.area for segment in few.segments} == {largest}
    with pytest.raises(BadInput, match="probability"):
        parser.replace(reject_below=2)


def test_views_travel_with_a_parser_and_its_model(parser: Parser, photo: Image) -> None:
    twice = parser.replace(views=Views(scales=(1.0, 1.5), flip=True))
    assert len(twice.see([photo])[0]) == 4
    assert twice.replace(least_area=2).way.views == twice.way.views
    assert np.abs(twice(photo).confidence - parser(photo).confidence).max() > 0
    with pytest.raises(ValueError, match=r"n \* 16 \+ 1"):
        parser.replace(views=Views(window=50))


def test_a_recipe_says_in_which_views_its_models_see() -> None:
    recipe = find("pspnet-resnet101-cityscapes")
    header = recipe.header(Shapes("val").labels)
    assert views_of(header) == Views(window=713, flip=True)
    assert views_of(find("deeperlab-light").header(Shapes("val").labels)) == Views()


def model_with(model: Path, path: Path, name: str, value: float) -> Path:
    """A copy of a model, whose first tensor of a name is full of a number."""
    weights, header = dict(read_weights(model)), read_header(model)
    del header["format"]
    name = next(k for k in weights if k.endswith(name))
    weights[name] = torch.full_like(weights[name], value)
    write_model(path, weights, header)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [("weight", float("nan")), ("bias", float("inf")), ("running_var", -1.0)],
)
def test_weights_that_make_nan_are_told_when_they_are_loaded(
    tiny_model: Path, tmp_path: Path, name: str, value: float
) -> None:
    path = model_with(tiny_model, tmp_path / "broken.safetensors", name, value)
    with pytest.warns(UserWarning, match=r"broken\.safetensors: its weights hold NaN"):
        atrous.load(path, device="cpu")


def test_a_parser_is_not_built_anew_for_what_it_has(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atrous.parser.quick", lambda *_: pytest.fail("built anew"))
    same = parser.replace(fusion=copy.copy(parser.fusion), output_stride=16, least_area=3)
    assert same.network is parser.network
