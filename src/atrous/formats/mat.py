"""MATLAB files of version 5, as SBD and PASCAL-Context ship their labels; scipy reads them.

SBD             cls/NAME.mat   GTcls.Segmentation: 0 = background, 1 to 20 as in VOC
                inst/NAME.mat  GTinst.Segmentation: 0 = background, numbers of instances from 1;
                               GTinst.Categories: the class of each of them
PASCAL-Context  NAME.mat       LabelMap: ids of the list of 459 names beside it

SBD's own files have no void; 255 is void here, as in VOC, for maps that are written with some.

Source: the README of the Semantic Boundaries Dataset; the page of PASCAL-Context.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.formats.classpng import file_ids
from atrous.formats.files import write_whole
from atrous.formats.images import contents
from atrous.formats.values import (
    Meaning,
    Stored,
    label_classes,
    labelled_by,
    numbered,
    painted,
    values_in,
)
from atrous.labels import VOC, VOC_IGNORED, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, refuse

VOID = 255
"""What no instance has."""

_PACKED = 15
"""The kind of a variable that is deflated."""

_FileName = str | os.PathLike[str]


def read_sbd(path: _FileName, labels: LabelSpace = VOC, *, report: Report = refuse) -> Labelled:
    """An `inst` file: a region for each instance that has pixels, and one for the background.

    report  hears of instances that have no class, which become void if it returns

    Raises: BadInput if the file is no such file, or an instance has no class or one of stuff.
    """
    fields = _struct(path, "GTinst")
    stored = _ids(fields["Segmentation"], f"{path}: GTinst.Segmentation")
    categories = _categories(fields["Categories"], f"{path}: GTinst.Categories")
    meanings = {}
    for number in values_in(stored):
        category = categories[number - 1] if 0 < number <= len(categories) else None
        meanings[number] = _meaning(number, category, labels)
        is_void = number == VOID and category is None
        if meanings[number] is None and not is_void:
            report(_fault(path, number, category, count=len(categories)))
    return labelled_by(stored, meanings)


def read_sbd_classes(
    path: _FileName, labels: LabelSpace = VOC, *, report: Report = refuse
) -> Labelled:
    """A `cls` file: a region for each class that occurs, things too.

    report  hears of ids of no class, which become void if it returns

    Raises: BadInput if the file is no such file, or holds other ids.
    """
    stored = _ids(_struct(path, "GTcls")["Segmentation"], f"{path}: GTcls.Segmentation")
    return label_classes(stored, labels, ignored=VOC_IGNORED, source=path, report=report)


def read_label_map(path: _FileName) -> Stored:
    """(h, w) ids of a file of PASCAL-Context as they stand in it.

    Raises: BadInput if the file is no such file.
    """
    return _ids(_variable(path, "LabelMap"), f"{path}: LabelMap")


def write_sbd(
    cls_path: _FileName, inst_path: _FileName, labelled: Labelled, labels: LabelSpace = VOC
) -> None:
    """Writes the two files of an image, without boundaries; instances are numbered from 1.

    Raises: ValueError if the form cannot hold it: more than 254 instances, a crowd, two regions of
    stuff of one class; BadInput without scipy, or if a file cannot be written.
    """
    regions = numbered(labelled, labels, has_crowds=False)
    things = [region for region, place in regions if place is not None]
    if len(things) >= VOID:
        raise ValueError(f"{len(things)} instances: a file of SBD holds {VOID - 1}")
    numbers = {r.id: 0 for r, _ in regions} | {r.id: n for n, r in enumerate(things, 1)}
    categories = [labels[region.class_id].file_id for region in things]
    classes = file_ids(labels.semantic(labelled), labels, void=VOID)
    _write(cls_path, "GTcls", _record(classes, "CategoriesPresent", sorted(set(categories))))
    instances = painted(labelled, numbers, void=VOID)
    _write(inst_path, "GTinst", _record(instances, "Categories", categories))


def write_label_map(path: _FileName, ids: NDArray[np.integer[Any]]) -> None:
    """Writes (h, w) ids, 0 to 65535, as a file of PASCAL-Context.

    Raises: ValueError for another array; BadInput without scipy, or if it cannot be written.
    """
    if ids.ndim != 2 or (ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < 2**16):
        raise ValueError(f"ids are {ids.dtype} of shape {ids.shape}: give (h, w) of 0 to 65535")
    _write(path, "LabelMap", ids.astype(np.uint16))


def _meaning(number: int, category: int | None, labels: LabelSpace) -> Meaning | None:
    """What an instance stands for; None if it has no class of things, or 0 none of stuff."""
    class_id = labels.class_ids().get(0) if number == 0 else None
    if number and category is not None:
        class_id = labels.class_ids().get(category)
    if class_id is None or labels[class_id].is_thing is (number == 0):
        return None
    return Meaning(class_id, number or None)


def _fault(path: object, number: int, category: int | None, *, count: int) -> Fault:
    if number == 0:
        what = "the background is no class of stuff: give classes with it as 0"
    elif category is None:
        what = f"instance {number} has no class, for Categories holds {count}: give each its class"
    else:
        what = f"instance {number} is of {category}, which is no class of things: mend Categories"
    return Fault("instances of no class", f"{path}: {what}")


def _record(ids: NDArray[np.uint16], name: str, categories: Sequence[int]) -> dict[str, object]:
    column = np.array(categories, dtype=np.float64).reshape(-1, 1)
    return {"Segmentation": ids.astype(np.uint8), name: column}


def _struct(path: _FileName, name: str) -> Mapping[str, object]:
    """The fields of a struct that stands alone."""
    value = _variable(path, name)
    names = value.dtype.names or ()
    if value.size != 1 or "Segmentation" not in names:
        what = f"{name} is no struct with Segmentation"
        raise BadInput(f"{path}: {what}: give the files of SBD, inst/ or cls/, as they came")
    row = value.ravel()[0]
    fields: dict[str, object] = dict.fromkeys(("Categories", "Segmentation"))
    return fields | {key: row[key] for key in names}


def _categories(value: object, source: str) -> list[int]:
    """The classes of the instances; a column or a row."""
    found = np.asarray(value)
    is_vector = found.size in (0, max(found.shape, default=1))
    is_whole = found.dtype.kind in "uif" and bool(
        (np.isfinite(found) & (found == np.floor(found))).all()
    )
    if not is_vector or not is_whole:
        what = f"is {found.dtype} of shape {found.shape}"
        raise BadInput(f"{source}: {what}: give one class id for each instance")
    return [int(category) for category in found.ravel()]


def _ids(value: object, source: str) -> Stored:
    found = np.asarray(value)
    is_map = found.ndim == 2 and found.dtype.kind in "uif" and found.size > 0
    if not is_map or not ((found >= 0) & (found < 2**16) & (found == np.floor(found))).all():
        what = f"is {found.dtype} of shape {found.shape}"
        raise BadInput(f"{source}: {what}: a label map is (h, w) of whole numbers, 0 to 65535")
    return found.astype(np.uint16)


def _variable(path: _FileName, name: str) -> NDArray[Any]:
    """A variable of a file, as scipy gives it.

    Raises: BadInput if there is no such variable, or the file is damaged or of another kind.
    """
    source, data = contents(path)
    if not data.startswith(b"MATLAB 5.0 MAT-file"):
        is_later = data.startswith(b"MATLAB 7.3 MAT-file")
        mend = "save it again with -v7" if is_later else "give the .mat files as they came"
        raise BadInput(f"{source}: no MATLAB file of version 5: {mend}")
    found = _load(data, name) if _is_whole(data) else None
    if found is None:
        raise BadInput(f"{source}: damaged or cut off: copy or unpack it again")
    if name not in found:
        raise BadInput(f"{source}: holds no {name}: give the files that have it")
    return np.asarray(found[name])


def _load(data: bytes, name: str) -> dict[str, Any] | None:
    """What scipy finds in a file; None if it finds it damaged."""
    load = _scipy("loadmat")
    try:
        found: dict[str, Any] = load(BytesIO(data), variable_names=(name,))
    except MemoryError:
        raise
    except Exception:  # broken files end in nearly every kind of error
        return None
    return found


def _is_whole(data: bytes) -> bool:
    """Whether the file ends where its last variable does, and packed ones have their checksums.

    scipy follows damaged bytes wherever they lead, out of its memory too.
    """
    order, at = "<" if data[126:128] == b"IM" else ">", 128
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        part = data[at + 8 : at + 8 + size]
        if len(part) < size or (kind == _PACKED and not _is_packed_well(part)):
            return False
        at += 8 + size
    return at == len(data) > 128


def _is_packed_well(part: bytes) -> bool:
    try:
        zlib.decompress(part)
    except zlib.error:
        return False
    return True


def _write(path: _FileName, name: str, value: object) -> None:
    file = BytesIO()
    _scipy("savemat")(file, {name: value}, do_compression=True)
    write_whole(path, file.getvalue())


def _scipy(name: str) -> Callable[..., Any]:
    """A function of `scipy.io`, which is loaded only when a MATLAB file is met."""
    try:
        import scipy.io
    except ImportError:
        raise BadInput("MATLAB files need scipy: pip install 'atrous[mat]'") from None
    function: Callable[..., Any] = getattr(scipy.io, name)
    return function
