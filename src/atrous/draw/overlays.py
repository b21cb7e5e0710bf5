"""Segments laid over their photo, with names, outlines and a legend."""

from __future__ import annotations

from collections.abc import Mapping

from atrous.draw.colours import Colour
from atrous.draw.layers import (
    Layer,
    colours,
    labelled_layer,
    lasting_ranks,
    parse_layer,
    ranks,
)
from atrous.draw.outlines import outline
from atrous.draw.style import USUAL, Style
from atrous.draw.tags import named
from atrous.draw.tint import tinted
from atrous.draw.words import bands, font_px, hatching, with_legend
from atrous.labels import LabelSpace
from atrous.types import Image, Labelled, Parse

VOID = "void"
MOST_BANDS = 4


def overlay(
    image: Image,
    parse: Parse,
    labels: LabelSpace,
    *,
    style: Style = USUAL,
    legend: bool = True,
    is_frame: bool = False,
) -> Image:
    """The parse over its image: (h, w, 3), or taller by a strip with the legend.

    Each thing has a colour near that of its class, an outline, and its name and score where its
    mask has room for them; the legend names the stuff and the things without a name. Stuff called
    "background" stays uncoloured and dim; void does too, and is hatched. Images too small for
    words get none.

    legend    False leaves the strip out, whatever the style says
    is_frame  whether its ids are those of a `Tracker`: colours go by them then, and last too

    Raises: ValueError if image and parse differ in size.
    """
    if image.shape[:2] != parse.panoptic.shape:
        raise ValueError(f"image is {image.shape[:2]}, its parse {parse.panoptic.shape}: same size")
    layer = parse_layer(parse)
    places = lasting_ranks(layer, len(labels)) if is_frame else None
    return painted(image, layer, labels, style=style, legend=legend, known_ranks=places)


def labelled_overlay(
    image: Image, labelled: Labelled, labels: LabelSpace, *, style: Style = USUAL
) -> Image:
    """The regions over their image, in the look of `overlay`.

    Names come with a score where the region has one; a crowd is hatched and called one.

    Raises: ValueError if image and label differ in size.
    """
    if image.shape[:2] != labelled.ids.shape:
        raise ValueError(f"image is {image.shape[:2]}, its label {labelled.ids.shape}: same size")
    return painted(image, labelled_layer(labelled, labels), labels, style=style)


def painted(
    image: Image,
    layer: Layer,
    labels: LabelSpace,
    *,
    style: Style = USUAL,
    legend: bool = True,
    known_ranks: Mapping[int, int] | None = None,
) -> Image:
    """A layer over its image, as `overlay` says.

    known_ranks  what decides between the colours of a class; `ranks` of the layer without it
    """
    places = ranks(layer) if known_ranks is None else known_ranks
    palette = colours(layer, labels, places, by=style.by)
    size = font_px(image.shape[:2])
    picture = tinted(image, layer, palette, alpha=style.alpha, hatch_px=size // 2)
    if style.contours:
        outline(picture, layer, palette)
    tagged = named(picture, layer, palette) if style.labels else frozenset()
    if not (style.legend and legend):
        return picture
    return with_legend(picture, _entries(layer, palette, tagged, size_px=size))


def _entries(
    layer: Layer, palette: Mapping[int, Colour], tagged: frozenset[int], *, size_px: int
) -> dict[str, Colour | Image]:
    """What the legend explains: colours that no tag does, large to small, and void."""
    found: dict[str, list[Colour]] = {}
    for patch in sorted(layer.patches, key=lambda p: (-p.area, p.box)):
        if patch.area and patch.id in palette and patch.id not in tagged:
            found.setdefault(patch.name, []).append(palette[patch.id])
    entries: dict[str, Colour | Image] = {
        name: bands(list(dict.fromkeys(shades))[:MOST_BANDS], size_px)
        for name, shades in found.items()
    }
    if layer.has_void:
        entries[VOID] = hatching(size_px)
    return entries
