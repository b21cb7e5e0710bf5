"""All that was found, with its split: what images, splits and pairs of splits say, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from atrous.doctor.compare import absences, drifted, drifts, unlike
from atrous.doctor.findings import Findings, Found, total
from atrous.doctor.judge import split_judged, values_judged
from atrous.doctor.kinds import FAULT, KINDS, SHIFTED, TWICE, severity
from atrous.doctor.leaks import same_labels, twins
from atrous.doctor.opening import Plan
from atrous.doctor.values import Meanings, meanings

Told = tuple[str, Found]
"""The split, or splits, and what was found there."""


def judged(plan: Plan, homes: Mapping[int, Findings]) -> list[Told]:
    """Faults, then warnings; warnings of images that have a fault are left out.

    So are warnings on a whole split of which half or more of the images have faults.

    homes  place of a split -> findings of the samples that no smaller split has
    """
    told = [(split.name, found) for split in plan.splits for found in split.found]
    images, wrong = _of_images(plan, homes)
    told += images
    told += _leaks(plan, homes)
    faulty = _faulty(told)
    whole = [x for x in _of_splits(plan, homes) if x[1][1].sample not in faulty]
    wrong |= {i for i, (_, x) in whole if severity(x.kind) == FAULT}
    told += [x for _, x in whole if severity(x[1].kind) == FAULT]
    faulty = _faulty(told)
    trusted = {i: x for i, x in homes.items() if i not in wrong and _is_sound(plan, i, faulty)}
    told += [x for i, x in whole if i in trusted and severity(x[1].kind) != FAULT]
    told += absences(plan, trusted)
    told += unlike(plan, trusted)
    kept = [x for x in told if severity(x[1].kind) == FAULT or x[1].sample not in faulty]
    return sorted(kept, key=lambda x: (severity(x[1].kind) != FAULT, x[0], x[1]))


def _faulty(told: Iterable[Told]) -> set[int]:
    """The samples that have faults of their own."""
    return {x.sample for _, x in told if severity(x.kind) == FAULT} - {-1}


def _of_images(plan: Plan, homes: Mapping[int, Findings]) -> tuple[list[Told], set[int]]:
    """What single images say, and the splits whose ids are not those of the list."""
    read = {i: meant for i in homes if (meant := _meant(plan, i)) is not None}
    own = {i: values_judged(homes[i], meant) for i, meant in read.items()}
    shifted = {i for i, found in own.items() if _is_shifted(found, homes[i], read[i])}
    moved = drifts(plan, homes, shifted)
    told: list[Told] = []
    for i, drift in moved.items():
        if drift.is_sure:
            own[i] = values_judged(homes[i], read[i], drift.by)
        if not any(x.kind == SHIFTED for x in own[i]):
            own[i].append(drifted(plan, i, drift))
    wrong = shifted | moved.keys()
    for i, values in own.items():
        found = [*homes[i].found, *values]
        if i in shifted or (i in moved and moved[i].is_sure):  # readers tell what follows from it
            found = [x for x in found if x.kind in KINDS]
        told += [(plan.splits[i].name, x) for x in found]
    return told, wrong


def _meant(plan: Plan, split: int) -> Meanings | None:
    source = plan.splits[split].source
    return None if source is None else meanings(source)


def _is_shifted(found: Iterable[Found], findings: Findings, meant: Meanings) -> bool:
    """Whether a split as a whole is told to be shifted: half of its label files, or by its ends."""
    count = sum(x.kind in (SHIFTED, TWICE) for x in found)
    ids, files = meant.labels.class_ids(), findings.valued
    is_up = files[min(ids)] == 0 < files[max(ids) + 1]
    return count > 0 and (is_up or 2 * count >= max(files.values(), default=0))


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
