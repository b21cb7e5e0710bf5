from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from atrous.processes import AHEAD, in_order, processes_for
from atrous.types import BadInput


def squared(factor: int, number: int) -> tuple[int, int]:
    """The answer, and who gave it."""
    return factor * number * number, os.getpid()


def refusing(number: int) -> int:
    if number == 3:
        raise BadInput("3.png: no image")
    return number


def dying(number: int) -> int:
    os._exit(1)


def test_answers_come_in_the_order_of_the_jobs_from_other_processes() -> None:
    here = list(in_order(partial(squared, 2), range(20), processes=1))
    there = list(in_order(partial(squared, 2), range(20), processes=2))
    assert [a for a, _ in here] == [a for a, _ in there] == [2 * i * i for i in range(20)]
    assert {who for _, who in here} == {os.getpid()}
    assert os.getpid() not in {who for _, who in there}


def test_few_jobs_are_begun_ahead() -> None:
    begun: list[int] = []

    def jobs() -> Iterator[int]:
        for i in range(100):
            begun.append(i)
            yield i

    answers = in_order(refusing, jobs(), processes=2)
    assert next(answers) == 0
    assert len(begun) <= 2 * AHEAD + 1
    answers.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("processes", [1, 2])
def test_bad_input_of_a_job_is_raised_here(processes: int) -> None:
    answers = in_order(refusing, range(9), processes=processes)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BadInput, match=r"^3\.png: no image$"):
        next(answers)


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(BadInput, match="a worker died"):
        list(in_order(dying, range(3), processes=2))


def test_small_sets_are_read_in_this_process() -> None:
    assert processes_for(None, 99) == 0
    assert processes_for(None, 10**6) == os.cpu_count()
    assert processes_for(3, 2) == 2
    assert processes_for(0, 500) == 0
