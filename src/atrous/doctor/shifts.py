"""Label values that lie beside those of the class list: by one, or by two if it was done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from atrous.doctor.findings import Findings, Found, Suspect
from atrous.doctor.kinds import SHIFTED, TWICE
from atrous.doctor.values import Meanings

STEPS = (1, -1, 2, -2)
UNLIKE, NEAR = 0.2, 0.25
"""How far the class shares of two splits lie apart, and how near once one is shifted: 0 to 1."""
FAR, GAIN = 0.5, 0.25
"""How far the shares of one label lie from the usual, and how much nearer a shift brings them.

Of 850 clean labels of four data sets none came nearer, most of those shifted did by 0.3 and more.
"""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far values lie from those of the list."""

    by: int


def shift(suspects: Sequence[Suspect], findings: Findings, meant: Meanings) -> Shift | None:
    """The shift that explains all ids of no class of some images at once; None if there is none.

    A shift up shows by the id above the highest and the lack of the lowest; one down by the lack
    of the highest, and by void or the lowest where they ended up.
    """
    ids = frozenset().union(*(s.ids for s in suspects))
    unknown = {i for s in suspects for i, _ in s.unknown}
    if not unknown:
        return None
    fitting = [by for by in STEPS if _explains(by, ids, unknown, meant)]
    if not fitting:
        return None
    classes, end = sorted(meant.labels.class_ids()), _end(ids, unknown, meant)
    is_whole = 2 * len(suspects) >= max(findings.valued.values(), default=0)
    to_top = [s for s in fitting if s < 0 and end - s == classes[-1]]
    return Shift(next(iter(to_top if is_whole else ()), fitting[0]))  # few may lack the highest


def shifted(suspect: Suspect, found: Shift, meant: Meanings) -> Found:
    """What is told of an image."""
    value, place = suspect.unknown[0] if suspect.unknown else (suspect.pixels[0][0], "whole file")
    classes = sorted(meant.labels.class_ids())
    words = "too high" if found.by > 0 else "too low"
    steps = "one" if abs(found.by) == 1 else "two"
    what = f"id {value}; classes are {classes[0]} to {classes[-1]}: all ids are {steps} {words}"
    kind = SHIFTED if abs(found.by) == 1 else TWICE
    return Found(suspect.sample, kind, suspect.file, place, what)


def drift(
    values: Mapping[int, int], other: Mapping[int, int], class_ids: Iterable[int]
) -> int | None:
    """By how much the ids of a split lie above those of another, if that explains their shares.

    values, other  file id -> pixels
    """
    ids = sorted(class_ids)
    own, theirs = (_shares(x, ids) for x in (values, other))
    apart = _apart(own, theirs)
    if len(own) < 3 or len(theirs) < 3 or apart < UNLIKE:
        return None
    moved = {}
    for by, lost in ((1, ids[-1]), (-1, ids[0])):  # what a shift moves off the list is void
        rest = _shares(other, [i for i in ids if i != lost])
        moved[by] = _apart({i - by: x for i, x in own.items()}, rest)
    best = min(moved, key=lambda by: moved[by])
    limit = NEAR if apart > FAR else min(NEAR, apart / 3)
    return best if moved[best] < limit else None


def looks_shifted(suspect: Suspect, findings: Findings, meant: Meanings) -> int | None:
    """By how much the ids of one image lie beside their places, if that makes its shares usual."""
    ids = sorted(meant.labels.class_ids())
    own, usual = _shares(dict(suspect.pixels), ids), _shares(findings.values, ids)
    apart = _apart(own, usual)
    moved = {
        by: _apart({i - by: x for i, x in own.items()}, usual)
        for by, end in ((1, ids[0]), (-1, ids[-1]))
        if end not in own
    }
    if not moved or apart < FAR:
        return None
    by = min(moved, key=lambda by: moved[by])
    return by if moved[by] < FAR and moved[by] < apart - GAIN else None


def unshifted(file_id: int, by: int) -> int:
    """The id before a shift, which wraps around within 8 bits."""
    before = file_id - by
    if before < 0:
        return before + 256
    return before - 256 if file_id < 256 <= before else before


def _explains(by: int, ids: frozenset[int], unknown: set[int], meant: Meanings) -> bool:
    classes = sorted(meant.labels.class_ids())
    low, top, kept = classes[0], classes[-1], (meant.ignored or frozenset()) - unknown
    if not all(i in kept or unshifted(i, by) in meant.known for i in ids):
        return False
    if by > 0:
        return top + by in unknown and not ids & set(range(low, low + by))
    moved = {(i + by) % 256 for i in (low, *(meant.ignored or ()))}
    return bool(moved & ids) and not ids & set(range(top + by + 1, top + 1))


def _end(ids: frozenset[int], unknown: set[int], meant: Meanings) -> int:
    """The highest id that is neither void nor one that wrapped around."""
    return max((i for i in ids & frozenset(meant.labels.class_ids()) - unknown), default=0)


def _shares(values: Mapping[int, int], ids: Sequence[int]) -> dict[int, float]:
    kept = Counter({i: values[i] for i in ids if values.get(i)})
    total = sum(kept.values())
    return {i: pixels / total for i, pixels in kept.items()}


def _apart(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Half the sum of differences: 0 = the same shares, 1 = nothing in common."""
    return sum(abs(one.get(i, 0) - other.get(i, 0)) for i in {*one, *other}) / 2
