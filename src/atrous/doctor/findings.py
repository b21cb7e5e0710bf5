"""What was seen in some images; findings of other images add up to it in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

VOID = -1
"""The class id of void pixels in counts."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """Something wrong.

    sample  place of the image among all that were examined; -1 = not of one image
    kind    see `kinds`, or what a reader calls it
    file    the path it is about
    place   where in it: "y 3, x 5", "segment 7", "line 2, column 8", "whole file"
    what    what is there, in words
    mend    what to do; empty = what the kind says
    count   how many of it the file has
    """

    sample: int
    kind: str
    file: str
    place: str
    what: str
    mend: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Suspect:
    """An image whose label values look wrong; what they are, all images decide together.

    pixels    file id -> pixels, ignored ids among them
    unknown   id that is no class -> its first pixel "y 3, x 5"
    found     what it is if nothing better is known; empty = nothing at all
    """

    sample: int
    file: str
    pixels: tuple[tuple[int, int], ...]
    unknown: tuple[tuple[int, str], ...]
    found: tuple[Found, ...] = ()

    @property
    def ids(self) -> frozenset[int]:
        """The file ids that occur."""
        return frozenset(i for i, _ in self.pixels)


@dataclass(slots=True)
class Findings:
    """What some images hold.

    images    how many labels were read
    pixels    class id -> pixels, `VOID` among them
    seen      class id -> images that it is in
    areas     class id -> area -> things of it
    values    file id -> pixels in the label files
    valued    file id -> label files that it is in
    beside    label files in which 255 stands beside an id that is not 0
    sizes     (height, width) of photos, upright
    grey      samples whose photos have no colour
    fits      how many labels were held against photos; sums of `alignment.fit`
    photos    digest of pixels -> samples; so `labels`, where there are two segments or more
    """

    images: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    seen: Counter[int] = field(default_factory=Counter)
    areas: dict[int, Counter[int]] = field(default_factory=dict)
    values: Counter[int] = field(default_factory=Counter)
    valued: Counter[int] = field(default_factory=Counter)
    beside: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    grey: list[int] = field(default_factory=list)
    photos: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    labels: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    fits: list[int] = field(default_factory=lambda: [0] * 9)
    suspects: list[Suspect] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Adds what other images hold; the sum, once `settle`d, is the same in any order."""
        self.images += other.images
        self.beside += other.beside
        for name in ("pixels", "seen", "values", "valued", "sizes"):
            getattr(self, name).update(getattr(other, name))
        for class_id, areas in other.areas.items():
            self.areas.setdefault(class_id, Counter()).update(areas)
        for mine, theirs in ((self.photos, other.photos), (self.labels, other.labels)):
            for digest, samples in theirs.items():
                mine[digest] = tuple(sorted((*mine.get(digest, ()), *samples)))
        self.grey += other.grey
        self.fits = [a + b for a, b in zip(self.fits, other.fits, strict=True)]
        self.suspects += other.suspects
        self.found += other.found

    def settle(self) -> Findings:
        """Itself, with all lists in the order of the samples."""
        self.grey.sort()
        self.suspects.sort()
        self.found.sort()
        return self


def total(parts: Iterable[Findings]) -> Findings:
    """All findings together, settled."""
    whole = Findings()
    for part in parts:
        whole.add(part)
    return whole.settle()


def quantile(areas: Mapping[int, int], share: float) -> int:
    """The smallest area that at least a share of the things does not exceed; 0 of none."""
    wanted, passed = share * sum(areas.values()), 0
    for area in sorted(areas):
        passed += areas[area]
        if passed >= wanted:
            return area
    return 0
