"""The processes of a run: what they share out, say to each other, and raise together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from atrous.run.world import CPU, World, joined
from atrous.types import BadInput, Failed
from ranks import ranks

ALONE = World(0, 1, CPU)


@dataclass(frozen=True)
class Answer:
    """What one of two processes found; see `work`."""

    world: World
    share: range
    sums: list[float]
    any: list[bool]
    gathered: list[str]
    first: object
    calls: int
    raised: list[str]
    weights: list[float]
    inner: World
    again: float


def work(rank: int) -> Answer:
    calls: list[int] = []

    def once() -> str:
        calls.append(rank)
        return f"made by {rank}"

    torch.manual_seed(rank)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    network.get_buffer("1.running_mean").fill_(rank)
    with joined("cpu") as world:
        told = Answer(
            world,
            share=world.share(6),
            sums=world.sum(torch.tensor([1.0, float(rank)])).tolist(),
            any=[world.any(rank == 1), world.any(False), world.any(True)],
            gathered=world.gathered(f"of {rank}"),
            first=world.first(once),
            calls=len(calls),
            raised=[raised(world, error) for error in ERRORS],
            weights=given(world, network),
            inner=inner(),
            again=0.0,
        )
    with joined("cpu") as world:  # --auto-batch meets, then the training does
        again = float(world.sum(torch.tensor(1.0)))
    return Answer(**{**{k: getattr(told, k) for k in told.__dataclass_fields__}, "again": again})


ERRORS: list[Callable[[], Exception]] = [
    lambda: BadInput("no such folder"),
    lambda: Failed("it went wrong"),
    lambda: OSError(28, "No space left on device", "/run"),
]


def raised(world: World, error: Callable[[], Exception]) -> str:
    """What a process hears when the work of the first one fails."""

    def fail() -> None:
        raise error()

    try:
        world.first(fail)
    except Exception as caught:
        return f"{type(caught).__name__}: {caught}"
    return "nothing"


def given(world: World, network: nn.Module) -> list[float]:
    world.give(network)
    return values(network)


def values(network: nn.Module) -> list[float]:
    return [float(x) for value in network.state_dict().values() for x in value.flatten()]


def inner() -> World:
    with joined("cpu") as world:
        return world


@pytest.fixture(scope="module")
def two() -> list[Answer]:
    return ranks(2, work, joined=False)


def test_processes_know_their_place(two: list[Answer]) -> None:
    assert [answer.world for answer in two] == [World(0, 2, CPU), World(1, 2, CPU)]
    assert [answer.world.is_first for answer in two] == [True, False]
    assert [answer.share for answer in two] == [range(3), range(3, 6)]


def test_sums_and_claims_are_known_to_all(two: list[Answer]) -> None:
    for answer in two:
        assert answer.sums == [2.0, 1.0]
        assert answer.any == [True, False, True]
        assert answer.gathered == ["of 0", "of 1"]


def test_the_first_process_works_for_all(two: list[Answer]) -> None:
    assert [answer.first for answer in two] == ["made by 0", "made by 0"]
    assert [answer.calls for answer in two] == [1, 0]


def test_what_the_first_process_raises_comes_out_of_all(two: list[Answer]) -> None:
    assert two[0].raised == two[1].raised
    assert two[1].raised == [
        "BadInput: no such folder",
        "Failed: it went wrong",
        "OSError: [Errno 28] No space left on device: '/run'",
    ]


def test_all_processes_get_weights_and_statistics_of_the_first(two: list[Answer]) -> None:
    torch.manual_seed(0)
    assert (
        two[0].weights
        == two[1].weights
        == values(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)))
    )


def test_processes_that_are_joined_stay_so_and_may_meet_again(two: list[Answer]) -> None:
    assert [answer.inner for answer in two] == [answer.world for answer in two]
    assert [answer.again for answer in two] == [2.0, 2.0]


def test_one_process_is_a_world_of_its_own() -> None:
    with joined("cpu") as world:
        assert world == ALONE
    assert not torch.distributed.is_initialized()
    assert world.share(5) == range(5)
    assert world.gathered("x") == ["x"]
    assert world.first(lambda: 3) == 3
    assert (world.any(True), world.any(False)) == (True, False)
    with pytest.raises(BadInput, match="no such folder"):
        world.first(lambda: _raise(ERRORS[0]()))


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(("batch", "size", "instead"), [(16, 3, 15), (17, 3, 18), (1, 2, 2)])
def test_a_batch_that_cannot_be_shared_out_names_one_that_can(
    batch: int, size: int, instead: int
) -> None:
    message = f"train.batch is {batch}, which {size} processes cannot .* set it to {instead}$"
    for rank in range(size):
        with pytest.raises(BadInput, match=message):
            World(rank, size, CPU).share(batch)
    shares = [World(rank, size, CPU).share(instead) for rank in range(size)]
    assert [slot for share in shares for slot in share] == list(range(instead))


@pytest.mark.parametrize("device", ["cuda", "mps", "tpu"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if device != "tpu" and (torch.cuda if device == "cuda" else torch.backends.mps).is_available():
        pytest.skip(f"this machine has {device}")
    with pytest.raises(BadInput, match=rf"--device {device}: not on this machine"), joined(device):
        pass
