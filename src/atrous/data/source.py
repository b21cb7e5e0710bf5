"""What every data set looks like from outside: counted, named, read one sample at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from atrous.labels import LabelSpace
from atrous.types import Sample


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


def subset(source: Source, indices: Iterable[int]) -> Subset:
    """A view of the samples `indices` of a source, which may repeat.

    Raises: ValueError if an index lies outside the source.
    """
    chosen = tuple(int(i) for i in indices)
    outside = [i for i in chosen if not 0 <= i < len(source)]
    if outside:
        raise ValueError(f"no sample {outside[0]} among {len(source)}: count from 0")
    return Subset(source, chosen)
