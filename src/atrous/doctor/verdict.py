"""All that was found, with its split: what images, splits and pairs of splits say, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from atrous.doctor.compare import absences, drifted, drifts, unlike
from atrous.doctor.findings import Findings, Found, total
from atrous.doctor.judge import split_judged, values_judged
from atrous.doctor.kinds import FAULT, SHIFTED, severity
from atrous.doctor.leaks import same_labels, twins
from atrous.doctor.opening import Plan
from atrous.doctor.values import meanings

Told = tuple[str, Found]
"""The split, or splits, and what was found there."""


def judged(plan: Plan, homes: Mapping[int, Findings]) -> list[Told]:
    """Faults, then warnings; warnings of images that have a fault are left out.

    So are warnings on a whole split of which half or more of the images have faults.

    homes  place of a split -> findings of the samples that no smaller split has
    """
    moved = drifts(plan, homes)
    told = [(split.name, found) for split in plan.splits for found in split.found]
    told += _of_images(plan, homes, moved)
    told += _leaks(plan, homes)
    whole = list(_of_splits(plan, homes))
    wrong = {i for i, (_, x) in whole if severity(x.kind) == FAULT} | moved.keys()
    told += [x for _, x in whole if severity(x[1].kind) == FAULT]
    faulty = {x.sample for _, x in told if severity(x.kind) == FAULT} - {-1}
    trusted = {i: x for i, x in homes.items() if i not in wrong and _is_sound(plan, i, faulty)}
    told += [x for i, x in whole if i in trusted and severity(x[1].kind) != FAULT]
    told += absences(plan, trusted)
    told += unlike(plan, trusted)
    kept = [x for x in told if severity(x[1].kind) == FAULT or x[1].sample not in faulty]
    return sorted(kept, key=lambda x: (severity(x[1].kind) != FAULT, x[0], x[1]))


def _of_images(
    plan: Plan, homes: Mapping[int, Findings], moved: Mapping[int, tuple[int, int]]
) -> Iterator[Told]:
    for i, findings in homes.items():
        split, (by, other) = plan.splits[i], moved.get(i, (None, i))
        if split.source is None:
            continue
        found = [*findings.found, *values_judged(findings, meanings(split.source), by)]
        if by is not None and not any(x.kind == SHIFTED for x in found):
            found.append(drifted(plan, i, by, other))
        yield from ((split.name, x) for x in found)


def _of_splits(plan: Plan, homes: Mapping[int, Findings]) -> Iterator[tuple[int, Told]]:
    paths = [str(sample.entry.image) for sample in plan.samples]
    for i, findings in homes.items():
        split = plan.splits[i]
        if split.source is not None:
            meant = meanings(split.source)
            found = split_judged(split.name, findings, meant, paths)
            yield from ((i, (split.name, x)) for x in found)


def _leaks(plan: Plan, homes: Mapping[int, Findings]) -> Iterator[Told]:
    whole = total(homes.values())
    yield from twins(plan, whole.photos)
    yield from same_labels(plan, whole.labels, whole.photos)


def _is_sound(plan: Plan, split: int, faulty: set[int]) -> bool:
    """Whether fewer than half of the samples of a split have faults."""
    own = Counter(i in faulty for i, x in enumerate(plan.samples) if x.splits[0] == split)
    return 2 * own[True] < own.total()
