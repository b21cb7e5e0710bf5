from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atrous.nn.context import ASPP
from atrous.nn.decoder import SpaceToDepthDecoder
from atrous.nn.resample import depth_to_space, resize, sample_grid, space_to_depth
from atrous.recipes import create


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4]))
def test_depth_to_space_undoes_space_to_depth(m: int, n: int, step: int) -> None:
    x = torch.randn(1, 3, 4 * m + 1, 4 * n + 1)
    folded = space_to_depth(x, block=4, step=step)
    assert folded.shape == (1, 48, 4 * m // step + 1, 4 * n // step + 1)
    size = (4 * m + 1, 4 * n + 1)
    assert torch.allclose(depth_to_space(folded, block=4, step=step, size_hw=size), x, atol=1e-6)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 30), st.integers(2, 30))
def test_sampling_evenly_is_resizing(h: int, w: int, rows: int, columns: int) -> None:
    x = torch.randn(2, h, w)
    at = torch.linspace(0, h - 1, rows), torch.linspace(0, w - 1, columns)
    assert torch.allclose(sample_grid(x, *at), resize(x[None], (rows, columns))[0], atol=1e-4)


def test_the_decoder_at_stride_8_is_the_mean_of_four_shifted_ones_at_stride_16() -> None:
    torch.manual_seed(0)
    kinds = {
        s: SpaceToDepthDecoder(6, 5, width=4, kernel=3, output_stride=s).eval() for s in (8, 16)
    }
    kinds[8].load_state_dict(kinds[16].state_dict())
    low, high = torch.randn(1, 6, 17, 17), torch.randn(1, 5, 9, 9)
    total, times = torch.zeros(1, 4, 24, 24), torch.zeros(1, 1, 24, 24)
    decoder = kinds[16]
    with torch.no_grad():
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            phase = high[..., y::2, x::2]
            size = [n * 4 for n in phase.shape[-2:]]
            reduced = F.pad(decoder.reduce(low), (0, 8, 0, 8))
            window = reduced[..., 2 * y : 2 * y + size[0], 2 * x : 2 * x + size[1]]
            folded = torch.cat([F.pixel_unshuffle(window, 4), phase], dim=1)
            answer = F.pixel_shuffle(decoder.second(decoder.first(folded)), 4)
            total[..., 2 * y : 2 * y + size[0], 2 * x : 2 * x + size[1]] += answer
            times[..., 2 * y : 2 * y + size[0], 2 * x : 2 * x + size[1]] += 1
        ours = kinds[8](low, high)
    assert torch.allclose(ours, (total / times)[..., :17, :17], atol=1e-5)


def test_aspp_rates_grow_as_the_output_stride_shrinks() -> None:
    for output_stride, rates in ((16, [6, 12, 18]), (8, [12, 24, 36])):
        aspp = ASPP(8, width=4, rates=(6, 12, 18), output_stride=output_stride)
        convs = [m for m in aspp.atrous.modules() if isinstance(m, torch.nn.Conv2d)]
        found = [c.dilation[0] for c in convs if c.groups > 1]
        assert found == rates
        assert aspp.project.conv.in_channels == 5 * 4


@pytest.mark.parametrize(
    ("name", "count", "giga"),
    [("deeperlab-light", 8.56e6, 84.5), ("deeperlab-wider", 23.09e6, 223)],
)
def test_whole_networks_have_the_expected_size(name: str, count: float, giga: float) -> None:
    with torch.device("meta"):
        network = create(name, classes=66).eval()
        total = [0]
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(
                    lambda m, _, y: total.__setitem__(
                        0, total[0] + m.weight.numel() * y.shape[-2] * y.shape[-1]
                    )
                )
        with torch.no_grad():
            network(torch.zeros(1, 3, 1441, 1441))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(count, rel=2e-3)
    assert total[0] / 1e9 == pytest.approx(giga, rel=0.01)
