"""Runs a function in several processes that know each other, with what torchrun would tell them."""

from __future__ import annotations

import os
import pickle
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Result = TypeVar("Result")
HERE = "127.0.0.1"
GRACE_S = 5.0
"""For a process that has answered to end by itself."""


def ranks(
    count: int,
    work: Callable[..., Result],
    *arguments: object,
    joined: bool = True,
    timeout_s: float = 120.0,
) -> list[Result]:
    """What `work(rank, *arguments)` answers in each of `count` fresh processes, by rank.

    Each has one torch thread, torchrun's variables in its environment, and warnings as errors.

    work       a function of a module; it, the arguments and the answers must be picklable
    joined     the processes form a gloo group before `work`; else `work` joins by itself, from
               the environment
    timeout_s  for all of it; what still runs then, or when one has failed, is killed

    Raises: RuntimeError with the traceback of what failed first; TimeoutError.
    """
    # The port is free for sure: this process listens on it, as the agent of torchrun does.
    store = dist.TCPStore(  # type: ignore[attr-defined]
        HERE, 0, is_master=True, wait_for_workers=False
    )
    task = pickle.dumps((work, arguments))
    with _processes(count, store.port, task, joined) as connections:
        return _answers(connections, timeout_s)


@contextmanager
def _processes(count: int, port: int, task: bytes, joined: bool) -> Iterator[list[Connection]]:
    context, connections, processes = get_context("spawn"), [], []
    try:
        for rank in range(count):
            answer, to_answer = context.Pipe(duplex=False)
            connections.append(answer)
            child = context.Process(
                target=_child, args=(rank, count, port, task, joined, to_answer)
            )
            child.start()
            processes.append(child)
            to_answer.close()  # the child has the only one left: if it dies, the pipe ends
        yield connections
        deadline = time.monotonic() + GRACE_S
        for child in processes:
            child.join(max(0.0, deadline - time.monotonic()))
    finally:
        for child in processes:
            child.kill()
            child.join()
        for connection in connections:
            connection.close()


def _answers(connections: list[Connection], timeout_s: float) -> list[Any]:
    answers: dict[int, Any] = {}
    deadline = time.monotonic() + timeout_s
    while len(answers) < len(connections):
        missing = [rank for rank in range(len(connections)) if rank not in answers]
        ready = wait([connections[rank] for rank in missing], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"no answer in {timeout_s:g} s from ranks {missing}")
        heard = {rank: _answer(connections[rank]) for rank in missing if connections[rank] in ready}
        # One failure soon brings others: all that are known are told.
        if failures := [
            f"rank {rank}: {failure}" for rank, (failure, _) in heard.items() if failure
        ]:
            raise RuntimeError("\n".join(failures))
        answers |= {rank: answer for rank, (_, answer) in heard.items()}
    return [answers[rank] for rank in range(len(connections))]


def _answer(connection: Connection) -> tuple[str, Any]:
    """What went wrong, empty if nothing did, and the answer."""
    try:
        failure, answer = pickle.loads(connection.recv_bytes())
    except EOFError:
        return "died without a word", None
    return failure, answer


def _child(
    rank: int, count: int, port: int, task: bytes, joined: bool, to_answer: Connection
) -> None:
    try:
        os.environ.update(_torchrun(rank, count, port))
        torch.set_num_threads(1)
        work, arguments = pickle.loads(task)
        warnings.simplefilter("error")
        if joined:
            dist.init_process_group("gloo")
        # Plain pickle: multiprocessing's own would send tensors as handles, which end with us.
        message = pickle.dumps(("", work(rank, *arguments)))
    except BaseException:
        message = pickle.dumps((traceback.format_exc(), None))
    to_answer.send_bytes(message)
    if dist.is_initialized():
        dist.destroy_process_group()


def _torchrun(rank: int, count: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": HERE,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
