from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.nn.resample import sample_grid
from atrous.views.mixing import BLOCK_PX
from atrous.views.softmax import best_classes


def best_of(
    logits: np.ndarray, rows: np.ndarray, columns: np.ndarray, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(rows), len(columns))
    classes, sure = np.empty(shape, np.uint8), np.empty(shape, np.float32)
    best_classes(logits, rows, columns, out=(classes, sure), threads=threads)
    return classes, sure


def plain(logits: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """(classes, m, n) probabilities of upsampled logits."""
    y, x = torch.from_numpy(rows).float(), torch.from_numpy(columns).float()
    return sample_grid(torch.from_numpy(logits).permute(2, 0, 1), y, x).softmax(dim=0)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(1, 6)] * 2),
    st.integers(1, 9),
    st.tuples(*[st.integers(1, 12)] * 2),
)
def test_classes_and_probabilities_are_those_of_upsampled_logits(
    seed: int, cells: tuple[int, int], classes: int, wanted: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=10, size=(*cells, classes)).astype(np.float32)
    rows, columns = (
        np.sort(rng.uniform(-1, n + 1, m)).astype(np.float32).astype(np.float64)
        for n, m in zip(cells, wanted, strict=True)
    )
    best, sure = best_of(logits, rows, columns)
    expected = plain(logits, rows, columns).numpy()
    assert np.abs(sure - expected.max(axis=0)).max() < 1e-5
    chosen = np.take_along_axis(expected, best[None].astype(np.int64), axis=0)[0]
    assert np.abs(chosen - expected.max(axis=0)).max() < 1e-5


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.sampled_from([3, 4, 7, 8, 16]),
    st.sampled_from([1.0, 20.0, 45.0, 300.0]),
    st.booleans(),
)
def test_rows_that_lie_evenly_have_the_classes_and_probabilities_of_any_others(
    seed: int, cells: int, zoom: int, scale: float, is_whole: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=scale, size=(cells, 3, 6)).astype(np.float32)
    rows = np.arange((cells - 1) * zoom + 1) / zoom + (0 if is_whole else 0.4 / zoom)
    best, sure = best_of(logits, rows, np.arange(9) / 4)
    one = [best_of(logits, rows[i : i + 1], np.arange(9) / 4) for i in range(len(rows))]
    assert (best == np.concatenate([b for b, _ in one])).all()
    assert np.abs(sure - np.concatenate([s for _, s in one])).max() < 2e-6 + 5e-7 * scale
    expected = plain(logits, np.minimum(rows, cells - 1), np.arange(9) / 4).amax(dim=0).numpy()
    assert np.abs(sure - expected).max() < 1e-4


def test_no_probability_is_above_one_where_the_network_is_sure() -> None:
    rng = np.random.default_rng(0)
    classes = np.kron(rng.integers(0, 19, (5, 9)), np.ones((8, 8), int))
    logits = (np.eye(19)[classes] * 20 + rng.normal(size=(*classes.shape, 19))).astype(np.float32)
    for zoom in (4, 8, 16):
        _, sure = best_of(logits, np.arange(39 * zoom + 1) / zoom, np.arange(285) / 4)
        assert 0.999 < sure.max() <= 1


def test_probabilities_do_not_depend_on_how_steeply_all_logits_fall_or_rise() -> None:
    for drop in (-1000, -200, -110, 110, 120, 140, 200, 1000):
        logits = np.zeros((2, 1, 2), np.float32)
        logits[0, 0], logits[1, 0] = (0, -1), (-drop, -drop - 1)
        best, sure = best_of(logits, np.arange(5) / 4, np.zeros(1))
        assert (best == 0).all()
        assert np.abs(sure - 0.7310586).max() < 1e-4


def test_threads_change_no_answer() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(51, 71, 40)).astype(np.float32)
    rows, columns = np.arange(403) / 8, np.arange(281) / 4
    for one, all_ in zip(*(best_of(logits, rows, columns, n) for n in (1, 3)), strict=True):
        assert (one == all_).all()


def test_rows_longer_than_a_block_and_falling_columns_are_right_too() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(3, 90, 4)).astype(np.float32)
    rows, columns = np.linspace(0, 2, 5), np.linspace(89, 0, 2 * BLOCK_PX + 7)
    best, sure = best_of(logits, rows, columns)
    expected = plain(logits, rows, columns)
    assert (best == expected.argmax(dim=0).numpy()).mean() > 0.999
    assert np.abs(sure - expected.amax(dim=0).numpy()).max() < 1e-4


def test_of_equal_logits_the_first_class_counts() -> None:
    best, sure = best_of(np.zeros((2, 2, 5), np.float32), np.zeros(1), np.zeros(1))
    assert best.tolist() == [[0]]
    assert abs(float(sure[0, 0]) - 0.2) < 1e-6


def test_what_is_not_finite_is_void_where_it_reaches_and_nowhere_else() -> None:
    for broken in (np.nan, np.inf, -np.inf):
        logits = np.zeros((1, 4, 3), np.float32)
        logits[0, 0, 1] = broken
        best, sure = best_of(logits, np.zeros(1), np.array([0, 0.5, 1, 2, 3]))
        assert best.tolist() == [[255, 255, 0, 0, 0]]
        assert sure[0, :2].tolist() == [0, 0]
        assert (sure[0, 2:] > 0.3).all()


def test_what_is_not_finite_is_void_in_even_rows_too() -> None:
    for broken in (np.nan, np.inf, -np.inf):
        logits = np.zeros((4, 1, 3), np.float32)
        logits[0, 0, 1] = broken
        best, sure = best_of(logits, np.arange(13) / 4, np.zeros(1))
        assert best[:, 0].tolist() == [255] * 4 + [0] * 9
        assert (sure[:4, 0] == 0).all()
        assert (sure[4:, 0] > 0.3).all()
