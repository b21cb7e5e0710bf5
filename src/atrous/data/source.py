"""What every data set looks like from outside: counted, named, read one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from atrous.formats import Photo, read_photo
from atrous.labels import LabelSpace
from atrous.types import BadInput, Image, Labelled, Report, Sample, refuse


class Source(Protocol):
    """A data set; opening it reads an index only, images are read when asked for."""

    @property
    def labels(self) -> LabelSpace:
        """The classes of all samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample.

        Raises: IndexError beyond the end; BadInput if its files are missing or disagree.
        """

    def name(self, index: int) -> str:
        """The name that sample `index` will have, known without reading it."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A sample whose photo is still to be decoded; photo and truth have one size.

    pixels  (h, w, 3) of the photo, each side at least a ratio of its own
    """

    name: str
    pixels: Callable[[float], Image]
    truth: Labelled

    def sample(self) -> Sample:
        """The sample at full size."""
        return Sample(self.name, self.pixels(1.0), self.truth)


def opened(source: Source, index: int) -> Opened:
    """A sample of any source, its photo not decoded yet where the source can do so."""
    own = getattr(source, "opened", None)
    if own is not None:
        found: Opened = own(index)
        return found
    sample = source[index]
    return Opened(sample.name, lambda _: sample.image, sample.truth)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """The files of one sample, as an index knows them.

    name    unique in its split: the photo's file name, or its path below the split's photos
    image   the photo
    truth   its label files
    record  what the index itself says of it, such as the rows of a JSON; None = nothing
    """

    name: str
    image: Path
    truth: tuple[Path, ...]
    record: object = None


ReadTruth = Callable[[Entry, Report], Labelled]
"""Reads the label files of a sample; worker processes can have it: no lambda, no local function."""


@dataclass(frozen=True, slots=True, eq=False)
class FileSource:
    """A split of a data set in files."""

    labels: LabelSpace
    entries: tuple[Entry, ...]
    read: ReadTruth

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        """Reads photo and labels.

        Raises: BadInput if a file is missing or damaged, if sizes differ, or if labels make no
        sense.
        """
        return self.opened(index).sample()

    def name(self, index: int) -> str:
        """The name of the sample."""
        return self.entries[index].name

    def opened(self, index: int) -> Opened:
        """Reads labels, and the photo's file, which is not decoded.

        Raises: BadInput as `__getitem__` does.
        """
        entry = self.entries[index]
        photo, truth = read_photo(entry.image), self.truth(index)
        require_one_size(photo, truth, label=entry.truth[0])
        return Opened(entry.name, photo.pixels, truth)

    def truth(self, index: int, report: Report = refuse) -> Labelled:
        """The labels of a sample.

        report  hears of what makes no sense, which becomes void if it returns

        Raises: BadInput if a file is missing or damaged.
        """
        return self.read(self.entries[index], report)


def require_one_size(photo: Photo, truth: Labelled, *, label: object) -> None:
    """Raises BadInput if photo and labels differ in size; `label` is the file, for the message."""
    if photo.size_hw == truth.ids.shape:
        return
    sizes = ["x".join(map(str, size)) for size in (truth.ids.shape, photo.size_hw)]
    what = f"the label is {sizes[0]} but {photo.source} is {sizes[1]} (height x width, upright)"
    raise BadInput(f"{label}: {what}: give both the same size")


@dataclass(frozen=True, slots=True)
class Subset:
    """Some samples of a source, in an order of their own."""

    source: Source
    indices: tuple[int, ...]

    @property
    def labels(self) -> LabelSpace:
        """The classes of the whole source."""
        return self.source.labels

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.source[self.indices[index]]

    def name(self, index: int) -> str:
        """The name that the sample has in the whole source."""
        return self.source.name(self.indices[index])

    def opened(self, index: int) -> Opened:
        """The sample, its photo not decoded yet where the whole source can do so."""
        return opened(self.source, self.indices[index])


def subset(source: Source, indices: Iterable[int]) -> Subset:
    """A view of the samples `indices` of a source, which may repeat.

    Raises: ValueError if an index lies outside the source.
    """
    chosen = tuple(int(i) for i in indices)
    outside = [i for i in chosen if not 0 <= i < len(source)]
    if outside:
        raise ValueError(f"no sample {outside[0]} among {len(source)}: count from 0")
    return Subset(source, chosen)
