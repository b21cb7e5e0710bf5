from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atrous.nn.resample import depth_to_space, resize, sample_grid, space_to_depth

SIDES = st.integers(1, 9)


@given(SIDES, SIDES, st.integers(2, 30), st.integers(2, 30))
def test_sampling_evenly_is_resizing(h: int, w: int, rows: int, columns: int) -> None:
    x = torch.randn(2, h, w)
    at = torch.linspace(0, h - 1, rows), torch.linspace(0, w - 1, columns)
    torch.testing.assert_close(
        sample_grid(x, *at), resize(x[None], (rows, columns))[0], rtol=0, atol=1e-4
    )


@given(st.lists(st.floats(-2, 8, width=32), min_size=1, max_size=12), st.integers(1, 5), SIDES)
def test_stripes_of_samples_are_the_whole(at: list[float], stripe: int, h: int) -> None:
    x, rows, columns = torch.randn(3, h, 5), torch.tensor(at), torch.linspace(0, 4, 7)
    stripes = [sample_grid(x, part, columns) for part in rows.split(stripe)]
    assert torch.equal(torch.cat(stripes, dim=1), sample_grid(x, rows, columns))


@given(SIDES, SIDES)
def test_samples_on_the_cells_are_the_cells(h: int, w: int) -> None:
    x = torch.randn(2, h, w)
    assert torch.equal(sample_grid(x, torch.arange(h).float(), torch.arange(w).float()), x)


def test_samples_outside_of_the_map_are_its_border() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    at = torch.tensor([-5.0, 0.5, 9.0])
    expected = torch.tensor([[[1.0, 1.5, 2.0], [2.0, 2.5, 3.0], [3.0, 3.5, 4.0]]])
    assert torch.equal(sample_grid(x, at, at), expected)


def test_resizing_keeps_every_cell_of_a_map_of_stride_4_on_its_pixel() -> None:
    x = torch.randn(1, 2, 5, 9)
    torch.testing.assert_close(resize(x, (17, 33))[..., ::4, ::4], x, rtol=0, atol=1e-5)


@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from([1, 2, 4]))
def test_depth_to_space_undoes_space_to_depth_at_any_size(h: int, w: int, step: int) -> None:
    x = torch.randn(2, 3, h, w)
    folded = space_to_depth(x, block=4, step=step)
    back = depth_to_space(folded, block=4, step=step, size_hw=(h, w))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_side_of_4m_plus_1_has_m_plus_1_blocks_or_2m_plus_1_overlapping_ones(
    m: int, n: int
) -> None:
    x = torch.randn(1, 2, 4 * m + 1, 4 * n + 1)
    assert space_to_depth(x, block=4, step=4).shape == (1, 32, m + 1, n + 1)
    assert space_to_depth(x, block=4, step=2).shape == (1, 32, 2 * m + 1, 2 * n + 1)


@given(st.integers(0, 4), st.integers(0, 4))
def test_blocks_side_by_side_are_pixel_unshuffle_of_the_padded_map(m: int, n: int) -> None:
    x = torch.randn(1, 2, 4 * m + 1, 4 * n + 1)
    plain = F.pixel_unshuffle(F.pad(x, (0, 3, 0, 3)), 4)
    assert torch.equal(space_to_depth(x, block=4, step=4), plain)


@given(st.integers(0, 4), st.integers(0, 4))
def test_every_second_overlapping_block_is_a_block_side_by_side(m: int, n: int) -> None:
    x = torch.randn(1, 2, 4 * m + 1, 4 * n + 1)
    dense = space_to_depth(x, block=4, step=2)[..., ::2, ::2]
    assert torch.equal(dense, space_to_depth(x, block=4, step=4))


@pytest.mark.parametrize("step", [2, 4])
def test_gradients_pass_through_folding_and_back(step: int) -> None:
    x = torch.randn(1, 1, 5, 9, dtype=torch.float64, requires_grad=True)
    folded = space_to_depth(x, block=4, step=step)
    depth_to_space(folded, block=4, step=step, size_hw=(5, 9)).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_where_blocks_overlap_their_mean_counts() -> None:
    blocks = torch.stack([torch.zeros(16, 1), torch.ones(16, 1)], dim=-1)[None]
    answer = depth_to_space(blocks, block=4, step=2, size_hw=(4, 6))
    assert torch.equal(answer[0, 0], torch.tensor([0, 0, 0.5, 0.5, 1, 1]).expand(4, 6))
