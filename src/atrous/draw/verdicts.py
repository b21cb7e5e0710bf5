"""Where a prediction is wrong, and how."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from atrous.draw.colours import INK, Colour, stripes
from atrous.draw.layers import Layer, Patch, measured
from atrous.draw.tags import named
from atrous.draw.tint import tinted
from atrous.draw.words import Box, font_px, with_legend
from atrous.labels import LabelSpace
from atrous.types import IdMap, Image, Labelled, Region


class Verdict(Enum):
    """What is to be said of a pixel, in the words of the legend."""

    CLASS_ONLY = "right class only"
    WRONG_CLASS = "wrong class"
    MISSED = "missed"
    EXTRA = "extra"
    NOT_SCORED = "not scored"
    RIGHT = "right"


COLOURS: dict[Verdict, Colour] = {
    Verdict.CLASS_ONLY: (240, 228, 66),
    Verdict.WRONG_CLASS: (204, 51, 17),
    Verdict.MISSED: (0, 80, 200),
    Verdict.EXTRA: (100, 220, 250),
}
"""Warm where both sides have a segment, cold where one has; within each, one is light.

So colour-blind people can tell them apart, over bright photos and dark ones.
"""
DIM: Colour = (66, 67, 71)
STRIPE: Colour = (112, 114, 120)
OPAQUE = 0.85


def errors(
    image: Image,
    truth: Labelled,
    prediction: Labelled,
    *,
    labels: LabelSpace,
    matches: Collection[tuple[int, int]],
    forgiven: Collection[int] = (),
) -> Image:
    """Where a prediction is wrong, over the image in grey: (h, w, 3), taller by a legend's strip.

    right             the segments are matched: dim
    right class only  both sides have the class, but the segments are not matched
    wrong class       both sides have a segment
    missed            the prediction is void
    extra             the truth is void, and the score holds the predicted segment against it
    not scored        other void, and crowds but for wrong classes: dark, hatched

    Errors are named where there is room: with the class, or "cat, not dog". Images too small for
    words get none.

    matches   pairs of a true and a predicted id that the score takes for one segment
    forgiven  predicted ids without a match that the score does not count, for what they lie on

    Raises: ValueError if image, truth and prediction differ in size.
    """
    require_one_size(image, truth, prediction)
    ids, cases = _cases(truth, prediction, set(matches), set(forgiven))
    layer = _layer(ids, cases, labels)
    palette = {i: COLOURS[case.verdict] for i, case in enumerate(cases) if case.verdict in COLOURS}
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    picture = tinted(np.asarray(grey, dtype=np.uint8), layer, palette, alpha=OPAQUE)
    unscored = np.array([case.verdict is Verdict.NOT_SCORED for case in cases])[ids]
    size = font_px(ids.shape)
    picture[unscored] = _hatching(ids.shape, size // 2)[unscored]
    named(picture, layer, palette)
    return with_legend(picture, _legend(size))


def require_one_size(image: Image, truth: Labelled, prediction: Labelled) -> None:
    """Raises ValueError if image, truth and prediction differ in size."""
    if not image.shape[:2] == truth.ids.shape == prediction.ids.shape:
        sizes = f"its truth {truth.ids.shape}, its prediction {prediction.ids.shape}"
        raise ValueError(f"image is {image.shape[:2]}, {sizes}: same size")


@dataclass(frozen=True, slots=True)
class _Case:
    """A true and a predicted region on each other, None for void."""

    true: Region | None
    predicted: Region | None
    verdict: Verdict


def _cases(
    truth: Labelled, prediction: Labelled, matches: set[tuple[int, int]], forgiven: set[int]
) -> tuple[IdMap, list[_Case]]:
    """(h, w) place of each pixel's case in the list of all cases, and that list."""
    true, predicted = ({r.id: r for r in side.regions} for side in (truth, prediction))
    keys = (truth.ids.astype(np.int64) << 32) | prediction.ids.astype(np.uint32)
    found, ids = np.unique(keys, return_inverse=True)
    settled = forgiven | {p for _, p in matches}
    cases = []
    for t, p in zip((found >> 32).tolist(), found.astype(np.int32).tolist(), strict=True):
        pair = true.get(t), predicted.get(p)
        verdict = Verdict.RIGHT if (t, p) in matches else _verdict(*pair, settled)
        cases.append(_Case(*pair, verdict))
    return ids.reshape(keys.shape).astype(np.int32), cases


def _verdict(true: Region | None, predicted: Region | None, settled: set[int]) -> Verdict:
    """What to say of two regions without a match; `settled` predictions may lie on anything."""
    is_found = predicted is not None and predicted.id not in settled
    if true is None:
        return Verdict.EXTRA if is_found else Verdict.NOT_SCORED
    is_alike = predicted is not None and predicted.class_id == true.class_id
    if true.is_crowd:
        return Verdict.WRONG_CLASS if is_found and not is_alike else Verdict.NOT_SCORED
    if predicted is None:
        return Verdict.MISSED
    return Verdict.CLASS_ONLY if is_alike else Verdict.WRONG_CLASS


def _layer(ids: IdMap, cases: Sequence[_Case], labels: LabelSpace) -> Layer:
    """A patch for each case that is an error."""
    extents = measured(ids)
    wrong = ((i, case) for i, case in enumerate(cases) if case.verdict in COLOURS)
    return Layer(ids, tuple(_patch(i, case, labels, extents[i]) for i, case in wrong))


def _patch(place: int, case: _Case, labels: LabelSpace, extent: tuple[int, Box]) -> Patch:
    region = case.true or case.predicted
    assert region is not None, "nothing on nothing is no error"
    return Patch(
        id=place,
        class_id=region.class_id,
        name=labels[region.class_id].name,
        is_thing=True,
        area=extent[0],
        box=extent[1],
        captions=_captions(case, labels),
    )


def _captions(case: _Case, labels: LabelSpace) -> tuple[str, ...]:
    """The best first: "cat, not dog" where the class is wrong, else the class."""
    names = [labels[r.class_id].name for r in (case.predicted, case.true) if r is not None]
    if case.verdict is not Verdict.WRONG_CLASS:
        return (names[0],)
    return f"{names[0]}, not {names[1]}", f"not {names[1]}"


def _hatching(size_hw: tuple[int, ...], period_px: int) -> Image:
    return np.where(stripes(size_hw, period_px)[..., None], STRIPE, INK).astype(np.uint8)


def _legend(size_px: int) -> dict[str, Colour | Image]:
    entries: dict[str, Colour | Image] = {v.value: colour for v, colour in COLOURS.items()}
    entries[Verdict.NOT_SCORED.value] = _hatching((size_px, size_px), size_px // 2)
    entries[Verdict.RIGHT.value] = DIM
    return entries
