"""A split of shards as a source: any sample is one read away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from atrous.data.shards.classes import read_shard_classes
from atrous.data.shards.files import held, read_range, shards_of
from atrous.data.shards.index import BLOCK, Member, members_of, payload
from atrous.data.shards.samples import Packed, samples_of
from atrous.data.source import Opened, require_one_size
from atrous.formats import (
    read_classes,
    read_json,
    read_photo,
    read_segments,
    regions_of,
    segment_rows,
    usable_rows,
)
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, Sample, refuse

READERS = 16
"""Shards whose index is read at once."""
STRETCH = 1 << 23
"""Bytes that a stream reads at once, at least one sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """A split of a data set in shards; any sample is one read away.

    paths    paths and URLs of the shards
    samples  in the order of the shards
    ignored  ids of class maps that are void
    """

    labels: LabelSpace
    paths: tuple[str, ...]
    samples: tuple[Packed, ...]
    ignored: frozenset[int]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        """Reads photo and labels.

        Raises: BadInput if the shard is gone or damaged, or labels make no sense.
        """
        return self.opened(index).sample()

    def name(self, index: int) -> str:
        """The name of the sample."""
        return self.samples[index].name

    def opened(self, index: int) -> Opened:
        """Reads a sample, whose photo is not decoded.

        Raises: BadInput as `__getitem__` does.
        """
        packed = self.samples[index]
        return self._opened(packed, *self._bytes(packed, packed.members))

    def photo(self, index: int) -> bytes:
        """The file of the photo as it was."""
        packed = self.samples[index]
        data, start = self._bytes(packed, (packed.photo,))
        return payload(data, start, packed.photo, self.paths[packed.shard])

    def truth(self, index: int, report: Report = refuse) -> Labelled:
        """The labels of a sample.

        report  hears of what makes no sense, which becomes void if it returns

        Raises: BadInput if the shard is gone or damaged.
        """
        packed = self.samples[index]
        return self._truth(packed, *self._bytes(packed, packed.labels), report)

    def stream(
        self, *, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1
    ) -> Iterator[Opened]:
        """The samples of one of several readers, in their order; see `positions`.

        Shards are read front to back in long stretches, which is what disks and servers are good
        at: for passes over all samples, such as an evaluation or an export.
        """
        mine = positions(len(self), rank=rank, world=world, worker=worker, workers=workers)
        for packed, data, start in self._stretches(mine):
            yield self._opened(packed, data, start)

    def _stretches(self, places: range) -> Iterator[tuple[Packed, bytes, int]]:
        waiting: list[Packed] = []
        for packed in (self.samples[i] for i in places):
            if waiting and not _is_near(waiting[0], packed):
                yield from self._read(waiting)
                waiting = []
            waiting.append(packed)
        if waiting:
            yield from self._read(waiting)

    def _read(self, samples: list[Packed]) -> Iterator[tuple[Packed, bytes, int]]:
        """All bytes from the first sample to the last, for each of them."""
        data, start = self._bytes(samples[0], tuple(m for s in samples for m in s.members))
        return ((packed, data, start) for packed in samples)

    def _bytes(self, packed: Packed, members: tuple[Member, ...]) -> tuple[bytes, int]:
        """The part of a shard that holds some members with their headers, and where it starts."""
        start = min(member.offset for member in members) - BLOCK
        stop = max(member.stop for member in members)
        return read_range(self.paths[packed.shard], start, stop), start

    def _opened(self, packed: Packed, data: bytes, start: int) -> Opened:
        photo = read_photo(self._held(packed, data, start, packed.photo))
        truth = self._truth(packed, data, start, refuse)
        require_one_size(photo, truth, label=f"{self.paths[packed.shard]}: {packed.labels[0].name}")
        return Opened(packed.name, photo.pixels, truth)

    def _truth(self, packed: Packed, data: bytes, start: int, report: Report) -> Labelled:
        files = [self._held(packed, data, start, member) for member in packed.labels]
        if packed.is_panoptic:
            return _panoptic(files[0], files[1], self.labels, report)
        return read_classes(files[0], self.labels, ignored=self.ignored, report=report)

    def _held(self, packed: Packed, data: bytes, start: int, member: Member) -> Any:
        """A member in memory; readers take it as they take a path."""
        shard = self.paths[packed.shard]
        return held(payload(data, start, member, shard), f"{shard}: {member.name}")


def positions(count: int, *, rank: int, world: int, worker: int, workers: int) -> range:
    """The samples of one of `world * workers` readers: together all, each once.

    Raises: ValueError if there is no such reader.
    """
    if not 0 <= rank < world or not 0 <= worker < workers:
        what = f"rank {rank} of {world}, worker {worker} of {workers}"
        raise ValueError(f"{what}: count both from 0 to below their number")
    reader, readers = rank * workers + worker, world * workers
    return range(count * reader // readers, count * (reader + 1) // readers)


def open_shards(root: str, split: str, report: Report = refuse) -> Shards:
    """Reads where the samples of a split lie; no payload is read.

    root    a folder, a pattern such as DIR/{train,val}-{000..009}.tar, or a shard; path or URL
    report  hears of keys that make no sample, which are left out if it returns

    Raises: BadInput if there is no such split, a shard is gone or cut off, or classes are missing.
    """
    splits = shards_of(root)
    if split not in splits:
        known = ", ".join(name for name in splits if name) or "none that a name tells"
        mend = "name shards SPLIT-000.tar or put them in a folder SPLIT"
        raise BadInput(f"{root}: no shards of the split {split!r}: there is {known}: {mend}")
    paths = splits[split]
    with ThreadPoolExecutor(READERS) as pool:
        listed = list(pool.map(members_of, paths))
    found = tuple(
        packed
        for i, members in enumerate(listed)
        for packed in samples_of(members, shard=i, path=paths[i], report=report)
    )
    samples = tuple(_named_once(found, paths, report))
    if not found:
        what = f"no sample in the {len(paths)} shards of {split}"
        raise BadInput(f"{root}: {what}: name members KEY.jpg, KEY.panoptic.png and KEY.json")
    labels, ignored = read_shard_classes(paths[0], split)
    return Shards(_told_apart(labels, samples, root), paths, samples, ignored)


def _told_apart(labels: LabelSpace, samples: tuple[Packed, ...], root: str) -> LabelSpace:
    """The classes as stuff where there are class maps alone, which do not tell things apart."""
    forms = {packed.is_panoptic for packed in samples}
    if len(forms) == 2:
        one, other = (next(s.name for s in samples if s.is_panoptic == f) for f in (True, False))
        what = f"{one} has segments but {other} a class map"
        raise BadInput(f"{root}: {what}: give all samples of a split one kind of labels")
    if forms != {False}:
        return labels
    return LabelSpace(tuple(replace(label, is_thing=False) for label in labels.labels))


def _named_once(
    samples: tuple[Packed, ...], paths: tuple[str, ...], report: Report
) -> Iterator[Packed]:
    places: dict[str, int] = {}
    for packed in samples:
        other = places.setdefault(packed.name, packed.shard)
        if other == packed.shard:
            yield packed
        else:
            what = f"{packed.name} stands in {paths[other]} too: keep one"
            report(Fault("names in two shards", f"{paths[packed.shard]}: {what}"))


def _panoptic(png: Any, info: Any, labels: LabelSpace, report: Report) -> Labelled:
    """Segments by the PNG and its JSON; those of area 0 have no pixels, as said."""
    found, class_ids = read_json(info), labels.class_ids()
    rows = segment_rows(found.get("segments_info", ()) if isinstance(found, dict) else (), info)
    rows = usable_rows(rows, source=info, class_ids=class_ids, report=report)
    hidden = rows[:, 3] == 0
    truth = read_segments(png, rows[~hidden], class_ids, report=report)
    if not hidden.any():
        return truth
    regions = {r.id: r for r in (*truth.regions, *regions_of(rows[hidden], class_ids))}
    order = (segment for segment in rows[:, 0].tolist() if segment in regions)
    return Labelled(truth.ids, tuple(regions[segment] for segment in order))


def _is_near(first: Packed, packed: Packed) -> bool:
    """Whether one read may reach from one sample to another."""
    start = min(member.start for member in first.members)
    stop = max(member.stop for member in packed.members)
    return first.shard == packed.shard and stop - start <= STRETCH
