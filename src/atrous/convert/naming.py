"""How the tensors of a file are told to people: by name, long lists shortened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

NAMED, OF_A_GROUP = 6, 2
"""How many names, or groups of names, are written out; and how many of each group."""
COUNTERS = ("num_batches_tracked", "global_step")
"""What training counts in and no prediction reads: nothing is lost without it."""


def is_counter(name: str) -> bool:
    """Whether a tensor only counts the steps of a training."""
    return re.split("[./]", name)[-1] in COUNTERS


def named(names: Sequence[str], most: int = NAMED, of: str = "") -> str:
    """The first of the names, how many more there are, and of what.

    >>> named(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more{of}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def grouped(names: Iterable[str]) -> str:
    """Names by their first part, of each at most two: no long group hides a short one.

    >>> grouped(["fc.bias", "aux.0", "aux.1", "aux.2"])
    'aux.0, aux.1 and 1 more of aux; fc.bias'
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(re.split("[./]", name)[0], []).append(name)
    told = [named(group, OF_A_GROUP, f" of {first}") for first, group in groups.items()]
    rest = sum(map(len, list(groups.values())[NAMED:]))
    return "; ".join(told[:NAMED]) + (f"; and {rest} more" if rest else "")


def nearest(names: Iterable[str], lost: Sequence[str]) -> list[str]:
    """Names that may be the lost ones, those that begin like the first few of them foremost.

    >>> nearest(["fc.bias", "a.b.wait"], ["a.b.weight"])
    ['a.b.wait', 'fc.bias']
    """
    if not lost:
        return []
    return sorted(names, key=lambda name: -max(_shared(name, other) for other in lost[:NAMED]))


def _shared(name: str, other: str) -> int:
    """With how many of the same characters two names begin."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
    )


def whole_parts(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The outermost modules that hold some of the names, and none of the others.

    >>> whole_parts(["a.b.x", "a.b.y", "c.x"], ["a.d.x"])
    ('a.b', 'c')
    """
    taken = {part for name in others for part in _parts(name)}
    found = (next(p for p in _parts(name) if p not in taken) for name in names)
    return tuple(dict.fromkeys(found))


def _parts(name: str) -> Iterator[str]:
    """All of "a", "a.b" and "a.b.x" for "a.b.x"."""
    return (name[: dot.start()] for dot in re.finditer(r"\.|$", name))
