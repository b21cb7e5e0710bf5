"""Sides of masks that may lie over each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from atrous.formats.instances import InstanceFile
from atrous.formats.layers import flatten, grounded, smaller_first, with_ground
from atrous.formats.listing import ImageKey
from atrous.formats.masklist import read_mask_list
from atrous.labels import LabelSpace
from atrous.score.sides import Entry, Holds, Reading, Side, SizeHW
from atrous.types import BadInput, Instances, Report


class MaskSide(Side, Protocol):
    """A side that can hand out its masks as they are, too."""

    def instances(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Instances:
        """The masks of one image."""

    def areas(self, place: int) -> Mapping[int, float]:
        """Instance id -> the area that the file claims, where it does."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceSide:
    """COCO instances; laid flat only where they are read as segments.

    ground  class id of what no mask covers, where they are laid flat; None = void
    """

    labels: LabelSpace
    file: InstanceFile
    images: tuple[ImageKey, ...]
    ground: int | None = None
    holds: Holds = "instances"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """By image id and photo."""
        return tuple(Entry(image.id, image.file_name) for image in self.images)

    def instances(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Instances:
        """The masks as they are."""
        return self.file.of(self.images[place].id, report)

    def areas(self, place: int) -> Mapping[int, float]:
        """Instance id -> the area that the file claims."""
        return self.file.areas(self.images[place].id)

    def read(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Reading:
        """The masks in one map; `report` hears of those that lie over each other."""
        image = self.images[place]
        source = f"{self.file.source}: image {image.id!r} ({image.file_name})"
        flat = _flat(self.instances(place, report), source, report)
        if self.ground is None:
            return flat
        whole = grounded(flat.labelled, self.labels.is_thing, self.ground)
        return replace(flat, ids=whole.ids, regions=whole.regions)

    def part(self, places: tuple[int, ...]) -> InstanceSide:
        """These images alone."""
        images = tuple(self.images[i] for i in places)
        return replace(self, file=self.file.part(x.id for x in images), images=images)


@dataclass(frozen=True, slots=True, eq=False)
class MaskListSide:
    """Cityscapes' results: a text of masks for each image; class_ids as `FileSide` has them."""

    labels: LabelSpace
    files: tuple[tuple[str, Path], ...]
    root: Path
    class_ids: Mapping[int, int]
    holds: Holds = "instances"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """By key."""
        return tuple(Entry(None, None, key) for key, _ in self.files)

    def instances(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Instances:
        """The masks as they are."""
        path = self.files[place][1]
        if size_hw is None:
            raise BadInput(f"{path}: lists masks, not the size of the image: use it as prediction")
        found = read_mask_list(path, size_hw=size_hw, root=self.root, report=report)
        items = (
            replace(x, class_id=self.class_ids[x.class_id])
            for x in found.items
            if x.class_id in self.class_ids
        )
        return Instances(size_hw, tuple(items))

    def areas(self, place: int) -> Mapping[int, float]:
        """Nothing: a list of masks claims no areas."""
        return {}

    def read(self, place: int, report: Report, size_hw: SizeHW | None = None) -> Reading:
        """The masks in one map; `report` hears of those that lie over each other."""
        found = self.instances(place, report, size_hw)
        return _flat(found, str(self.files[place][1]), report)

    def part(self, places: tuple[int, ...]) -> MaskListSide:
        """These images alone."""
        return replace(self, files=tuple(self.files[i] for i in places))


def on_ground(side: InstanceSide) -> InstanceSide:
    """The side with a class of stuff for what no mask covers, so that it is not void.

    False alarms there are no truth to forgive.
    """
    labels, ground = with_ground(side.labels)
    return replace(side, labels=labels, ground=ground)


def _flat(instances: Instances, source: str, report: Report) -> Reading:
    labelled, _ = flatten(smaller_first(instances), source=source, report=report)
    return Reading(labelled.ids, labelled.regions, None, source)
