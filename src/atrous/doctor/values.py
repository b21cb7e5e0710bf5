"""What the values of one label file stand for: ids of no class, and values blended into another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.data.source import Entry, FileSource
from atrous.doctor.findings import Findings, Found, Suspect
from atrous.doctor.kinds import BLENDED, NO_CLASS, ORDERED
from atrous.doctor.labelfile import Stored, at
from atrous.doctor.pieces import Borders, alone, borders, tally
from atrous.formats import PanopticRecord
from atrous.labels import CITYSCAPES, CITYSCAPES_TRAIN_IDS, IGNORED, NAMED, LabelSpace

BLENDED_SHARE, BLENDED_LEAST, BLENDED_VALUES = 0.25, 8, 3
"""Of borders between values two or more apart, how many ramp: the share, the count, the values.

Clean maps of seven data sets ramp in 0.06 of them at most, resized ones in 0.25 to 1.
"""
NOISY_SHARE, NOISY_PIXELS = 0.1, 0.01
"""As little may ramp if so many pixels differ from all neighbours, as JPEG leaves them."""
SKIPS, JUMBLED = 0.1, 4
"""Of ramps over classes, how many leave classes out at least, and how many times as many borders
may run over values that are not in between.

Resized maps skip in 0.25 of them and more, drawn bands in none; resized ones have at most 2.8 times
as many other borders, noise has 12.
"""

FEW_CLASSES, MANY_CLASSES, CLASS_SHARE = 3, 40, 0.005
"""Classes that a label, and at most those that a list, must have for shares to show a shift."""

_RARE = (9, 10, 14, 15, 16, 18)
"""Label ids of Cityscapes that hardly occur, while as train ids they are sky, bus and bicycle."""

MASK = frozenset({0, 255})


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the file ids of a split stand for.

    ignored  the ids that are void; None = nobody says, and what the reader takes is one
    """

    labels: LabelSpace
    ignored: frozenset[int] | None

    @property
    def known(self) -> frozenset[int]:
        """All ids that are classes or void."""
        return frozenset(self.labels.class_ids()) | (self.ignored or frozenset())


def meanings(source: FileSource) -> Meanings:
    """What a split says of its file ids: its reader, or else the list that has its classes."""
    told = getattr(source.read, "keywords", {}).get("ignored")
    if told is not None:
        return Meanings(source.labels, frozenset(told))
    own = _names(source.labels)
    known = [IGNORED[name] for name, labels in NAMED.items() if _names(labels) == own]
    return Meanings(source.labels, known[0] if known else None)


def cityscapes_ids(labels: LabelSpace) -> str:
    """Whether a list has the classes of Cityscapes, by "label ids" or "train ids"; else ""."""
    own = _names(labels)
    if len(own) >= 10 and own <= _names(CITYSCAPES):
        return "label ids"
    return "train ids" if len(own) >= 10 and own <= _names(CITYSCAPES_TRAIN_IDS) else ""


def blended(stored: Stored, meant: Meanings, sample: int) -> Found | None:
    """Values that lie between those of two neighbours, along most borders.

    Where all values are classes the ramps must leave some out, or else they may be drawn bands.
    """
    channels = [stored.pixels]
    if stored.form in ("ids", "marks"):
        channels = [stored.pixels >> shift & 255 for shift in (0, 8, 16)]
    found = [borders(channel) for channel in channels]
    share = _ramp_share(found)
    if share < NOISY_SHARE:
        return None
    ranks = _ranks(stored, meant)
    if ranks is not None:
        return _bands(stored, borders(ranks), sample)
    is_noisy = max(map(alone, channels)) >= NOISY_PIXELS * stored.pixels.size
    if share < BLENDED_SHARE and not is_noisy:
        return None
    how = "JPEG's noise" if is_noisy and share < BLENDED_SHARE else "as a smooth resize leaves them"
    first = next(b.first for b in found if b.first >= 0)
    return _ramped(BLENDED, stored, share=share, how=how, first=first, sample=sample)


def _ramp_share(found: Sequence[Borders]) -> float:
    """How many of the borders that jump or ramp do ramp; 0 if hardly any do."""
    ramps, steps = sum(b.ramps for b in found), sum(b.steps for b in found)
    if ramps < BLENDED_LEAST or max(b.middles for b in found) < BLENDED_VALUES:
        return 0.0
    return ramps / (ramps + steps)


def _ranks(stored: Stored, meant: Meanings) -> NDArray[np.int32] | None:
    """The places of the classes in the list, void far off; None if a value is none of them."""
    if stored.form != "classes" or stored.packing is not None:
        return None
    ids = sorted(meant.labels.class_ids())
    place = {i: len(ids) + 2 for i in (MASK if meant.ignored is None else meant.ignored)}
    place |= {i: rank for rank, i in enumerate(ids)}
    values, where = np.unique(stored.pixels, return_inverse=True)
    if not place.keys() >= set(values.tolist()):
        return None
    ranks = np.array([place[i] for i in values.tolist()], np.int32)
    return ranks[where].reshape(stored.pixels.shape)


def _bands(stored: Stored, found: Borders, sample: int) -> Found | None:
    """What ramps over classes are: blends, drawn bands of classes in order, or noise."""
    share = _ramp_share([found])
    if share < BLENDED_SHARE or found.jumbled > JUMBLED * found.ramps:
        return None
    is_blend = found.skips >= SKIPS * found.ramps
    how = "as a smooth resize leaves them" if is_blend else "ordered bands, or a smooth resize?"
    kind = BLENDED if is_blend else ORDERED
    return _ramped(kind, stored, share=share, how=how, first=found.first, sample=sample)


def _ramped(kind: str, stored: Stored, *, share: float, how: str, first: int, sample: int) -> Found:
    what = f"{100 * share:.0f} % of its borders run over values in between, {how}"
    return Found(sample, kind, str(stored.path), at(first, stored.pixels.shape), what)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The file ids of a label file, or of its rows in a JSON.

    pixels  file id -> pixels
    stored  the pixels themselves; None = the JSON says the classes
    """

    file: str
    pixels: Counter[int]
    stored: Stored | None


def values_of(entry: Entry, files: Iterable[Stored]) -> list[Values]:
    """The file ids of a sample, of each of its files that has any."""
    if isinstance(entry.record, PanopticRecord):
        found: Counter[int] = Counter()
        for _, category, _, area in entry.record.segments.tolist():
            found[category] += max(area, 1)
        return [Values(str(entry.truth[0]), found, None)]
    classes = (file for file in files if file.form == "classes")
    return [Values(str(file.path), _file_ids(file), file) for file in classes]


def noted(values: Values, meant: Meanings, *, sample: int, told: tuple[Found, ...]) -> Findings:
    """What the file ids of an image are, as counts, and as a suspicion if they look wrong.

    told  what the reader said of ids that are no class
    """
    ids, strange = frozenset(values.pixels), _strange(values, meant, told)
    unknown = tuple((i, _first(values.stored, i)) for i in strange)
    if unknown and values.stored is not None:
        told = (_no_class(unknown, values, meant, sample),)
    beside = int(255 in ids and bool(ids - MASK))
    once = Counter(dict.fromkeys(ids, 1))
    counts = Findings(values=values.pixels, valued=once, beside=beside)
    if not unknown:
        counts.found += told
    is_city = cityscapes_ids(meant.labels) == "label ids"
    is_mask = 255 in ids and ids <= MASK and 255 not in meant.labels.class_ids()
    is_odd = is_mask or (is_city and like_train_ids(values.pixels))
    if unknown or is_odd or _may_be_shifted(values.pixels, meant):
        pixels = tuple(sorted(values.pixels.items()))
        found = told if unknown else ()
        counts.suspects.append(Suspect(sample, values.file, pixels, unknown, found))
    return counts


def _file_ids(stored: Stored) -> Counter[int]:
    """File id -> pixels of a label file of classes, alone or packed with instances."""
    counts = tally(stored.pixels)
    values = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
    if stored.packing is None:
        return Counter(values)
    ids: Counter[int] = Counter()
    for value, pixels in values.items():
        ids[stored.packing.unpack(value)[0]] += pixels
    return ids


def _strange(values: Values, meant: Meanings, told: tuple[Found, ...]) -> list[int]:
    """The ids that are neither classes nor ignored."""
    rest = frozenset(values.pixels) - frozenset(meant.labels.class_ids())
    if values.stored is None:
        return sorted(rest)
    if meant.ignored is not None:
        return sorted(rest - meant.ignored)
    said = {int(i) for x in told for i in re.findall(r"\d+", x.what.partition("]")[0])}
    return sorted(rest & said)


def _no_class(
    unknown: tuple[tuple[int, str], ...], values: Values, meant: Meanings, sample: int
) -> Found:
    listed = ", ".join(str(i) for i, _ in unknown[:6])
    more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
    value, place = unknown[0]
    classes = sorted(meant.labels.class_ids())
    what = (
        f"id{'s' * (len(unknown) > 1)} {listed}{more}, {values.pixels[value]} pixels of {value}; "
        f"the {len(classes)} classes are {classes[0]} to {classes[-1]}"
    )
    return Found(sample, NO_CLASS, values.file, place, what)


def like_train_ids(pixels: Mapping[int, int]) -> bool:
    """Whether label ids of Cityscapes look like train ids: none beyond 18, and many rare ones."""
    if max((i for i in pixels if i != 255), default=19) > 18:
        return False
    total = sum(pixels.values())
    rare, low = (sum(pixels.get(i, 0) for i in ids) for ids in (_RARE, range(7)))
    if 255 in pixels:  # which is no label id
        return rare + low >= 0.2 * total
    return rare >= 0.02 * total and low >= 0.2 * total


def _may_be_shifted(pixels: Counter[int], meant: Meanings) -> bool:
    """Whether an end of the list is missing and the rest could lie one beside its place."""
    ids = sorted(meant.labels.class_ids())
    if not FEW_CLASSES <= len(ids) <= MANY_CLASSES or (pixels[ids[0]] and pixels[ids[-1]]):
        return False
    total = sum(pixels.values())
    return sum(pixels[i] > CLASS_SHARE * total for i in ids) >= FEW_CLASSES


def _first(stored: Stored | None, file_id: int) -> str:
    if stored is None:
        return f"category {file_id}"
    pixels = stored.pixels
    if stored.packing is None:
        is_there = pixels == file_id
    else:
        values = [v for v in np.unique(pixels).tolist() if stored.packing.unpack(v)[0] == file_id]
        is_there = np.isin(pixels, values)
    return at(int(is_there.argmax()), pixels.shape)


def _names(labels: LabelSpace) -> set[tuple[int, str]]:
    return {(label.file_id, label.name) for label in labels.labels}
