from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.run.schedule import poly, rate
from atrous.run.settings import TrainSettings

POWER = 0.9
PLAIN = TrainSettings(iterations=1000, batch=2, crop=33, lr=1.0)
EPOCH = 661
FCRN = TrainSettings(
    iterations=60 * EPOCH, batch=16, crop=505, lr=0.0016, hold=2 / 3, drop=0.5, power=1.0
)
SHARES = st.floats(0, 1)


def test_poly_is_at_0_535887_half_way() -> None:
    assert poly(500, total=1000, start=1.0, power=POWER) == pytest.approx(0.535887, abs=5e-7)
    assert rate(500, PLAIN) == pytest.approx(0.535887, abs=5e-7)


@pytest.mark.parametrize("start", [0.007, 0.01])
def test_poly_starts_at_the_start_and_ends_at_zero(start: float) -> None:
    assert poly(0, total=30_000, start=start, power=POWER) == start
    assert poly(30_000, total=30_000, start=start, power=POWER) == 0


def test_poly_stays_zero_after_its_end() -> None:
    assert poly(12, total=10, start=0.1, power=POWER) == 0


def test_poly_of_power_one_is_a_line() -> None:
    rates = [poly(step, total=4, start=2.0, power=1.0) for step in range(5)]
    assert rates == [2.0, 1.5, 1.0, 0.5, 0.0]


@given(st.integers(1, 500_000), st.data())
def test_poly_falls_at_every_step_and_the_last_one_still_learns(
    total: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total - 1))
    now, after = (poly(s, total=total, start=0.01, power=POWER) for s in (step, step + 1))
    assert now > after >= 0


@given(st.integers(1, 500_000), st.floats(1e-6, 10), st.floats(0.1, 3), st.data())
def test_the_rate_is_poly_to_the_last_bit_where_nothing_else_is_asked_for(
    total: int, start: float, power: float, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total + 1))
    settings = replace(PLAIN, iterations=total, lr=start, power=power)
    assert rate(step, settings) == poly(step, total=total, start=start, power=power)


def test_fcrn_s_rate_is_constant_for_40_epochs_and_a_line_from_half_of_it_for_20() -> None:
    assert {rate(step, FCRN) for step in (0, 1, EPOCH, 40 * EPOCH - 1)} == {0.0016}
    assert rate(40 * EPOCH, FCRN) == 0.0008
    assert [rate(epoch * EPOCH, FCRN) for epoch in (45, 50, 55, 60)] == pytest.approx(
        [0.0006, 0.0004, 0.0002, 0], abs=1e-12
    )
    assert rate(60 * EPOCH - 1, FCRN) == pytest.approx(0.0008 / (20 * EPOCH))


def test_fcrn_s_rate_on_cityscapes_falls_after_exactly_140_epochs() -> None:
    epoch = 185
    settings = replace(FCRN, iterations=204 * epoch, hold=140 / 204)
    assert [rate(140 * epoch + more, settings) for more in (-1, 0)] == [0.0016, 0.0008]


def test_without_a_drop_the_rate_goes_on_where_it_was_held() -> None:
    settings = replace(PLAIN, hold=0.4)
    assert rate(399, settings) == rate(400, settings) == 1
    assert rate(700, settings) == pytest.approx(0.535887, abs=5e-7)


def test_a_warm_up_grows_from_zero_in_equal_steps_and_lies_over_the_rest() -> None:
    settings = replace(PLAIN, warmup=3, hold=1.0)
    assert [rate(step, settings) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    falling = replace(PLAIN, warmup=3)
    assert rate(1, falling) == 0.5 * rate(1, PLAIN)
    assert rate(3, falling) == rate(3, PLAIN)


def test_a_rate_that_is_held_to_the_end_is_zero_after_it() -> None:
    settings = replace(PLAIN, iterations=5, hold=1.0, drop=0.1)
    assert [rate(step, settings) for step in range(7)] == [1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("hold", "first"), [(0.0, 0.3), (0.4, 0.3), (0.6, 1.0), (1.0, 1.0)])
def test_a_run_of_one_step_learns_at_the_held_or_at_the_dropped_rate(
    hold: float, first: float
) -> None:
    settings = replace(PLAIN, iterations=1, hold=hold, drop=0.3)
    assert [rate(step, settings) for step in (0, 1)] == [first, 0]


@given(st.integers(1, 10_000), SHARES, SHARES, st.integers(0, 50), st.data())
def test_the_rate_is_never_negative_nor_above_lr_and_never_grows_after_the_warm_up(
    total: int, hold: float, drop: float, warmup: int, data: st.DataObject
) -> None:
    settings = replace(PLAIN, iterations=total, hold=hold, drop=drop, warmup=warmup)
    step = data.draw(st.integers(0, total))
    now, after = rate(step, settings), rate(step + 1, settings)
    assert 0 <= now <= 1
    assert step < warmup or after <= now


@given(st.integers(2, 10_000), SHARES, st.data())
def test_the_falling_part_has_no_leaps(total: int, hold: float, data: st.DataObject) -> None:
    settings = replace(PLAIN, iterations=total, hold=hold, power=1.0)
    step = data.draw(st.integers(0, total - 1))
    slope = 1 / max(1, total - round(hold * total))
    assert rate(step, settings) - rate(step + 1, settings) <= slope + 1e-12 or hold == 1
