"""The one way in which a loop over pixels becomes machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """`function` as a numba kernel: without the interpreter's lock, kept on disk once compiled.

    Where nothing can be written it is compiled in each process. Kernels never run in parallel
    inside, so that they are safe to call from many threads.
    """
    try:
        return cast(Kernel, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # neither the package nor the user's home can be written
        return cast(Kernel, numba.njit(nogil=True)(function))
