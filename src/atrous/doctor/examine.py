"""One image: its photo, its label files, and what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atrous.data.source import Entry, ReadTruth
from atrous.doctor.alignment import fit
from atrous.doctor.findings import Findings, Found
from atrous.doctor.kinds import BAD_LABEL, BLENDED
from atrous.doctor.labelfile import IMAGES, Stored, Unreadable, stored
from atrous.doctor.masks import odd_masks
from atrous.doctor.photos import Seen, seen, size_fault
from atrous.doctor.segments import Site, disagreements, measured
from atrous.doctor.values import Meanings, blended, noted, values_of
from atrous.formats import PanopticRecord
from atrous.types import BadInput, Fault, Labelled

NO_CLASS_OF_READERS = ("ids of no class", "images with segments of an unknown category")
"""What readers say of ids that all images are asked about together."""
DISAGREEMENTS = (
    "label PNGs with other segments than the JSON",
    "label PNGs with other areas than the JSON",
)
"""What is told with pixels and segments here."""
_PLACE = re.compile(
    r"row (?P<y>\d+), column (?P<x>\d+)"
    r"|(?P<word>line \d+, column \d+|annotation [^\s:]+|(?:object|instance|segment|entry) \d+)"
    r"|\((?:ids? )(?P<of>\d+)|^(?!.*\(ids? ).*?\bids? (?P<id>\d+)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the reader of a data set made of a sample: its labels, or why there are none."""

    labelled: Labelled | None
    faults: tuple[Fault, ...]
    refusal: str


def examine(sample: int, entry: Entry, read: ReadTruth, meant: Meanings) -> Findings:
    """What one sample holds."""
    photo, odd = seen(entry.image, sample)
    findings = Findings(found=odd)
    if photo is not None:
        findings.photos[photo.digest] = (sample,)
        findings.sizes[photo.size_hw] += 1
        findings.grey += [sample] * photo.is_grey
    answer = _answer(entry, read)
    try:
        files = [] if _is_plain(entry, answer) else stored(entry, meant.labels)
    except Unreadable as error:
        wrong = Found(sample, error.kind, str(error.path), error.place, str(error))
        findings.found.append(wrong)
        return findings
    findings.found += _sizes(sample, entry, photo, files, answer)
    findings.add(_labelled(sample, entry, meant, read=read, files=files, answer=answer))
    if photo is not None and answer.labelled is not None:
        fits = fit(photo.pixels, answer.labelled.ids)
        findings.fits = [1, *fits] if fits else findings.fits
    return findings


def from_fault(fault: Fault, sample: int = -1, *, paths: Iterable[Path] = ()) -> Found:
    """What a reader said, cut into file, place, words and mend.

    paths  files and folders that the message may begin with, whatever stands in their names
    """
    text = " ".join(fault.message.split())
    known = (" ".join(str(path).split()) for path in paths)
    start = max((len(path) for path in known if text.startswith(path)), default=0)
    end = text.find(": ", start)
    file, rest = (text[:end], text[end + 2 :]) if end >= 0 else ("", text)
    what, _, mend = rest.rpartition(": ") if file else (rest, "", "")
    what, mend = (what, mend) if what else (mend, "")
    place = _place(what)
    return Found(sample, fault.kind, file, place, what.removeprefix(f"{place}: "), mend)


def _place(what: str) -> str:
    match = _PLACE.search(what)
    if match is None:
        return "whole file"
    if match["y"]:
        return f"y {match['y']}, x {match['x']}"
    return match["word"] or f"segment {match['of'] or match['id']}"


def _answer(entry: Entry, read: ReadTruth) -> Answer:
    faults: list[Fault] = []
    try:
        return Answer(read(entry, faults.append), tuple(faults), "")
    except BadInput as error:
        return Answer(None, tuple(faults), str(error))


def _is_plain(entry: Entry, answer: Answer) -> bool:
    """Whether a PNG of segment ids need not be read again: its JSON agrees to the last id."""
    is_ids = isinstance(entry.record, PanopticRecord)
    return is_ids and answer.labelled is not None and not answer.faults


def _sizes(
    sample: int, entry: Entry, photo: Seen | None, files: list[Stored], answer: Answer
) -> list[Found]:
    """The first label file whose size is not that of the photo."""
    sizes = [(file.path, file.pixels.shape) for file in files]
    if not sizes and answer.labelled is not None:
        sizes = [(entry.truth[0], answer.labelled.ids.shape)]
    if photo is None:
        return []
    pair = entry.image, photo
    found = (size_fault(path, size, pair, sample) for path, size in sizes)
    return [x for x in found if x is not None][:1]


def _labelled(
    sample: int,
    entry: Entry,
    meant: Meanings,
    *,
    read: ReadTruth,
    files: list[Stored],
    answer: Answer,
) -> Findings:
    """What the labels of a sample hold, if they can be read."""
    ramps = [found for file in files if (found := blended(file, meant, sample))]
    smooth = [found for found in ramps if found.kind == BLENDED]
    findings = Findings(found=ramps)
    if answer.labelled is None:
        is_known = smooth or len({file.pixels.shape for file in files}) > 1
        if not is_known:
            fault, paths = Fault(BAD_LABEL, answer.refusal), (entry.image, *entry.truth)
            findings.found.append(from_fault(fault, sample, paths=paths))
        return findings
    if smooth:  # all else follows from it
        return findings
    findings.found += odd_masks(entry, read, sample)
    findings.add(_told(sample, entry, meant, files=files, faults=answer.faults))
    file, has_pixels = entry.truth[0], entry.truth[0].suffix.lower() in IMAGES
    site = Site(
        sample,
        str(file),
        image="" if has_pixels else f"{entry.name}: ",
        has_ids=isinstance(entry.record, PanopticRecord),
    )
    findings.add(measured(answer.labelled, meant.labels, site))
    return findings


def _told(
    sample: int,
    entry: Entry,
    meant: Meanings,
    *,
    files: list[Stored],
    faults: tuple[Fault, ...],
) -> Findings:
    """What the reader said, with places, and what the stored values say."""
    paths = (entry.image, *entry.truth)
    told = [from_fault(f, sample, paths=paths) for f in faults if f.kind not in DISAGREEMENTS]
    findings = Findings()
    if len(told) < len(faults) and isinstance(entry.record, PanopticRecord):
        told += disagreements(files[0], entry.record, sample)
    by_ids = [found for found in told if found.kind in NO_CLASS_OF_READERS]
    for values in values_of(entry, files):
        own = tuple(found for found in by_ids if found.file == values.file)
        by_ids = [found for found in by_ids if found not in own]
        findings.add(noted(values, meant, sample=sample, told=own))
    rest = [found for found in told if found.kind not in NO_CLASS_OF_READERS]
    findings.found += rest + by_ids
    return findings
