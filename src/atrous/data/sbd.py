"""The Semantic Boundaries Dataset: instances of 11,355 images of VOC, in MATLAB files.

benchmark_RELEASE/dataset/    or that folder itself, dataset/, sbd/, SBD/, VOCaug/dataset/
  img/NAME.jpg                without it: JPEGImages/ of VOC 2012
  inst/NAME.mat
  train.txt, val.txt          8,498 and 2,857: `sbd-train` and `sbd-val`
  train_noval.txt             or VOC2012/ImageSets/Main/train.txt beside SBD: needed for
                              `train` (5,623) and `val` (5,732)

`train` and `val` follow VOC 2012: what its list `Main/train.txt` holds, and the rest. So did SDS,
and FCRN after it; SBD's own lists mix images of VOC's val into train. The background is stuff and
the 20 classes are things; there is no void. scipy reads the files: pip install 'atrous[mat]'.

Source: Hariharan et al. 2011; the lists of Hariharan et al. 2014 (SDS).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from atrous.data.finding import base_of, paired, photos, require_folder, require_split
from atrous.data.source import Entry, FileSource
from atrous.data.voc import image_names
from atrous.formats import read_sbd, stem_files
from atrous.labels import VOC, LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

_WHERE = ("benchmark_RELEASE/dataset", "dataset", "sbd", "SBD", "VOCaug", "VOCdevkit/VOCaug")
_BELOW = (*_WHERE, *(f"{name}/{part}" for name in _WHERE[2:] for part in _WHERE[:2]))
_PARTS = ("inst", "cls")

VOC_WHERE = (".", "VOC2012", "VOCdevkit/VOC2012")
"""Where VOC 2012 lies below a folder that holds it and SBD."""


def splits(root: Path) -> dict[str, int]:
    """Name -> number of images of each split; `train` and `val` only with a list of VOC 2012.

    Raises: BadInput if there is no SBD, or its lists are missing.
    """
    return {name: len(names) for name, names in _splits(root, sbd_base(root), ()).items()}


def open_sbd(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split; photos and labels are read sample by sample.

    report  hears of images of the list that lack photo or labels

    Raises: BadInput if there is no SBD, no such split, or a folder is missing.
    """
    base = sbd_base(root)
    images = sbd_photos(root, base)
    found = _splits(root, base, images)
    if split in ("train", "val") and split not in found:
        what = f"{split} needs ImageSets/Main/train.txt of VOC2012 in {root}, or train_noval.txt"
        raise BadInput(f"{base}: {what}: add one, or take sbd-train and sbd-val")
    require_split(split, dict.fromkeys(found, 0), base)
    require_folder(base / "inst", root=base, mend="unpack benchmark.tgz of SBD again")
    truths = stem_files(base / "inst", ".mat", needed=False)
    entries = paired(
        found[split],
        images,
        {key: (path,) for key, path in truths.items()},
        expected=lambda key: (base / "img" / f"{key}.jpg", base / "inst" / f"{key}.mat"),
        report=report,
    )
    return FileSource(VOC, entries, partial(_read, labels=VOC))


def sbd_base(root: Path) -> Path:
    """The folder that holds `inst` and `cls`.

    Raises: BadInput if there is none.
    """
    return base_of(root, has=_PARTS, below=_BELOW, what="SBD (benchmark_RELEASE/dataset)")


def find_sbd(root: Path) -> Path | None:
    """`sbd_base`, None where there is none."""
    found = (root / name for name in (".", *_BELOW))
    return next((at for at in found if any((at / part).is_dir() for part in _PARTS)), None)


def sbd_names(base: Path, known: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """The images of SBD's own two lists; `known` as in `image_names`.

    Raises: BadInput if one of them is missing or empty.
    """
    return {f"sbd-{name}": image_names(base / f"{name}.txt", known) for name in ("train", "val")}


def sbd_photos(root: Path, base: Path) -> dict[str, Path]:
    """Image key -> photo, of SBD's own folder or of VOC 2012 below `root`.

    Raises: BadInput if there is neither.
    """
    if not (base / "img").is_dir():
        for folder in (root / name / "JPEGImages" for name in VOC_WHERE):
            if folder.is_dir():
                return photos(folder)
    require_folder(base / "img", root=base, mend="unpack benchmark.tgz of SBD again")
    return photos(base / "img")


def _splits(root: Path, base: Path, images: Collection[str]) -> dict[str, tuple[str, ...]]:
    own = sbd_names(base, images)
    every = tuple(dict.fromkeys(name for names in own.values() for name in names))
    by_voc = _voc_train(root, base)
    if by_voc is None:
        return own
    listed = set(image_names(by_voc, images))
    train = tuple(name for name in every if name in listed)
    if not train:
        raise BadInput(f"{by_voc}: names no image of {base}: give the list of VOC 2012 itself")
    return {"train": train, "val": tuple(name for name in every if name not in listed), **own}


def _voc_train(root: Path, base: Path) -> Path | None:
    """The list of what VOC 2012 has in train: of SBD's authors, or VOC's own."""
    own = (base / f"{name}.txt" for name in ("train_noval", "train_voc2012"))
    voc = (root / name / "ImageSets" / "Main" / "train.txt" for name in VOC_WHERE)
    return next((path for path in (*own, *voc) if path.is_file()), None)


def _read(entry: Entry, report: Report, *, labels: LabelSpace) -> Labelled:
    return read_sbd(entry.truth[0], labels, report=report)
