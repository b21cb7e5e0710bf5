from __future__ import annotations

from atrous.clock import stage, timed


def work() -> None:
    for name in ("votes", "merge", "votes"):
        with stage(name):
            sum(range(2000))


def test_stages_are_timed_in_their_order_and_add_up() -> None:
    settled: list[None] = []
    with timed(settle=lambda: settled.append(None)) as seconds:
        work()
    assert list(seconds) == ["votes", "merge"]
    assert seconds["votes"] > seconds["merge"] > 0
    assert len(settled) == 3


def test_nothing_is_kept_where_nobody_asks() -> None:
    with timed() as seconds:
        pass
    work()
    assert seconds == {}


def test_a_stage_that_fails_is_timed_too_and_fails_on() -> None:
    with timed() as seconds:
        try:
            with stage("votes"):
                raise KeyError("x")
        except KeyError:
            seconds["told"] = 1.0
    assert list(seconds) == ["votes", "told"]
