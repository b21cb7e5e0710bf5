"""What splits show beside each other: classes without pixels, far more of one, ids that drifted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from atrous.doctor.findings import VOID, Findings, Found
from atrous.doctor.kinds import ABSENT, ABSENT_HERE, DRIFTED, LOOKS_DRIFTED, UNLIKE
from atrous.doctor.opening import Plan, class_list
from atrous.doctor.shifts import drift
from atrous.labels import LabelSpace

LEAST_FILES = 8
"""Label files that a split needs for its shares to say something."""
SHARED = 5
"""Classes that two splits must share for a fault: few may lie beside each other by chance."""
LEAST_IMAGES, RATIO, LEAST_SHARE = 30, 20.0, 0.01


@dataclass(frozen=True, slots=True)
class Drift:
    """A split whose ids lie `by` above those of another; `is_sure` if enough classes show it."""

    by: int
    other: int
    is_sure: bool


def drifts(plan: Plan, homes: Mapping[int, Findings], shifted: Collection[int]) -> dict[int, Drift]:
    """Place of a split -> how its ids lie beside those of another.

    shifted  splits whose ids are known not to be those of the list: others are not held to them
    """
    found: dict[int, Drift] = {}
    for one, other in combinations(sorted(homes.keys() - set(shifted)), 2):
        labels = _labels(plan, one)
        files = min(max(homes[i].valued.values(), default=0) for i in (one, other))
        if labels is None or labels != _labels(plan, other) or files < LEAST_FILES:
            continue
        by = drift(homes[one].values, homes[other].values, labels.class_ids())
        ways = () if by is None else ((one, other, by), (other, one, -by))
        fitting = [way for way in ways if _lacks_end(homes[way[0]], labels, way[2])]
        fitting.sort(key=lambda way: not _has_beyond(homes[way[0]], labels, way[2]))
        for accused, usual, step in fitting[:1]:
            found[accused] = _drift(homes[accused], usual, homes[usual], step, labels)
    return found


def _drift(findings: Findings, other: int, usual: Findings, by: int, labels: LabelSpace) -> Drift:
    shared = sum(bool(findings.values[i + by] and usual.values[i]) for i in labels.class_ids())
    return Drift(by, other, shared >= SHARED)


def _lacks_end(findings: Findings, labels: LabelSpace, by: int) -> bool:
    """Whether the end of the list that a shift leaves empty is in no label file."""
    ids = labels.class_ids()
    return findings.valued[min(ids) if by > 0 else max(ids)] == 0


def _has_beyond(findings: Findings, labels: LabelSpace, by: int) -> bool:
    """Whether there is the id that an end of the list becomes once it is moved off."""
    ids = labels.class_ids()
    return findings.valued[max(ids) + 1 if by > 0 else (min(ids) - 1) % 256] > 0


def drifted(plan: Plan, split: int, found: Drift) -> Found:
    """What is told of a split whose ids drifted."""
    sample = next(i for i, x in enumerate(plan.samples) if split in x.splits)
    words = "one too high" if found.by > 0 else "one too low"
    usual = plan.splits[found.other].name
    what = f"the shares of classes are those of {usual} if all ids are {words}"
    kind = DRIFTED if found.is_sure else LOOKS_DRIFTED
    return Found(-1, kind, str(plan.samples[sample].entry.truth[0]), "all labels", what)


def absences(plan: Plan, homes: Mapping[int, Findings]) -> Iterator[tuple[str, Found]]:
    """Classes without a pixel, in all splits or in one.

    homes  only splits whose labels can be trusted
    """
    seen = {i: _seen(plan, i, found) for i, found in homes.items() if found.images}
    names = list(dict.fromkeys(name for counts in seen.values() for name in counts))
    lacking = {name: [i for i in seen if seen[i].get(name, 1) == 0] for name in names}
    gone = {name for name in names if all(seen[i].get(name, 0) == 0 for i in seen)}
    for name in names:
        for i in lacking[name] if name not in gone else ():
            file, place = class_list(plan.spec, plan.root, plan.splits[i].name), f"class {name!r}"
            what = f"in none of {homes[i].images} labels, but in other splits"
            yield plan.splits[i].name, Found(-1, ABSENT_HERE, file, place, what)
    for name in sorted(gone):
        file = class_list(plan.spec, plan.root, plan.splits[lacking[name][0]].name)
        what = f"in none of {sum(homes[i].images for i in lacking[name])} labels"
        hint = _hint(plan, lacking[name][0], name) if len(gone) == 1 else ""
        splits = ", ".join(plan.splits[i].name for i in lacking[name])
        yield splits, Found(-1, ABSENT, file, f"class {name!r}", what + hint)


def _hint(plan: Plan, split: int, name: str) -> str:
    """Says so if it is an end of the list that is missing."""
    labels = _labels(plan, split)
    ids = {x.name: x.file_id for x in labels.labels} if labels else {name: 0}
    way = "high" if ids[name] == min(ids.values()) else "low"
    is_end = ids[name] in (min(ids.values()), max(ids.values()))
    return f"; it is an end of the list: are all ids one too {way}?" if is_end else ""


def unlike(plan: Plan, homes: Mapping[int, Findings]) -> Iterator[tuple[str, Found]]:
    """Classes whose share of pixels in one split is many times that in another."""
    big = [i for i, found in homes.items() if found.images >= LEAST_IMAGES]
    for one, other in combinations(sorted(big), 2):
        mine, theirs = (_shares(plan, i, homes[i]) for i in (one, other))
        for name in mine.keys() & theirs.keys():
            low, high = sorted((mine[name], theirs[name]))
            if low > 0 and high >= LEAST_SHARE and high > RATIO * low:
                names = [plan.splits[i].name for i in (one, other)]
                shares = (f"{100 * x[name]:.2f} % of" for x in (mine, theirs))
                what = ", ".join(map(" ".join, zip(shares, names, strict=True)))
                file = class_list(plan.spec, plan.root, names[0])
                yield ", ".join(names), Found(-1, UNLIKE, file, f"class {name!r}", what)


def _labels(plan: Plan, split: int) -> LabelSpace | None:
    source = plan.splits[split].source
    return None if source is None else source.labels


def _seen(plan: Plan, split: int, found: Findings) -> dict[str, int]:
    """Class name -> images it is in."""
    labels = _labels(plan, split)
    return {x.name: found.seen[i] for i, x in enumerate(labels.labels)} if labels else {}


def _shares(plan: Plan, split: int, found: Findings) -> dict[str, float]:
    labels, total = _labels(plan, split), found.pixels.total() - found.pixels[VOID]
    rows = enumerate(labels.labels) if labels else ()
    return {x.name: found.pixels[i] / max(1, total) for i, x in rows}
