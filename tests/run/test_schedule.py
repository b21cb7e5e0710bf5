from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.run.schedule import poly

POWER = 0.9


def test_poly_is_at_0_535887_half_way() -> None:
    assert poly(500, total=1000, start=1.0, power=POWER) == pytest.approx(0.535887, abs=5e-7)


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
