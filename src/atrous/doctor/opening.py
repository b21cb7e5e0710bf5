"""The splits of a data set, its samples, and what opening them finds wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.data.catalogue import DataSet, data_set
from atrous.data.source import Entry, FileSource
from atrous.doctor.examine import from_fault
from atrous.doctor.findings import Found
from atrous.doctor.kinds import JPEG, LISTS, NAMED_TWICE, NO_LABELS, NO_PNG, NO_SPLIT, UNLISTED
from atrous.doctor.masks import moved
from atrous.formats import PanopticRecord, image_files
from atrous.types import BadInput, Fault

NO_LABEL, NO_PHOTO = "photos without a label", "labels without a photo"
OTHERS = {".jpg": JPEG, ".jpeg": JPEG, ".webp": JPEG, ".bmp": NO_PNG, ".gif": NO_PNG}
OTHERS |= {".tif": NO_PNG, ".tiff": NO_PNG}
"""Suffix of a label that is no PNG -> what is wrong with it."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A split as it opened; `found` is what was wrong before any image was read."""

    name: str
    source: FileSource | None
    found: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sample, and the places of the splits that have it, the smallest split first."""

    entry: Entry
    splits: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What there is to examine; samples of several splits stand once."""

    spec: str
    root: Path
    splits: tuple[Split, ...]
    samples: tuple[Sample, ...]

    def members(self, split: int) -> list[int]:
        """The places of the samples of a split."""
        return [i for i, sample in enumerate(self.samples) if split in sample.splits]


def plan(spec: str, names: Sequence[str] = ()) -> Plan:
    """Opens the splits of "SPEC=PATH"; those that are there where none is named.

    Raises: BadInput if there is no such data set, or a split that is named is none of it.
    """
    try:
        found = data_set(spec)
    except BadInput as error:
        raise BadInput(str(error).removeprefix("--data ")) from None
    if found is None:
        raise BadInput(f"{spec}: is drawn and has no files: examine a data set, folder=PATH say")
    sets, root = found
    there = sets.splits(root)
    if not there and not names:
        raise BadInput(f"{root}: holds no split of {spec.partition('=')[0]}: check the path")
    splits = [
        _opened(sets, root, name, is_known=name in there) for name in dict.fromkeys(names or there)
    ]
    splits = [replace(x, found=(*x.found, *_list_faults(x, spec, root))) for x in splits]
    splits[1:] = [
        replace(x, found=(*x.found, *_other_list(x, splits, spec, root))) for x in splits[1:]
    ]
    listed = {p for s in splits if s.source for e in s.source.entries for p in (e.image, *e.truth)}
    splits = [replace(x, found=(*x.found, *_unlisted(x, listed))) for x in splits]
    return Plan(spec, root, tuple(splits), _samples(splits))


def class_list(spec: str, root: Path, split: str) -> str:
    """The file that lists the classes of a split, or the root where there is none."""
    form, json = spec.partition("=")[0], f"{split}.json"
    own: dict[str, tuple[str, ...]] = {
        "folder": ("classes.json", "classes.txt"),
        "coco-panoptic": (json, f"annotations/panoptic_{json}"),
        "coco-instances": (f"annotations/instances_{json}", f"{split}_instances.json", json),
    }
    return str(next((root / x for x in own.get(form, ()) if (root / x).is_file()), root))


def _opened(sets: DataSet, root: Path, name: str, *, is_known: bool) -> Split:
    faults: list[Fault] = []
    open_split = sets.open
    try:
        source = open_split(root, name, faults.append)
    except BadInput as error:
        if not is_known:
            raise
        return Split(name, None, (_unopened(name, root, error),))
    told = [_refined(from_fault(fault, paths=(root,)), root) for fault in faults]
    found = moved(source, _with_hints(told))
    if _is_test(name) and not source.entries and {x.kind for x in found} == {NO_LABEL}:
        first = replace(found[0], kind=NO_LABELS, what=f"{len(found)} photos of {name}", mend="")
        return Split(name, source, (first,))
    return Split(name, source, tuple(found))


def _unopened(name: str, root: Path, error: BadInput) -> Found:
    """Why a split has no samples; labels that are all JPEG are one reason."""
    found = from_fault(Fault(NO_SPLIT, str(error)), paths=(root,))
    if _is_test(name):
        return replace(found, kind=NO_LABELS, mend="")
    folder = Path(found.file)
    if folder.is_dir():
        kinds = Counter(OTHERS.get(path.suffix.lower(), "") for path in image_files(folder))
        kind, count = next(iter(kinds.most_common(1)), ("", 0))
        if kind and not list(kinds - Counter({kind: count})):
            what = f"{count} labels, none a PNG"
            return replace(found, kind=kind, what=what, mend="", count=count)
    return found


def _is_test(name: str) -> bool:
    return name.lower().startswith(("test", "unlabel"))


def _refined(found: Found, root: Path) -> Found:
    """A label that is missing as a PNG may lie there as something else; one without photo lies."""
    if found.kind == NO_PHOTO:
        return _of_label(found, root)
    if found.kind != NO_LABEL:
        return found
    path = Path(found.file)
    for suffix, kind in OTHERS.items():
        if (other := path.with_suffix(suffix)).is_file():
            return replace(found, kind=kind, file=str(other), what=f"{suffix} file", mend="")
    return found


def _of_label(found: Found, root: Path) -> Found:
    """Names the label itself, where what was looked for is a photo of any suffix in images/."""
    photo = Path(found.file)
    parts = photo.relative_to(root).parts if photo.is_relative_to(root) else ()
    label = root.joinpath("labels", *parts[1:]).with_suffix(".png")
    if parts[:1] != ("images",) or not label.is_file():
        return found
    return replace(found, file=str(label), what=f"no photo {photo.with_suffix('')}.*")


def _with_hints(found: list[Found]) -> list[Found]:
    """Names of labels that are those of photos with something added are told."""
    photos = [Path(x.file).stem for x in found if x.kind == NO_LABEL]
    labels = [Path(x.file).stem for x in found if x.kind == NO_PHOTO]
    affix = _affix(photos[0], labels) if photos else None
    if affix is None or {affix.format(name.lower()) for name in photos} - {
        x.lower() for x in labels
    }:
        return found
    mend = f"labels are called {affix.format('NAME')}: rename them to NAME"
    return [replace(x, mend=mend) if x.kind in (NO_LABEL, NO_PHOTO) else x for x in found]


def _affix(photo: str, labels: Iterable[str]) -> str | None:
    """How a label is called whose photo this may be: "{}_mask"."""
    for label in labels:
        before, name, after = label.lower().partition(photo.lower())
        if name and "{" not in before + after:
            return f"{before}{{}}{after}"
    return None


def _list_faults(split: Split, spec: str, root: Path) -> list[Found]:
    if split.source is None:
        return []
    names = Counter(label.name for label in split.source.labels.labels)
    ids = {
        name: [x.file_id for x in split.source.labels.labels if x.name == name] for name in names
    }
    return [
        Found(
            -1,
            NAMED_TWICE,
            class_list(spec, root, split.name),
            f"class {name!r}",
            f"ids {ids[name]}",
        )
        for name, count in sorted(names.items())
        if count > 1
    ]


def _other_list(split: Split, splits: Sequence[Split], spec: str, root: Path) -> list[Found]:
    """Where its classes differ from those of the first split that opened."""
    first = next((x for x in splits if x.source is not None), split)
    if split.source is None or first.source is None or split.source.labels == first.source.labels:
        return []
    own, other = (
        [(x.file_id, x.name, x.is_thing) for x in s.labels.labels]
        for s in (split.source, first.source)
    )
    if own == other:  # only colours differ
        return []
    strange = next((x for x in own if x not in other), own[0])
    what = f"class {strange[1]!r} of id {strange[0]} is not so in {first.name}"
    if strange in other:
        what = (
            f"its {len(own)} classes are not the {len(other)} of {first.name}, or in another order"
        )
    place = f"class {strange[1]!r}"
    return [Found(-1, LISTS, class_list(spec, root, split.name), place, what)]


def _unlisted(split: Split, listed: set[Path]) -> list[Found]:
    """Photos and label PNGs of COCO panoptic that lie there, but in no JSON; they may be meant."""
    entries = split.source.entries if split.source else ()
    if split.found or not all(isinstance(entry.record, PanopticRecord) for entry in entries):
        return []
    folders = {path.parent for entry in entries for path in (entry.image, *entry.truth)}
    paths = (path for folder in sorted(folders) for path in image_files(folder))
    return [
        Found(-1, UNLISTED, str(path), "whole file", "no JSON names it")
        for path in paths
        if path not in listed
    ]


def _samples(splits: Sequence[Split]) -> tuple[Sample, ...]:
    """All samples of all splits, once; labels that one split reads otherwise are others."""
    where: dict[tuple[Path, tuple[Path, ...]], tuple[Entry, list[int]]] = {}
    for place, split in enumerate(splits):
        for entry in split.source.entries if split.source else ():
            where.setdefault((entry.image, entry.truth), (entry, []))[1].append(place)
    size = {i: len(x.source.entries) if x.source else 0 for i, x in enumerate(splits)}
    return tuple(
        Sample(entry, tuple(sorted(set(places), key=lambda i: (size[i], i))))
        for entry, places in where.values()
    )
