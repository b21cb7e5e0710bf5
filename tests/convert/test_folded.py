"""Norms that came folded into a bias."""

from __future__ import annotations

from pathlib import Path

import torch
from foreign import folded_features
from safetensors.torch import load_file
from starts import PASCAL, network, stem, synthetic

from atrous.convert import adopt, read_start
from atrous.nn.statistics import unfold


def same_folded_features(path: Path) -> None:
    ours = network()
    adopt(ours, read_start(path))
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        features, plain = (
            ours.backbone(image).high,
            folded_features(load_file(path), image, width=1.0),
        )
    near = 1e-5 * float(plain.abs().max())
    torch.testing.assert_close(features, plain, rtol=0, atol=near)


def test_folded_norms_become_biases(tmp_path: Path) -> None:
    same_folded_features(synthetic("deeplab-lite", tmp_path / "x.safetensors"))


def test_the_public_voc_weights_give_their_own_features(shared: Path) -> None:
    same_folded_features(shared / "weights" / PASCAL)


def unfolding_changes_nothing(path: Path) -> None:
    ours, start = network(), read_start(path)
    adopt(ours, start)
    image = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        before = ours(image).semantic
        unfold(ours, [torch.randn(2, 3, 65, 65) for _ in range(2)])
        after = ours(image).semantic
    near = 1e-5 * float(before.abs().max())
    torch.testing.assert_close(before, after, rtol=0, atol=near)
    # 51 convolutions of the backbone, two of ASPP's branches; the join of the branches is another
    blocks = [name for name in start.folded if name != "context.project"]
    assert len(blocks) == 53
    for name in blocks:
        norm = ours.get_submodule(name).get_submodule("norm").state_dict()
        assert bool(norm["running_mean"].any())
        assert float(norm["running_var"].std()) > 0


def test_unfolding_norms_leaves_the_answer_unchanged(tmp_path: Path) -> None:
    unfolding_changes_nothing(synthetic("deeplab-lite", tmp_path / "x.safetensors"))


def test_unfolding_the_public_voc_weights_leaves_the_answer_unchanged(shared: Path) -> None:
    unfolding_changes_nothing(shared / "weights" / PASCAL)


def test_unfolded_norms_hold_the_moments_of_the_photos(tmp_path: Path) -> None:
    ours = network()
    start = read_start(synthetic("deeplab-lite", tmp_path / "x.safetensors"))
    adopt(ours, start)
    photos = [torch.randn(n, 3, 33, 33) for n in (1, 3)]
    unfold(ours, photos)
    with torch.no_grad():
        answers = stem(ours).conv(torch.cat(photos)).transpose(0, 1).flatten(1)
    norm = stem(ours).norm.state_dict()
    torch.testing.assert_close(norm["running_mean"], answers.mean(dim=1))
    torch.testing.assert_close(norm["running_var"], answers.var(dim=1, correction=0))


def test_unfolded_norms_normalise_in_training_as_in_evaluation(tmp_path: Path) -> None:
    ours = network()
    start = read_start(synthetic("deeplab-lite", tmp_path / "x.safetensors"))
    adopt(ours, start)
    image = torch.randn(4, 3, 33, 33)
    unfold(ours, [image])
    with torch.no_grad():
        told = ours.backbone.eval()(image).high
        learnt = ours.backbone.train()(image).high
    near = 1e-3 * float(told.abs().max())
    torch.testing.assert_close(learnt, told, rtol=0, atol=near)
