from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.dropout import Dropout, draw_masks


def answered(*, seed: int = 0, step: int = 0, first_slot: int = 0, batch: int = 3) -> torch.Tensor:
    network = nn.Sequential(Dropout(0.5), Dropout(0.5, channels=True)).train()
    draw_masks(network, seed=seed, step=step, first_slot=first_slot)
    answer: torch.Tensor = network(torch.ones(batch, 64, 4, 4))
    return answer


def test_masks_are_a_function_of_seed_and_step() -> None:
    torch.manual_seed(1)
    first = answered()
    torch.manual_seed(2)
    assert torch.equal(first, answered())
    assert not torch.equal(first, answered(step=1))
    assert not torch.equal(first, answered(seed=1))


def test_a_batch_may_be_cut_up() -> None:
    assert torch.equal(answered()[1:], answered(first_slot=1, batch=2))


def test_samples_and_layers_have_masks_of_their_own() -> None:
    network = nn.ModuleList([Dropout(0.5), Dropout(0.5)])
    draw_masks(network, seed=0, step=0)
    one, other = (layer(torch.ones(2, 8, 9, 9)) for layer in network)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_the_mean_stays_and_the_share_is_that_asked_for() -> None:
    layer = Dropout(0.25)
    torch.manual_seed(0)
    y = layer(torch.ones(1, 1000, 10, 10))
    assert float((y == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(y.mean()) == pytest.approx(1, abs=0.01)
    whole = Dropout(0.5, channels=True)(torch.ones(1, 50, 5, 5))
    assert {len(channel.unique()) for channel in whole[0]} == {1}


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(Dropout(0.9).eval()(x), x)


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        Dropout(1.0)
