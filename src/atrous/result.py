"""What a parsed image gives: maps, segments, masks, a picture, files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from atrous.draw import USUAL, Style, overlay, side_by_side, thumbnail
from atrous.draw import contact_sheet as in_rows
from atrous.formats import (
    ImageKey,
    PanopticEntry,
    instances_of,
    panoptic_json,
    require_fit,
    require_form,
    results_json,
    runs_within,
    segment_info,
    segmentation_json,
    trace_mask,
    write_class_map,
    write_confidence,
    write_image,
    write_json,
)
from atrous.labels import LabelSpace
from atrous.types import BadInput, ClassMap, FloatMap, IdMap, Image, Parse, Segment, in_words

OVERLAYS = ("overlay", "side-by-side", "none")
PICTURES = ("png", "jpg")


@dataclass(frozen=True, slots=True)
class Result:
    """A parse with its image, its classes and a name.

    name      of the image's file without folder and suffix, or "image"
    file      the image's file name, as panoptic JSON names it
    is_frame  whether it is one of a video's with ids that last: so do its colours then
    """

    parse: Parse
    image: Image
    labels: LabelSpace
    name: str = "image"
    file: str = "image.png"
    is_frame: bool = False

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

    def mask(self, segment: Segment | int) -> NDArray[np.bool_]:
        """(h, w), true inside a segment, which is given itself or by its id.

        Raises: ValueError if there is no such segment.
        """
        y0, x0, y1, x1 = self._found(segment).box
        mask = np.zeros(self.panoptic.shape, dtype=np.bool_)
        mask[y0:y1, x0:x1] = self._inside(segment)
        return mask

    def rle(self, segment: Segment | int) -> dict[str, Any]:
        """A segment's mask as COCO's compressed runs: {"size": [h, w], "counts": text}.

        pycocotools reads it, and JSON holds it. Raises: ValueError if there is no such segment.
        """
        y0, x0, _, _ = self._found(segment).box
        height, width = self.panoptic.shape
        runs = runs_within(self._inside(segment), (y0, x0), (height, width))
        return segmentation_json(runs, (height, width))

    def polygons(self, segment: Segment | int) -> list[NDArray[np.int32]]:
        """A segment's outlines, each (n, 2) corners (x, y), closed without saying the first twice.

        They run along the edges of pixels, those of the first pixel from 0 to 1: clockwise as seen
        around each part, the other way around holes. Filled at the centres of pixels, by the
        even-odd rule or the nonzero one, they give the mask back, every pixel of it.

        Raises: ValueError if there is no such segment.
        """
        y0, x0, _, _ = self._found(segment).box
        return trace_mask(self._inside(segment), (y0, x0))

    def detections(self, image_id: int | str | None = None) -> list[dict[str, Any]]:
        """The things in the form of COCO's results, each with "segmentation", "bbox" and "score".

        image_id  as the truth's file has it; `name` without
        """
        key = ImageKey(self.name if image_id is None else image_id, self.file, self.panoptic.shape)
        things = instances_of(self.parse.labelled, self.labels.is_thing)
        boxes = {s.id: segment_info(s, 0)["bbox"] for s in self.segments}
        rows = zip(things.items, results_json([(key, things)], self.labels), strict=True)
        return [row | {"bbox": boxes[thing.id]} for thing, row in rows]

    def draw(
        self,
        *,
        by: str = USUAL.by,
        alpha: float = USUAL.alpha,
        contours: bool = USUAL.contours,
        labels: bool = USUAL.labels,
        legend: bool = USUAL.legend,
    ) -> Pillow.Image:
        """The image with its segments painted over, as a Pillow image; options as in `Style`.

        Raises: BadInput for an option that makes no sense.
        """
        return Pillow.fromarray(self.painted(Style(by, alpha, contours, labels, legend)))

    def painted(self, style: Style = USUAL) -> Image:
        """What `draw` gives, as an array."""
        return overlay(self.image, self.parse, self.labels, style=style, is_frame=self.is_frame)

    def side_by_side(self, style: Style = USUAL) -> Pillow.Image:
        """Photo and parse beside each other, under titles."""
        return Pillow.fromarray(side_by_side([self.image, self.painted(style)], ["photo", "parse"]))

    def to_coco(self) -> dict[str, Any]:
        """The image's annotation in COCO panoptic form, segment scores included."""
        file_ids = [label.file_id for label in self.labels.labels]
        rows = [segment_info(s, file_ids[s.class_id]) for s in self.segments]
        return {"file_name": f"{self.name}.png", "segments_info": rows}

    def save(
        self, folder: str | Path, *, format: str = "coco", style: Style = USUAL
    ) -> dict[str, str]:
        """Writes what `ResultFolder` does, for one image; returns the paths of its pictures.

        Raises: BadInput for another format, or classes that do not fit into it.
        """
        writer = ResultFolder(Path(folder), format=format, style=style)
        entry, outputs = writer.write(self)
        writer.finish([entry], self.labels)
        return outputs

    def summary(self) -> str:
        """What was found, in words: "person 2, dog 1; background"."""
        return in_words(self.segments)

    def _found(self, segment: Segment | int) -> Segment:
        wanted = segment.id if isinstance(segment, Segment) else segment
        found = next((s for s in self.segments if s.id == wanted), None)
        if found is None:
            ids = ", ".join(str(s.id) for s in self.segments) or "none"
            raise ValueError(f"no segment {wanted}: this image has {ids}")
        return found

    def _inside(self, segment: Segment | int) -> NDArray[np.bool_]:
        """The mask within the box."""
        found = self._found(segment)
        y0, x0, y1, x1 = found.box
        return np.asarray(self.panoptic[y0:y1, x0:x1] == found.id)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.draw().save(picture, "PNG")
        return picture.getvalue()


def contact_sheet(
    results: Iterable[Result], *, columns: int = 4, longest_px: int = 480, style: Style = USUAL
) -> Pillow.Image:
    """Many parses on one page, each under its name; an iterator's are held small, not whole.

    longest_px  what the longer side of an image is scaled down to

    Raises: BadInput without a result, a column or a pixel.
    """
    cells = [
        thumbnail(
            r.image, r.parse.labelled, r.labels, longest_px=longest_px, title=r.name, style=style
        )
        for r in results
    ]
    return Pillow.fromarray(in_rows(cells, columns=columns, shrink=False))


class ResultFolder:
    """A folder that results are saved into, one by one; `close` writes the JSON of all.

    format      a name of `FORMS`: how label files look, and the folders they lie in
    semantic, confidence  whether class maps and 16-bit confidence maps are written too
    overlay     "overlay", "side-by-side" with the photo, or "none", which is the quickest
    picture     "png", or "jpg": a tenth of its time and size
    style       the look of overlays

    `write` may be called from several threads, and whoever calls it may keep the entries; `add` and
    `close` keep them here.

    Raises: BadInput for options that there are not.
    """

    def __init__(
        self,
        folder: Path,
        *,
        format: str = "coco",
        semantic: bool = False,
        confidence: bool = False,
        overlay: str = "overlay",
        picture: str = "png",
        style: Style = USUAL,
    ) -> None:
        _require("--overlay", overlay, OVERLAYS)
        _require("--picture", picture, PICTURES)
        self.folder, self._format, self._form = folder, format, require_form(format)
        self._semantic, self._confidence = semantic, confidence
        self._overlay, self._picture, self._style = overlay, picture, style
        self._entries: list[PanopticEntry] = []

    def check(self, labels: LabelSpace) -> None:
        """Raises BadInput if the format cannot hold these classes; `write` asks too."""
        require_fit(self._format, labels)

    def write(self, result: Result) -> tuple[PanopticEntry, dict[str, str]]:
        """Writes the files of one result; returns its entry for `finish`, and the paths by kind.

        Raises: BadInput if a file cannot be written, or the format cannot hold the result.
        """
        self.check(result.labels)
        labels = self._form.paths(self.folder, result.name)
        try:
            self._form.write(list(labels.values()), result.parse.labelled, result.labels)
        except BadInput:
            raise
        except ValueError as error:
            raise BadInput(f"{result.file}: --format {self._format}: {error}") from error
        paths = self._pictures(result) | labels
        names, size_hw = (result.name, result.file, f"{result.name}.png"), result.panoptic.shape
        entry = PanopticEntry(*names, size_hw, result.segments)
        return entry, {kind: str(path) for kind, path in paths.items()}

    def finish(self, entries: Iterable[PanopticEntry], labels: LabelSpace) -> None:
        """Writes panoptic.json for these images, where the format has one."""
        if self._form.has_json:
            write_json(self.folder / "panoptic.json", panoptic_json(entries, labels))

    def add(self, result: Result) -> dict[str, str]:
        """`write`, with the entry kept for `close`."""
        entry, outputs = self.write(result)
        self._entries.append(entry)
        return outputs

    def close(self, labels: LabelSpace) -> None:
        """`finish` for all results that were added."""
        self.finish(self._entries, labels)

    def _pictures(self, result: Result) -> dict[str, Path]:
        """Writes what is no label file."""
        paths = {}
        if self._overlay != "none":
            paths["overlay"] = self.folder / "overlay" / f"{result.name}.{self._picture}"
            write_image(paths["overlay"], self._drawn(result))
        if self._semantic:
            paths["semantic"] = self.folder / "semantic" / f"{result.name}.png"
            write_class_map(paths["semantic"], result.semantic)
        if self._confidence:
            paths["confidence"] = self.folder / "confidence" / f"{result.name}.png"
            write_confidence(paths["confidence"], result.confidence)
        return paths

    def _drawn(self, result: Result) -> Image:
        if self._overlay == "side-by-side":
            return np.asarray(result.side_by_side(self._style))
        return result.painted(self._style)


def _require(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadInput(f"{option} {value}: there is {', '.join(known)}")
