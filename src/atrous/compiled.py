"""The one way in which a loop over pixels becomes machine code, and a look at eight at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """`function` as a numba kernel: without the interpreter's lock, kept on disk once compiled.

    Where nothing can be written it is compiled in each process. Kernels never run in parallel
    inside, so that they are safe to call from many threads.
    """
    return _kernel(function)


def lean(function: Kernel) -> Kernel:
    """As `compiled`, for what makes and returns no arrays: it does not count who holds them.

    That count goes up and down with each array that a call gets, many at once where kernels share
    tuples of arrays: without it a call costs nothing.
    """
    return _kernel(function, _nrt=False)


def summing(function: Kernel) -> Kernel:
    """As `lean`, for sums of floats whose order does not matter: many are added at once.

    The last bits of such a sum depend on how wide the vectors of the CPU are.
    """
    return _kernel(function, fastmath={"reassoc", "nsz"}, _nrt=False)


def _kernel(function: Kernel, **how: Any) -> Kernel:
    name = function.__qualname__
    function.__qualname__ = f"{name}_{_stamp()}"  # numba calls its files so
    try:
        return cast(Kernel, numba.njit(nogil=True, cache=True, **how)(function))
    except RuntimeError:  # neither the package nor the user's home can be written
        return cast(Kernel, numba.njit(nogil=True, **how)(function))
    finally:
        function.__qualname__ = name


@cache
def _stamp() -> str:
    """Changes with any file that has kernels: machine code holds parts of all that it calls.

    numba itself looks at the one file of a kernel alone, and would go on with what is no longer so.
    """
    digest, here = blake2b(digest_size=6), Path(__file__)
    for path in sorted(here.parent.rglob("*.py")):
        text = path.read_bytes()
        if b"from atrous.compiled import" in text or path == here:
            digest.update(text)
    return digest.hexdigest()


_TWICE = np.uint64(0x0000000100000001)
_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@compiled
def twice(value: np.int32) -> np.uint64:
    """A number two times in a word."""
    return np.uint64(np.uint32(value)) * _TWICE


@compiled
def differ(words: NDArray[np.uint64], at: np.uint64, value: np.uint64) -> np.uint64:
    """0 if the eight numbers from a word on, two in each, are all one, which `value` has twice."""
    left = (words[at] ^ value) | (words[at + _ONE] ^ value)
    return np.uint64(left | (words[at + _TWO] ^ value) | (words[at + _THREE] ^ value))
