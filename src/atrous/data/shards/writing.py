"""Writes any data set as shards: photos as they are, labels as segments.

OUT/SPLIT-000.tar, OUT/SPLIT-000.tar.index.json, ..., OUT/classes.json

The same data give the same bytes: samples in the order of their keys, no times, no owners. Nothing
shows up under its name before all shards are whole.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count, pairwise
from pathlib import Path

from atrous.data.shards.classes import CLASSES
from atrous.data.shards.files import held, split_of
from atrous.data.shards.index import INDEX, index_json, scanned
from atrous.data.shards.reading import Shards
from atrous.data.shards.samples import PANOPTIC, PHOTOS, SEGMENTS, member_stem
from atrous.data.source import FileSource, Source, Subset, require_one_size
from atrous.data.stratify import areas_of
from atrous.formats import contents, encode_ids, read_json, read_photo, write_json
from atrous.formats.files import id_png, require_utf8
from atrous.labels import LabelSpace
from atrous.types import BadInput, Labelled

LEAST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Files:
    """The members of one sample, name and bytes, in their order."""

    members: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes in a tar, roughly."""
        return sum(len(data) + 2 * tarfile.BLOCKSIZE for _, data in self.members)


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that was written."""

    path: Path
    images: int
    size: int


def order_of(source: Source) -> list[int]:
    """The places of a source's samples in the order of their keys.

    Raises: BadInput if two samples have one key, or a name is not UTF-8.
    """
    for i in range(len(source)):
        require_utf8(source.name(i))
    stems = [member_stem(source.name(i)) for i in range(len(source))]
    order = sorted(range(len(stems)), key=lambda i: stems[i])
    for one, other in pairwise(order):
        if stems[one] == stems[other]:
            names = f"{source.name(one)} and {source.name(other)}"
            raise BadInput(f"{names}: have one name but for their suffix: rename one of them")
    return order


def packed(source: Source, places: Sequence[int]) -> list[Files]:
    """The members of some samples.

    Raises: BadInput if a sample cannot be read.
    """
    return [_files(source, index, source.labels) for index in places]


def require_free(out: Path, split: str, labels: LabelSpace) -> None:
    """Raises BadInput if a split has shards in a folder already, or other classes are there."""
    if not re.fullmatch(r"[\w.-]+", split) or split.startswith("."):
        raise BadInput(f"--split {split}: names no file: use letters, digits, - and _")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file, not a folder: choose another --out")
    there = sorted(out.iterdir()) if out.is_dir() else []
    taken = [p for p in there if p.suffix == ".tar" and split_of(p.name) == split]
    if taken or (out / split).is_dir():
        what = f"{taken[0] if taken else out / split}: is there already"
        raise BadInput(f"{what}: choose another --out")
    for path in (out / name for name in CLASSES):
        if path.exists() and read_json(path) != labels.to_json():
            raise BadInput(f"{path}: lists other classes than these data: choose another --out")


def write_shards(
    samples: Iterable[Files], out: Path, *, split: str, labels: LabelSpace, size: int
) -> list[Shard]:
    """Writes shards of about `size` bytes, at least a sample each, and the list of classes.

    Raises: BadInput if `require_free` does; then, and whenever it fails, nothing is left behind.
    """
    require_free(out, split, labels)
    with _folder_beside(out) as beside:
        counts = list(_write(iter(samples), beside, size))
        digits = max(LEAST_DIGITS, len(str(len(counts) - 1)))
        shards = []
        for i, images in enumerate(counts):
            whole, path = beside / str(i), out / f"{split}-{i:0{digits}}.tar"
            bytes_ = whole.stat().st_size
            write_json(path.with_name(path.name + INDEX), _index(whole, bytes_))
            whole.rename(path)
            shards.append(Shard(path, images, bytes_))
        if not any((out / name).exists() for name in CLASSES):
            write_json(out / CLASSES[0], labels.to_json())
    return shards


def _files(source: Source, index: int, labels: LabelSpace) -> Files:
    if isinstance(source, Subset):
        return _files(source.source, source.indices[index], labels)
    name = source.name(index)
    photo, truth = _read(source, index)
    suffix = name.rpartition(".")[2]
    ending = suffix if suffix.lower() in PHOTOS else _format(photo, name)
    stem = member_stem(name)
    png = id_png(encode_ids(truth.ids))
    segments = _segments(truth, labels)
    ours = (f"{stem}.{PANOPTIC}", png), (f"{stem}.{SEGMENTS}", segments)
    return Files(((f"{stem}.{ending}", photo), *ours))


def _read(source: Source, index: int) -> tuple[bytes, Labelled]:
    """The photo's file, one drawn where there is none, and the labels."""
    if isinstance(source, FileSource):
        entry, truth = source.entries[index], source.truth(index)
        photo = contents(entry.image)[1]
        upright = read_photo(held(photo, str(entry.image)))
        require_one_size(upright, truth, label=entry.truth[0])
        return photo, truth
    if isinstance(source, Shards):
        return source.photo(index), source.truth(index)
    sample = source[index]
    return id_png(sample.image), sample.truth


def _format(photo: bytes, name: str) -> str:
    """The suffix of what a photo is, where its name has none."""
    begins = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"II*\0": "tif"}
    found = next((suffix for begin, suffix in begins.items() if photo.startswith(begin)), None)
    if found is None:
        raise BadInput(f"{name}: no photo that shards can hold: save it as PNG or JPEG")
    return found


def _segments(truth: Labelled, labels: LabelSpace) -> bytes:
    areas = areas_of(truth)
    rows = [
        {
            "id": region.id,
            "category_id": labels[region.class_id].file_id,
            "area": areas.get(region.id, 0),
            "iscrowd": int(region.is_crowd),
        }
        for region in truth.regions
    ]
    return json.dumps({"segments_info": rows}, separators=(",", ":")).encode()


def _write(samples: Iterator[Files], folder: Path, size: int) -> Iterator[int]:
    """Writes shards 0, 1, ...; yields the number of samples in each."""
    files = next(samples, None)
    for number in count():
        if files is None:
            return
        images = 0
        with tarfile.open(folder / str(number), "w", format=tarfile.PAX_FORMAT) as tar:
            while files is not None and (not images or tar.offset + files.size <= size):
                _add(tar, files)
                images += 1
                files = next(samples, None)
        yield images


def _add(tar: tarfile.TarFile, files: Files) -> None:
    for name, data in files.members:
        info = tarfile.TarInfo(name)  # time 0, owner 0
        info.size = len(data)
        tar.addfile(info, BytesIO(data))


def _index(whole: Path, size: int) -> dict[str, object]:
    return index_json(size, scanned(str(whole), size))


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A hidden folder in `out`, that goes, and `out` with it if nothing is in it."""
    beside = out / f".{uuid.uuid4().hex}.tmp"
    try:
        beside.mkdir(parents=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadInput(f"{out}: cannot be written ({why}): choose another --out") from None
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if not any(out.iterdir()):
            out.rmdir()
