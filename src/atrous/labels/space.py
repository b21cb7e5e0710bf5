"""What the classes of a data set are called, look like and count as."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.types import BadInput, ClassMap, Labelled, as_array


@dataclass(frozen=True, slots=True)
class Label:
    """One class: `file_id` is its number in the data set's own files."""

    name: str
    colour: tuple[int, int, int]
    is_thing: bool
    file_id: int


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The classes of one data set; a class id is a place in `labels`.

    Raises: BadInput if there is no class, or if a file id stands twice.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise BadInput("a label space needs at least one class")
        ids = [label.file_id for label in self.labels]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise BadInput(f"category ids {twice} stand for more than one class: number them apart")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, class_id: int) -> Label:
        return self.labels[class_id]

    @property
    def void(self) -> int:
        """The class id that means "no class": 255, or 65535 where there are more than 255."""
        return 255 if len(self.labels) <= 255 else 65535

    @property
    def is_thing(self) -> NDArray[np.bool_]:
        """(classes,) true for countable classes."""
        return np.array([label.is_thing for label in self.labels], dtype=np.bool_)

    @property
    def colours(self) -> NDArray[np.uint8]:
        """(classes, 3) RGB."""
        return np.array([label.colour for label in self.labels], dtype=np.uint8)

    def class_ids(self) -> dict[int, int]:
        """File id -> class id."""
        return {label.file_id: i for i, label in enumerate(self.labels)}

    def empty(self, size_hw: tuple[int, int]) -> ClassMap:
        """(h, w) class map that is void everywhere, 8 bit where the classes fit in it."""
        if self.void == 255:
            return np.full(size_hw, self.void, dtype=np.uint8)
        return np.full(size_hw, self.void, dtype=np.uint16)

    def semantic(self, truth: Labelled) -> ClassMap:
        """(h, w) class ids of a labelled image; crowds keep their class."""
        ids = as_array(truth.ids)
        table = np.full(int(ids.max(initial=0)) + 1, self.void, dtype=np.uint16)
        for region in truth.regions:
            if region.id < len(table):
                table[region.id] = region.class_id
        classes: NDArray[np.uint16] = table[ids]
        return classes.astype(np.uint8) if self.void == 255 else classes

    def to_json(self) -> list[dict[str, object]]:
        """Plain data that `from_json` reads back."""
        return [
            {"colour": list(x.colour), "file_id": x.file_id, "name": x.name, "thing": x.is_thing}
            for x in self.labels
        ]

    @classmethod
    def from_json(cls, rows: Iterable[dict[str, object]]) -> LabelSpace:
        """Reads what `to_json` wrote."""
        return cls(tuple(_label(row) for row in rows))


def _label(row: dict[str, object]) -> Label:
    red, green, blue = (int(v) for v in row["colour"])  # type: ignore[attr-defined]
    return Label(str(row["name"]), (red, green, blue), bool(row["thing"]), int(str(row["file_id"])))


def unnamed(count: int) -> LabelSpace:
    """A label space of `count` things without names, for networks without data."""
    colours = distinct_colours(count)
    return LabelSpace(tuple(Label(f"class {i}", colours[i], True, i) for i in range(count)))


def distinct_colours(count: int) -> list[tuple[int, int, int]]:
    """`count` colours that are easy to tell apart, always the same ones.

    Hues step by the golden angle; lightness and saturation alternate.
    """
    return [_hue((0.07 + i * 0.381966) % 1.0, 0.62 + 0.18 * (i % 3)) for i in range(count)]


def _hue(hue: float, value: float) -> tuple[int, int, int]:
    ramp = np.clip(np.abs((hue + np.array([0.0, 2 / 3, 1 / 3])) % 1.0 * 6 - 3) - 1, 0, 1)
    red, green, blue = (int(v) for v in np.round(255 * value * (0.28 + 0.72 * ramp)))
    return red, green, blue
