from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.batch import line
from atrous.batch.answers import Answer
from atrous.batch.line import Job, Line
from atrous.result import Result
from atrous.types import BadInput, Image
from fakes import GreyParser


def job(name: str, size: int = 4, *, slow_s: float = 0.0) -> Job:
    def read() -> Image:
        time.sleep(slow_s)
        return np.zeros((size, size, 3), np.uint8)

    return Job(name, read=read, finish=lambda result: Answer(name))


def files(answers: Iterator[object]) -> list[str]:
    return [answer.file for answer in answers if isinstance(answer, Answer)]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([2, 3, 4]), st.sampled_from([0.0, 0.001])), max_size=30),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_answers_keep_their_order_and_batches_are_of_one_size(
    photos: list[tuple[int, float]], batch: int, workers: int
) -> None:
    parser = GreyParser()
    jobs = [job(str(i), size, slow_s=slow_s) for i, (size, slow_s) in enumerate(photos)]
    told = files(Line(parser, batch=batch, workers=workers).answers(iter(jobs)))
    assert told == [each.file for each in jobs]
    assert parser.count == len(jobs)
    assert all(len(set(sizes)) == 1 and len(sizes) <= batch for sizes in parser.batches)


def test_images_of_one_size_fill_batches_though_others_lie_between() -> None:
    parser = GreyParser()
    jobs = [job(str(i), 2 + i % 2) for i in range(16)]
    files(Line(parser, batch=4, workers=1).answers(iter(jobs)))
    assert [len(sizes) for sizes in parser.batches] == [4] * 4


def test_few_are_under_way_at_a_time() -> None:
    begun = 0

    def jobs() -> Iterator[Job]:
        nonlocal begun
        for number in range(100):
            begun += 1
            yield job(str(number))

    for done, _ in enumerate(Line(GreyParser(), batch=2, workers=2).answers(jobs()), start=1):
        assert begun - done < 4 * 2 + 2 * 2


def test_large_images_are_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PIXELS", 3 * 64)
    begun = 0

    def jobs() -> Iterator[Job]:
        nonlocal begun
        for number in range(50):
            begun += 1
            yield job(str(number), 8)

    ahead = [
        begun - done
        for done, _ in enumerate(Line(GreyParser(), batch=8, workers=2).answers(jobs()), start=1)
    ]
    assert max(ahead[40:]) <= 3


def test_reading_and_writing_go_on_while_the_network_works() -> None:
    """Twelve pictures at 10 ms for each of three stages take far less than 360 ms."""

    class Slow(GreyParser):
        def stream(self, images: object, *, batch: int) -> Iterator[Result]:
            time.sleep(0.01)
            return super().stream(images, batch=batch)  # type: ignore[arg-type]

    def finish(result: Result) -> Answer:
        time.sleep(0.01)
        return Answer("x")

    slow = job("x", slow_s=0.01)
    jobs = [Job("x", read=slow.read, finish=finish) for _ in range(12)]
    begun = time.monotonic()
    files(Line(Slow(), batch=1, workers=4).answers(iter(jobs)))
    assert time.monotonic() - begun < 0.3


def test_an_image_that_cannot_be_read_is_a_problem_in_its_turn() -> None:
    def read() -> Image:
        raise BadInput("b: broken")

    bad = Job("b", read=read, finish=lambda result: Answer("b"))
    told = list(Line(GreyParser(), batch=3, workers=2).answers(iter([job("a"), bad, job("c")])))
    assert [(a.file, a.problem) for a in told if isinstance(a, Answer)] == [
        ("a", ""),
        ("b", "b: broken"),
        ("c", ""),
    ]


def test_a_batch_that_does_not_fit_in_memory_is_parsed_one_by_one() -> None:
    parser = GreyParser(most=1)
    assert files(Line(parser, batch=4, workers=1).answers(iter([job("a"), job("b")]))) == ["a", "b"]
    assert [len(sizes) for sizes in parser.batches] == [1, 1]


def test_an_image_that_does_not_fit_in_memory_is_a_problem_with_its_mend() -> None:
    (told,) = Line(GreyParser(most=0), batch=1, workers=1).answers(iter([job("a")]))
    assert isinstance(told, Answer)
    assert told.problem.startswith("a: too little memory")
    assert "--tile" in told.problem


def test_a_fault_of_ours_is_no_problem_of_an_image() -> None:
    class Broken(GreyParser):
        def stream(self, images: object, *, batch: int) -> Iterator[Result]:
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        list(Line(Broken(), batch=1, workers=1).answers(iter([job("a")])))


def leave(answers: Iterator[object]) -> None:
    next(answers)
    answers.close()  # type: ignore[attr-defined]


def interrupt(answers: Iterator[object]) -> None:
    next(answers)
    with pytest.raises(KeyboardInterrupt):
        answers.throw(KeyboardInterrupt)  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", [leave, interrupt])
def test_what_is_being_written_is_finished_when_the_work_is_left(
    way: Callable[[Iterator[object]], None],
) -> None:
    begun, finished, first = [], [], threading.Event()

    def finish(result: Result) -> Answer:
        begun.append(1)
        if first.is_set():
            time.sleep(0.05)
        first.set()
        finished.append(1)
        return Answer("x")

    jobs = (Job("x", read=job("x").read, finish=finish) for _ in range(50))
    way(Line(GreyParser(), batch=1, workers=2).answers(jobs))
    assert len(begun) == len(finished) < 50
