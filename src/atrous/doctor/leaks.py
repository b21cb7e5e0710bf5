"""The same pixels twice: in two splits, in one, or under labels that are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from atrous.doctor.findings import Found
from atrous.doctor.kinds import LEAKS, SAME_LABEL, TWINS
from atrous.doctor.opening import Plan

_WORDS = re.compile(r"trainval|training|train|validation|val|testing|test", re.IGNORECASE)


def twins(plan: Plan, photos: Mapping[bytes, tuple[int, ...]]) -> Iterator[tuple[str, Found]]:
    """The splits, and what was found, of photos whose pixels are those of another.

    photos  digest -> samples
    """
    divided, parts = _divisions(plan), _parts(plan)
    for samples in photos.values():
        told = set()
        for one, other in combinations(samples, 2):
            names = _leaked(plan, one, other, divided=divided, parts=parts)
            if names and names not in told:
                told.add(names)
                yield ", ".join(names), _found(LEAKS, plan, one, other)
            elif not names and plan.samples[one].entry.image != plan.samples[other].entry.image:
                home = plan.splits[plan.samples[other].splits[0]].name
                yield home, _found(TWINS, plan, other, one)
        if len(samples) == 1:
            yield from _in_lists(plan, samples[0], divided)


def same_labels(
    plan: Plan, labels: Mapping[bytes, tuple[int, ...]], photos: Mapping[bytes, tuple[int, ...]]
) -> Iterator[tuple[str, Found]]:
    """Labels of several segments that belong to photos of different pixels."""
    digest_of = {sample: digest for digest, samples in photos.items() for sample in samples}
    for samples in labels.values():
        for sample in samples[1:]:
            first = samples[0]
            truths = (plan.samples[i].entry.truth for i in (first, sample))
            if digest_of.get(first) != digest_of.get(sample) and len(set(truths)) == 2:
                entry, other = (plan.samples[i].entry for i in (sample, first))
                what = f"has the pixels of {other.truth[0]}"
                home = plan.splits[plan.samples[sample].splits[0]].name
                yield home, Found(sample, SAME_LABEL, str(entry.truth[0]), "whole file", what)


def _in_lists(
    plan: Plan, sample: int, divided: set[tuple[int, int]]
) -> Iterator[tuple[str, Found]]:
    """A photo that the lists of two splits name."""
    for pair in combinations(sorted(plan.samples[sample].splits), 2):
        if not _may_share(plan, pair, sample, divided):
            names = [plan.splits[i].name for i in pair]
            path = plan.samples[sample].entry.image
            what = f"is in the lists of {' and '.join(names)}"
            yield ", ".join(names), Found(sample, LEAKS, str(path), "whole file", what)


def _leaked(
    plan: Plan,
    one: int,
    other: int,
    *,
    divided: set[tuple[int, int]],
    parts: set[tuple[int, int]],
) -> tuple[str, ...]:
    """The names of two splits of which each has one of two photos, and may not."""
    for a in plan.samples[one].splits:
        for b in plan.samples[other].splits:
            pair = (min(a, b), max(a, b))
            same_file = plan.samples[one].entry.image == plan.samples[other].entry.image
            in_both = b in plan.samples[one].splits and a in plan.samples[other].splits
            may_share = pair in divided or _is_nested(plan, pair) if same_file else False
            if a != b and not in_both and not may_share and pair not in parts:
                return tuple(plan.splits[i].name for i in pair)
    return ()


def _may_share(
    plan: Plan, pair: tuple[int, int], sample: int, divided: set[tuple[int, int]]
) -> bool:
    """Whether two lists may name one photo: trainval and train may."""
    if pair in divided or _is_nested(plan, pair):
        return True
    others = (_words(plan.splits[i].name) for i in plan.samples[sample].splits if i not in pair)
    return any(all(other <= _words(plan.splits[i].name) for i in pair) for other in others)


def _is_nested(plan: Plan, pair: tuple[int, int]) -> bool:
    """Whether one split is made of the other, by its name: the words of one are in the other's."""
    one, other = (_words(plan.splits[i].name) for i in pair)
    return one <= other or other <= one


def _words(name: str) -> set[str]:
    """The words of a split's name; trainval has two."""
    return set(re.findall("[a-z]+|[0-9]+", name.lower().replace("trainval", "train_val")))


def _parts(plan: Plan) -> set[tuple[int, int]]:
    """Pairs of splits of which one has all photos of the other."""
    images = {i: _images(plan, i) for i in range(len(plan.splits))}
    pairs = combinations(images, 2)
    return {(a, b) for a, b in pairs if images[a] <= images[b] or images[b] <= images[a]}


def _images(plan: Plan, split: int) -> set[Path]:
    source = plan.splits[split].source
    return {entry.image for entry in source.entries} if source else set()


def _divisions(plan: Plan) -> set[tuple[int, int]]:
    """Pairs of splits that belong to two ways of dividing the same photos, as SBD has them."""
    images = {i: _images(plan, i) for i, split in enumerate(plan.splits) if split.source}
    ways: dict[str, set[int]] = {}
    for i in images:
        ways.setdefault(_WORDS.sub("", plan.splits[i].name), set()).add(i)
    whole = {way: set().union(*(images[i] for i in members)) for way, members in ways.items()}
    found = set()
    for one, other in combinations(ways, 2):
        for a in ways[one]:
            for b in ways[other]:
                if images[a] <= whole[other] and images[b] <= whole[one]:
                    found.add((min(a, b), max(a, b)))
    return found


def _found(kind: str, plan: Plan, sample: int, other: int) -> Found:
    path, twin = (plan.samples[i].entry.image for i in (sample, other))
    return Found(sample, kind, str(path), "whole file", f"has the pixels of {twin}")
