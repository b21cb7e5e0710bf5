"""KITTI semantics: 200 street scenes, labelled with the classes of Cityscapes.

training/image_2/000000_10.png   photos
training/instance/               PNGs of 16 bit: label id x 256 + number
training/semantic/               PNGs of label ids, read where there are no instances

The root is the folder that holds `training`, or the one that holds `data_semantics`. The labels of
`testing` are not public. Photos *_11.png, of the stereo benchmark, are no part of this set.

Source: the KITTI semantic segmentation benchmark, cvlibs.net, and README of its development kit;
Abu Alhaija et al., "Augmented Reality Meets Computer Vision", IJCV 2018.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from atrous.data.finding import (
    all_stuff,
    base_of,
    paired,
    photos,
    require_folder,
    require_split,
)
from atrous.data.source import Entry, FileSource
from atrous.formats import read_classes, read_kitti, stem_files
from atrous.labels import CITYSCAPES, CITYSCAPES_IGNORED
from atrous.types import BadInput, Labelled, Report, refuse

ALIASES = {"train": "training"}
"""What a split may be called, and the split that it then is."""
_STUFF = all_stuff(CITYSCAPES)


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos: `training` alone has labels.

    Raises: BadInput if there is no such tree.
    """
    images = _base(root) / "training" / "image_2"
    return {"training": len(_photos(images))} if images.is_dir() else {}


def open_kitti(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists `training`, which `train` means too; things are told apart where instances are there.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if a folder is missing, or for `testing`, which has no labels.
    """
    base = _base(root)
    if split == "testing":
        raise BadInput(f"{base / split}: its labels are not public: open the split training")
    if ALIASES.get(split, split) != "training":
        require_split(split, splits(root), root)
    folder = base / "training"
    kind = "instance" if (folder / "instance").is_dir() else "semantic"
    for needed in ("image_2", kind):
        mend = f"unzip data_semantics.zip of KITTI in {base}"
        require_folder(folder / needed, root=base, archives="data_semantics*.zip", mend=mend)
    entries = _entries(folder, kind, report)
    if kind == "instance":
        return FileSource(CITYSCAPES, entries, _read_instances)
    return FileSource(_STUFF, entries, _read_classes)


def _read_instances(entry: Entry, report: Report) -> Labelled:
    return read_kitti(entry.truth[0], report=report)


def _read_classes(entry: Entry, report: Report) -> Labelled:
    return read_classes(entry.truth[0], _STUFF, ignored=CITYSCAPES_IGNORED, report=report)


def _entries(folder: Path, kind: str, report: Report) -> tuple[Entry, ...]:
    truths = {key: (path,) for key, path in stem_files(folder / kind).items()}
    images = _photos(folder / "image_2", labelled=truths)
    return paired(
        sorted(images.keys() | truths.keys()),
        images,
        truths,
        expected=lambda key: (folder / "image_2" / f"{key}.png", folder / kind / f"{key}.png"),
        report=report,
    )


def _photos(folder: Path, labelled: Collection[str] = ()) -> dict[str, Path]:
    """All but the second frames that come with the stereo benchmark of the same scenes."""
    found = photos(folder)
    return {k: path for k, path in found.items() if not k.endswith("_11") or k in labelled}


def _base(root: Path) -> Path:
    names = [f"training/{name}" for name in ("image_2", "instance", "semantic")]
    return base_of(root, has=names, below=("data_semantics",), what="KITTI semantics")
