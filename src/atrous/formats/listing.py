"""The images and categories that COCO's instance files list, both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atrous.formats.images import MAX_PIXELS
from atrous.labels import Label, LabelSpace, distinct_colours
from atrous.types import BadInput, Fault, Report

ImageId = int | str


@dataclass(frozen=True, slots=True)
class ImageKey:
    """What a file of instances says about an image."""

    id: ImageId
    file_name: str
    size_hw: tuple[int, int]


def is_id(value: object) -> bool:
    """Whether a value of JSON can name an image."""
    return type(value) in (int, str)


def read_images(rows: list[Any], source: str, report: Report) -> dict[ImageId, ImageKey]:
    """Id -> image, in the order of `rows`.

    report  hears of images that lack a part, and of ids that stand twice; `source` is named
    """
    images: dict[ImageId, ImageKey] = {}
    for place, row in enumerate(rows, 1):
        key = _image_key(row)
        if key is None:
            what = f"image at place {place} of the list lacks id, file_name, height or width"
            mend = f"give all four, height and width in pixels, {MAX_PIXELS} at most together"
            report(Fault("images without id, name or size", f"{source}: {what}: {mend}"))
        elif key.id in images:
            what = f"image id {key.id!r} stands twice: give each image its own"
            report(Fault("image ids listed twice", f"{source}: {what}"))
        else:
            images[key.id] = key
    return images


def read_categories(
    categories: list[Any], source: object, *, things: bool | None = None
) -> LabelSpace:
    """The classes of a list of categories.

    things  whether a class that does not say so is a thing; None = each must say

    Raises: BadInput if an entry is of another form or a category id stands twice.
    """
    spare = distinct_colours(len(categories))
    try:
        labels = tuple(_label(c, spare[i], things) for i, c in enumerate(categories))
    except (AttributeError, KeyError, TypeError, ValueError):
        needs = "id (a whole number), name" + (" and isthing" if things is None else "")
        what = f"each category needs {needs} (and color, if any, as three of 0..255)"
        form = "panoptic" if things is None else "instances"
        raise BadInput(f"{source}: {what}: give COCO {form} JSON") from None
    try:
        return LabelSpace(labels)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None


def require_agreement(own: LabelSpace, labels: LabelSpace, source: str, report: Report) -> None:
    """Reports the categories of a file that are called otherwise in `labels`."""
    wanted = {label.file_id: label.name for label in labels.labels}
    for label in own.labels:
        name = wanted.get(label.file_id, label.name)
        if label.name != name:
            what = f"category {label.file_id} is {label.name!r} but {name!r} among the classes"
            mend = "use one list of categories"
            report(Fault("categories of another name", f"{source}: {what}: {mend}"))


def image_row(key: ImageKey) -> dict[str, object]:
    """An image as JSON lists it."""
    height, width = key.size_hw
    return {"id": key.id, "file_name": key.file_name, "height": int(height), "width": int(width)}


def category_row(label: Label) -> dict[str, object]:
    """A class as JSON lists it, with COCO panoptic's `isthing` and `color`."""
    return {
        "id": label.file_id,
        "name": label.name,
        "supercategory": "thing" if label.is_thing else "stuff",
        "isthing": int(label.is_thing),
        "color": list(label.colour),
    }


def _image_key(row: Any) -> ImageKey | None:
    if not isinstance(row, dict) or not is_id(row.get("id")):
        return None
    name, height, width = row.get("file_name"), row.get("height"), row.get("width")
    if not isinstance(name, str) or type(height) is not int or type(width) is not int:
        return None
    is_sound = height > 0 and width > 0 and height * width <= MAX_PIXELS
    return ImageKey(row["id"], name, (height, width)) if is_sound else None


def _label(category: dict[str, Any], spare: tuple[int, int, int], things: bool | None) -> Label:
    red, green, blue = bytes(category.get("color", spare))  # bytes refuses all but 0..255
    if type(category["id"]) is not int:
        raise TypeError(f"{category['id']!r} is no whole number")
    is_thing = category["isthing"] if things is None else category.get("isthing", things)
    return Label(str(category["name"]), (red, green, blue), bool(is_thing), category["id"])
