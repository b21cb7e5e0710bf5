"""What all images of a split show together, and what splits show beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from atrous.doctor.alignment import MIRRORS
from atrous.doctor.colours import greys
from atrous.doctor.findings import VOID, Findings, Found, Suspect
from atrous.doctor.kinds import (
    ALL_VOID,
    GREY_AMONG,
    GREY_COLOURS,
    LABEL_IDS,
    LOOKS_SHIFTED,
    MASKS,
    MIRRORED,
    ONE_CLASS,
    SHIFTED,
    SIZE_RANGE,
    TRAIN_IDS,
    UNFIT,
    VOID_LABEL,
    VOID_MASKS,
)
from atrous.doctor.shifts import Shift, looks_shifted, shift, shifted, unshifted
from atrous.doctor.values import MASK, Meanings, cityscapes_ids, like_train_ids

LEAST_FITS, SOME_FITS, MANY_FITS = 6, 10, 20
"""Labels that must be held against photos: for a mirror that is far better, for one that is better,
and for labels that fit nowhere."""
CLEARLY, FAR, HARDLY = 1.1, 1.2, 1.04
"""How many times more photos change on the borders of labels than a little beside them.

On six data sets, whole or but one class of them: 1.05 to 2.35 times, on those of mirrors 0.96 to
1.16 times, and no mirror of ten labels was 1.1 times as good as they; labels of other photos 1.02.
"""
LARGE, FEW_CLASSES = 0.05, 3
ONE_CLASS_SHARE, RANGE = 0.99, 10


def values_judged(findings: Findings, meant: Meanings, drift: int | None = None) -> list[Found]:
    """What the label values of a split mean: each suspect image once, by the best reason.

    drift  how far its ids lie above those of another split, if they do
    """
    told, left = [], list(findings.suspects)
    for reasons in (_masks, _other_ids, _greys):
        found = list(reasons(left, findings, meant))
        known = {(x.sample, x.file) for x in found}
        told += found
        left = [s for s in left if (s.sample, s.file) not in known]
    silent, left = [s for s in left if not s.found], [s for s in left if s.found]
    found = list(_shifted(left, findings, meant, drift))
    known = {(x.sample, x.file) for x in found}
    rest = [x for s in left if (s.sample, s.file) not in known for x in s.found]
    return [*told, *found, *_silent(silent, found, findings, meant), *_hinted(rest, left, meant)]


def split_judged(
    name: str, findings: Findings, meant: Meanings, paths: Sequence[str]
) -> Iterator[Found]:
    """What a split as a whole is.

    paths  the photos of all samples
    """
    pixels, void = sum(findings.pixels.values()), findings.pixels[VOID]
    voids = [x for x in findings.found if x.kind == VOID_LABEL]
    if len(voids) == findings.images and not name.startswith("test"):
        yield from (replace(found, kind=ALL_VOID) for found in voids)
    yield from _misfits(name, findings)
    for class_id, count in findings.pixels.most_common(1):
        if class_id != VOID and count > ONE_CLASS_SHARE * (pixels - void) and len(meant.labels) > 1:
            what = f"{100 * count / (pixels - void):.2f} % of all pixels that are not void"
            label = meant.labels[class_id].name
            yield Found(-1, ONE_CLASS, name, f"class {label!r}", what)
    if findings.sizes:
        sides = sorted((max(size), size) for size in findings.sizes)
        (small, least), (large, most) = sides[0], sides[-1]
        if large > RANGE * small:
            what = f"{least[0]} x {least[1]} to {most[0]} x {most[1]} (height x width)"
            yield Found(-1, SIZE_RANGE, name, "all photos", what)
    if 0 < 2 * len(findings.grey) < sum(findings.sizes.values()):
        for sample in findings.grey:
            yield Found(sample, GREY_AMONG, paths[sample], "whole file", "grey")


def _misfits(name: str, findings: Findings) -> Iterator[Found]:
    """Labels whose borders fit their photos better in a mirror, or not at all."""
    count, *sums = findings.fits
    if count < LEAST_FITS:
        return
    pairs = zip(sums[::2], sums[1::2], strict=True)
    own, *mirrored = (on / beside if beside else 1.0 for on, beside in pairs)
    best = max(mirrored)
    words = "times as much on their borders as beside them"
    if best >= CLEARLY and best >= own * (CLEARLY if count >= SOME_FITS else FAR):
        how = MIRRORS[1 + mirrored.index(best)]
        what = f"photos change {own:.2f} {words}, {best:.2f} times once labels are {how}"
        yield Found(-1, MIRRORED, name, "all labels", what, count=count)
    elif own < HARDLY and count >= MANY_FITS:
        what = f"photos change {own:.2f} {words}"
        yield Found(-1, UNFIT, name, "all labels", what, count=count)


def _masks(left: Sequence[Suspect], findings: Findings, meant: Meanings) -> Iterator[Found]:
    """Labels of 0 and 255: masks if 255 is no void, or means it nowhere else."""
    usual = findings.valued.total() / max(1, findings.images)
    is_void_nowhere = findings.beside == 0 and len(meant.labels) > 1
    for s in left if 255 not in meant.labels.class_ids() else ():
        pixels = dict(s.pixels)
        if not (255 in s.ids and s.ids <= MASK):
            continue
        share = pixels[255] / sum(pixels.values())
        what = f"{100 * share:.1f} % of its pixels are 255, all others 0"
        place = dict(s.unknown).get(255, "whole file")
        is_odd = len(meant.labels) >= FEW_CLASSES and usual >= FEW_CLASSES and share >= LARGE
        if s.unknown or (0 in s.ids and (is_void_nowhere or is_odd)):
            yield Found(s.sample, MASKS, s.file, place, what)
        elif 0 in s.ids and share >= LARGE:
            yield Found(s.sample, VOID_MASKS, s.file, place, what)


def _other_ids(left: Sequence[Suspect], findings: Findings, meant: Meanings) -> Iterator[Found]:
    """The ids of Cityscapes that belong into the other kind of file."""
    own = cityscapes_ids(meant.labels)
    if own == "train ids":
        for s in left:
            if s.unknown and {i for i, _ in s.unknown} <= set(range(19, 34)):
                value, place = s.unknown[0]
                what = f"id {value} is a label id; train ids are 0 to 18, and 255"
                yield Found(s.sample, LABEL_IDS, s.file, place, what)
    elif own == "label ids":
        fitting = [s for s in left if like_train_ids(dict(s.pixels))]
        is_common = 2 * len(fitting) >= max(findings.valued.values(), default=0)
        for s in fitting if is_common or any(s.unknown for s in fitting) else ():
            place = s.unknown[0][1] if s.unknown else "whole file"
            ids = ", ".join(str(i) for i in sorted(s.ids)[:6])
            what = f"ids {ids}, ... are train ids: none beyond 18 but 255"
            yield Found(s.sample, TRAIN_IDS, s.file, place, what)


def _greys(left: Sequence[Suspect], findings: Findings, meant: Meanings) -> Iterator[Found]:
    for levels in greys(meant.labels):
        fits = [s for s in left if s.unknown and s.ids <= levels | (meant.ignored or frozenset())]
        values = {i for s in fits for i, _ in s.unknown}
        if len(values) < min(2, len(meant.labels) - 1):
            continue
        for s in fits:
            place = s.unknown[0][1]
            what = f"values {', '.join(map(str, sorted(s.ids)[:6]))} are brightnesses of colours"
            yield Found(s.sample, GREY_COLOURS, s.file, place, what)
        return


def _shifted(
    left: Sequence[Suspect], findings: Findings, meant: Meanings, drift: int | None
) -> Iterator[Found]:
    found = shift(left, findings, meant)
    if found is not None:
        yield from (shifted(s, found, meant) for s in left)
    elif drift is not None:
        for s in left:
            if all(unshifted(i, drift) in meant.known for i, _ in s.unknown):
                yield shifted(s, Shift(drift), meant)


def _silent(
    silent: Sequence[Suspect], found: Sequence[Found], findings: Findings, meant: Meanings
) -> Iterator[Found]:
    """Labels without an id of no class that are shifted all the same, most likely."""
    kind = SHIFTED if any(x.kind == SHIFTED for x in found) else LOOKS_SHIFTED
    for s in silent:
        by = looks_shifted(s, findings, meant)
        if by is not None:
            words = "too high" if by > 0 else "too low"
            what = f"its shares of classes are those of other labels if all ids are one {words}"
            yield Found(s.sample, kind, s.file, "whole file", what)


def _hinted(rest: list[Found], left: Sequence[Suspect], meant: Meanings) -> list[Found]:
    """Says so where the only id of no class is the one after the last."""
    after = max(meant.labels.class_ids()) + 1
    if not rest or {i for s in left for i, _ in s.unknown} != {after}:
        return rest
    hint = f"the id after the last: {after} is not listed, or all are one too high and 0 is void"
    return [replace(x, what=f"{x.what}; {hint}") for x in rest]
