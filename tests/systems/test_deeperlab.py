from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from atrous.data.shapes import Shapes
from atrous.data.transforms import InputRule
from atrous.instances.keypoints import KeypointNumbers
from atrous.metrics.panoptic import PanopticQuality
from atrous.run.batches import collate
from atrous.run.predict import Eye, Views
from atrous.systems.deeperlab import DECODERS, DeeperLab, DeeperLabLoss, DeeperLabNetwork
from atrous.tensors import Frame, KeypointMaps, Maps, Targets, View
from atrous.types import Labelled, Region, Sample

SMALL = DeeperLabNetwork(aspp_width=16, decoder_width=8, instance_width=8, kernel=3)
TINY = replace(SMALL, backbone="mobilenet-v2-half")
DATA = Shapes("val", size_hw=(129, 129))
VARIANTS = [
    replace(TINY, aspp=aspp, decoder=decoder, deep_heads=deep, output_stride=stride)
    for aspp, decoder, deep, stride in product((True, False), DECODERS, (True, False), (8, 16, 32))
    if stride < 32 or decoder != "space-to-depth"
]
VARIANTS.append(replace(SMALL, backbone="xception-71"))


def variant_name(network: DeeperLabNetwork) -> str:
    parts = ("aspp" if network.aspp else "plain", network.decoder)
    if network.backbone != TINY.backbone:
        return network.backbone
    return "-".join((*parts, "deep" if network.deep_heads else "flat", str(network.output_stride)))


every_variant = pytest.mark.parametrize("network", VARIANTS, ids=variant_name)


@pytest.fixture(scope="module")
def system() -> DeeperLab:
    torch.manual_seed(0)
    return DeeperLab(SMALL, DATA.labels)


def perfect(targets: Targets, classes: int) -> Maps:
    """The maps of a network that knows the truth; semantics at stride 1."""
    truth = targets.keypoints
    assert truth is not None
    known = targets.semantic.clamp(max=classes - 1)
    return Maps(
        semantic=torch.nn.functional.one_hot(known, classes).permute(0, 3, 1, 2) * 40.0,
        stride=1,
        keypoints=KeypointMaps(
            heatmap=truth.heatmap * 80.0 - 40.0,
            short=truth.short,
            middle=truth.middle,
            long=truth.long,
        ),
    )


def batch(system: DeeperLab, *samples: Sample) -> Targets:
    return collate([(torch.zeros(3, 1, 1), system.encode(s)) for s in samples])[1]


def test_maps_lie_on_stride_four_of_an_input_of_16_n_plus_1(system: DeeperLab) -> None:
    maps = system(torch.zeros(2, 3, 65, 97))
    assert maps.stride == 4
    assert maps.semantic.shape == (2, 7, 17, 25)
    assert [t.shape[1] for t in (maps.keypoints.heatmap, maps.keypoints.middle)] == [5, 16]


def test_the_truth_has_no_loss(system: DeeperLab) -> None:
    targets = batch(system, DATA[0], DATA[1])
    terms = system.loss(perfect(targets, len(DATA.labels)), targets)
    assert [t.name for t in terms] == ["semantic", "heatmap", "short", "middle", "long"]
    assert all(float(t.total / t.count) < 1e-6 for t in terms)


def test_a_batch_may_be_cut_up_without_changing_its_loss(system: DeeperLab) -> None:
    targets = [batch(system, DATA[i]) for i in range(2)]
    both = batch(system, DATA[0], DATA[1])
    torch.manual_seed(1)
    image = torch.randn(2, 3, 129, 129)
    system.eval()
    whole = system.loss(system(image), both)
    parts = [system.loss(system(image[i : i + 1]), targets[i]) for i in range(2)]
    for term, first, second in zip(whole, *parts, strict=True):
        assert torch.allclose(term.total, first.total + second.total, rtol=1e-4)
        assert torch.allclose(term.count, first.count + second.count)


def test_small_things_weigh_three_times_in_the_semantic_loss(system: DeeperLab) -> None:
    ids = np.full((129, 129), 3, dtype=np.int32)
    ids[:10, :10], ids[40:110, 40:110] = 1, 2
    regions = (Region(1, 3), Region(2, 3), Region(3, 0))
    image = np.zeros((129, 129, 3), dtype=np.uint8)
    weight = system.encode(Sample("x", image, Labelled(ids, regions))).weight
    assert [float(weight[0, 0]), float(weight[50, 50]), float(weight[128, 0])] == [3, 1, 1]


def test_nothing_is_learnt_from_crowds_and_void_but_their_class(system: DeeperLab) -> None:
    ids = np.zeros((129, 129), dtype=np.int32)
    ids[:, :64] = 1
    image = np.zeros((129, 129, 3), dtype=np.uint8)
    truth = Labelled(ids, (Region(1, 3, is_crowd=True),))
    targets = batch(system, Sample("x", image, truth))
    system.eval()
    terms = {t.name: t for t in system.loss(system(torch.zeros(1, 3, 129, 129)), targets)}
    assert all(float(terms[n].count) == 0 for n in ("heatmap", "short", "middle", "long"))
    assert int((targets.semantic != 255).sum()) == 129 * 64


@pytest.mark.parametrize("graph", ["star", "rectangle"])
@pytest.mark.parametrize("stride", [1, 4])
def test_perfect_maps_are_parsed_to_the_truth(stride: int, graph: str) -> None:
    numbers = KeypointNumbers(decode_stride=stride, graph=graph)
    system = DeeperLab(SMALL, DATA.labels, fusion=numbers)
    quality = PanopticQuality(DATA.labels)
    for index in range(3):
        sample = DATA[index]
        maps = perfect(batch(system, sample), len(DATA.labels))
        assert maps.keypoints is not None
        semantic = maps.semantic[:, :, ::4, ::4]
        view = View(
            replace(maps, semantic=semantic, stride=4), Frame((129, 129), (129, 129), (129, 129))
        )
        parse = system.parse([view])
        assert parse.panoptic.shape == (129, 129)
        quality.update(sample.truth, parse.labelled)
    assert quality.compute().all.rq == 1


def test_padding_of_the_input_is_never_parsed(system: DeeperLab) -> None:
    system.eval()
    with torch.inference_mode():
        maps = system(torch.zeros(1, 3, 129, 65))
    parse = system.parse([View(maps, Frame((200, 50), (100, 25), (129, 65)))])
    assert parse.panoptic.shape == parse.semantic.shape == parse.confidence.shape == (200, 50)


def test_no_view_is_refused(system: DeeperLab) -> None:
    with pytest.raises(ValueError, match="give one at least"):
        system.parse([])


@pytest.mark.parametrize("decode_stride", [1, 4])
def test_a_mirrored_image_is_parsed_to_the_mirrored_parse(decode_stride: int) -> None:
    """With both images among the views nothing but rounding tells left from right."""
    torch.manual_seed(3)
    fusion = KeypointNumbers(decode_stride=decode_stride, peak_threshold=0.0)
    system = DeeperLab(TINY, DATA.labels, fusion=fusion).eval()
    image = DATA[0].image
    eye = Eye(system, InputRule(longest_side=0), torch.device("cpu"), Views(flip=True))
    plain = system.parse(eye.see([image])[0])
    mirrored = system.parse(eye.see([np.ascontiguousarray(image[:, ::-1])])[0])
    assert len(plain.segments) == len(mirrored.segments) > 1
    assert (plain.semantic == mirrored.semantic[:, ::-1]).mean() > 0.999
    pairs = np.stack([plain.panoptic, mirrored.panoptic[:, ::-1]]).reshape(2, -1)
    found, counts = np.unique(pairs, axis=1, return_counts=True)
    mates = dict(found[:, counts > 20].T.tolist())
    same = np.array([mates.get(a) == b for a, b in found.T.tolist()])
    assert counts[same].sum() > 0.99 * counts.sum()


def test_without_mining_the_loss_is_the_mean_over_labelled_pixels() -> None:
    system = DeeperLab(SMALL, DATA.labels, losses=DeeperLabLoss(keep=1))
    targets = batch(system, DATA[0])
    maps = Maps(torch.zeros(1, 7, 33, 33), 4, perfect(targets, 7).keypoints)
    term = system.loss(maps, targets)[0]
    weight = float(targets.weight.mean())
    assert float(term.total / term.count) == pytest.approx(np.log(7) * weight, rel=1e-4)


@every_variant
def test_every_variant_answers_at_its_stride(network: DeeperLabNetwork) -> None:
    with torch.device("meta"):
        system = DeeperLab(network, DATA.labels).eval()
    for size_hw in ((65, 97), (50, 71)):
        maps = system(torch.zeros(2, 3, *size_hw, device="meta"))
        assert maps.stride == (network.output_stride if network.decoder == "none" else 4)
        answers = (maps.semantic, maps.keypoints.heatmap, maps.keypoints.long)
        grid = tuple((side - 1) // maps.stride + 1 for side in size_hw)
        assert [answer.shape for answer in answers] == [(2, n, *grid) for n in (7, 5, 10)]


@every_variant
def test_every_parameter_of_every_variant_learns(network: DeeperLabNetwork) -> None:
    torch.manual_seed(0)
    data = Shapes("val", size_hw=(65, 65))
    system = DeeperLab(network, data.labels)
    terms = system.loss(system(torch.randn(2, 3, 65, 65)), batch(system, data[0], data[1]))
    assert all(float(term.count) > 0 for term in terms)
    sum(term.weight * term.total / term.count for term in terms).backward()  # type: ignore[union-attr]
    assert [n for n, p in system.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_rectangle_has_four_keypoints_that_all_learn() -> None:
    torch.manual_seed(0)
    data = Shapes("val", size_hw=(65, 65))
    system = DeeperLab(TINY, data.labels, fusion=KeypointNumbers(graph="rectangle"))
    maps = system(torch.randn(2, 3, 65, 65))
    assert maps.keypoints.long.shape[1] == maps.keypoints.short.shape[1] == 8
    terms = system.loss(maps, batch(system, data[0], data[1]))
    torch.stack([term.weight * term.total / term.count for term in terms]).sum().backward()
    assert [n for n, p in system.named_parameters() if p.grad is None or not p.grad.any()] == []


def two_things() -> Sample:
    ids = np.ones((129, 129), dtype=np.int32)
    ids[16:112, 8:56], ids[32:112, 72:120] = 2, 3
    image = np.zeros((129, 129, 3), dtype=np.uint8)
    return Sample("x", image, Labelled(ids, (Region(1, 0), Region(2, 3), Region(3, 3))))


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("decode_stride", [1, 4])
def test_things_are_told_apart_on_coarse_maps(output_stride: int, decode_stride: int) -> None:
    network = replace(TINY, decoder="none", output_stride=output_stride)
    fusion = KeypointNumbers(decode_stride=decode_stride)
    system, sample = DeeperLab(network, DATA.labels, fusion=fusion), two_things()
    maps = perfect(batch(system, sample), len(DATA.labels))
    semantic = maps.semantic[:, :, ::output_stride, ::output_stride]
    frame = Frame((129, 129), (129, 129), (129, 129))
    parse = system.parse([View(replace(maps, semantic=semantic, stride=output_stride), frame)])
    quality = PanopticQuality(DATA.labels)
    quality.update(sample.truth, parse.labelled)
    scores = quality.compute().all
    assert scores.rq == 1
    assert scores.sq > 0.8


@pytest.mark.parametrize("decoder", DECODERS)
def test_padding_and_odd_sizes_are_parsed_at_every_map_stride(decoder: str) -> None:
    system = DeeperLab(replace(TINY, decoder=decoder), DATA.labels).eval()
    with torch.inference_mode():
        maps = system(torch.zeros(1, 3, 129, 65))
    parse = system.parse([View(maps, Frame((131, 40), (118, 36), (129, 65)))])
    assert parse.panoptic.shape == (131, 40)


def test_without_a_pyramid_heads_see_the_backbone_itself() -> None:
    network = replace(SMALL, aspp=False, decoder="none", deep_heads=False)
    system, image = DeeperLab(network, DATA.labels).eval(), torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        features = system.features(image)
        assert torch.equal(features, system.backbone(image).high)
    assert features.shape == (1, 320, 3, 3)


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="'s2d': it can be space-to-depth, bottom-up, none"):
        DeeperLabNetwork(decoder="s2d")


def test_the_space_to_depth_decoder_has_no_output_stride_of_32() -> None:
    with pytest.raises(ValueError, match="8 or 16"):
        DeeperLab(replace(TINY, output_stride=32), DATA.labels)
