"""What a parsed image gives: maps, segments, a picture, files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from atrous.draw import overlay
from atrous.formats import (
    PanopticEntry,
    panoptic_json,
    segment_info,
    write_class_map,
    write_confidence,
    write_image,
    write_json,
    write_panoptic,
)
from atrous.labels import LabelSpace
from atrous.types import BadInput, ClassMap, FloatMap, IdMap, Image, Parse, Segment

FORMATS = ("coco",)


@dataclass(frozen=True, slots=True)
class Result:
    """A parse with its image, its classes and a name.

    name  of the image's file without folder and suffix, or "image"
    file  the image's file name, as panoptic JSON names it
    """

    parse: Parse
    image: Image
    labels: LabelSpace
    name: str = "image"
    file: str = "image.png"

    @property
    def panoptic(self) -> IdMap:
        """(h, w) int32 segment ids, 0 = void."""
        return self.parse.panoptic

    @property
    def semantic(self) -> ClassMap:
        """(h, w) class ids before fusion; 255 (65535 beyond 255 classes) = void."""
        return self.parse.semantic

    @property
    def confidence(self) -> FloatMap:
        """(h, w) float32 in [0, 1]: probability of the class in `semantic`."""
        return self.parse.confidence

    @property
    def segments(self) -> tuple[Segment, ...]:
        """One for each id in `panoptic`, things first."""
        return self.parse.segments

    def draw(self) -> Pillow.Image:
        """The image with its segments painted over, as a Pillow image."""
        return Pillow.fromarray(overlay(self.image, self.parse, self.labels))

    def to_coco(self) -> dict[str, Any]:
        """The image's annotation in COCO panoptic form, segment scores included."""
        file_ids = [label.file_id for label in self.labels.labels]
        return {
            "file_name": f"{self.name}.png",
            "segments_info": [segment_info(s, file_ids[s.class_id]) for s in self.segments],
        }

    def save(self, folder: str | Path, *, format: str = "coco") -> dict[str, str]:
        """Writes overlay/NAME.png, panoptic/NAME.png and panoptic.json; returns their paths.

        Raises: BadInput for another format.
        """
        writer = ResultFolder(Path(folder), format=format)
        outputs = writer.add(self)
        writer.close(self.labels)
        return outputs

    def summary(self) -> str:
        """What was found, in words: "person 2, dog 1; background"."""
        things: dict[str, int] = {}
        for segment in self.segments:
            if segment.is_thing:
                things[segment.name] = things.get(segment.name, 0) + 1
        stuff = sorted({s.name for s in self.segments if not s.is_thing})
        counted = ", ".join(f"{name} {count}" for name, count in sorted(things.items()))
        return "; ".join(part for part in (counted, ", ".join(stuff)) if part) or "nothing"

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.draw().save(picture, "PNG")
        return picture.getvalue()


class ResultFolder:
    """A folder that results are saved into, one by one; `close` writes the JSON of all.

    semantic, confidence  whether class maps and 16-bit confidence maps are written too

    Raises: BadInput for a format other than those in `FORMATS`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        format: str = "coco",
        semantic: bool = False,
        confidence: bool = False,
    ) -> None:
        if format not in FORMATS:
            raise BadInput(f"--format {format}: there is {', '.join(FORMATS)}")
        self.folder, self._semantic, self._confidence = folder, semantic, confidence
        self._entries: list[PanopticEntry] = []

    def add(self, result: Result) -> dict[str, str]:
        """Writes the pictures of one result; returns their paths by kind."""
        name = f"{result.name}.png"
        paths = {kind: self.folder / kind / name for kind in self._kinds()}
        write_panoptic(paths["panoptic"], result.panoptic)
        if self._semantic:
            write_class_map(paths["semantic"], result.semantic)
        if self._confidence:
            write_confidence(paths["confidence"], result.confidence)
        write_image(paths["overlay"], overlay(result.image, result.parse, result.labels))
        height, width = result.panoptic.shape
        self._entries.append(
            PanopticEntry(result.name, result.file, name, (height, width), result.segments)
        )
        return {kind: str(path) for kind, path in paths.items()}

    def close(self, labels: LabelSpace) -> None:
        """Writes panoptic.json for all results that were added."""
        write_json(self.folder / "panoptic.json", panoptic_json(self._entries, labels))

    def _kinds(self) -> list[str]:
        extra = [("semantic", self._semantic), ("confidence", self._confidence)]
        return ["overlay", "panoptic", *(kind for kind, wanted in extra if wanted)]
