"""ADE20K in the 150 classes of SceneParse150: scenes with each pixel's class, or with instances.

ade20k            images/training/*.jpg, annotations/training/*.png, the same for validation
ade20k-panoptic   also annotations_instance/training/*.png of the Places challenge 2017

The root is ADEChallengeData2016 or the folder that holds it. In class maps 0 is void and 1 to 150
are classes 0 to 149, which is shifted here and nowhere else. With class maps alone all classes are
stuff; with instances 100 are things. Splits are `training` and `validation`, or `train` and `val`;
the photos of `testing` have no labels.

Source: CSAILVision/sceneparsing and CSAILVision/placeschallenge; 20,210 and 2,000 images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from atrous.data.finding import all_stuff, base_of, by_stem, require_folder
from atrous.data.source import Entry, FileSource
from atrous.formats import image_files, read_ade20k, read_classes
from atrous.labels import ADE20K, ADE20K_IGNORED, LabelSpace
from atrous.types import BadInput, Labelled, Report, refuse

ALIASES = {"train": "training", "val": "validation"}
"""What a split may be called, and the split that it then is."""
_CLASSES, _INSTANCES = "annotations", "annotations_instance"


def splits(root: Path) -> dict[str, int]:
    """Name -> number of photos of each split that has class maps.

    Raises: BadInput if there is no such tree.
    """
    base = _base(root)
    names = [name for name in ALIASES.values() if (base / _CLASSES / name).is_dir()]
    images = {name: base / "images" / name for name in names}
    return {k: len(image_files(path)) if path.is_dir() else 0 for k, path in images.items()}


def panoptic_splits(root: Path) -> dict[str, int]:
    """`splits`, of those that have instance maps too.

    Raises: BadInput if there is no such tree.
    """
    folder = _base(root) / _INSTANCES
    return {name: count for name, count in splits(root).items() if (folder / name).is_dir()}


def open_ade20k(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split of class maps; all classes are stuff.

    report  hears of photos without a label, and of labels without a photo

    Raises: BadInput if the split or a folder of it is missing.
    """
    labels = all_stuff(ADE20K)
    entries = _entries(root, split, (_CLASSES,), report)
    return FileSource(labels, entries, partial(_read, labels=labels))


def open_ade20k_panoptic(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Lists a split of class maps and instance maps: 100 classes of things, 50 of stuff.

    report  hears of photos that lack one of the two, and of labels without a photo

    Raises: BadInput if the split or a folder of it is missing.
    """
    entries = _entries(root, split, (_CLASSES, _INSTANCES), report)
    return FileSource(ADE20K, entries, _read_both)


def _read(entry: Entry, report: Report, *, labels: LabelSpace) -> Labelled:
    return read_classes(entry.truth[0], labels, ignored=ADE20K_IGNORED, report=report)


def _read_both(entry: Entry, report: Report) -> Labelled:
    classes, instances = entry.truth
    return read_ade20k(classes, instances, report=report)


def _entries(root: Path, split: str, kinds: tuple[str, ...], report: Report) -> tuple[Entry, ...]:
    base = _base(root)
    name = ALIASES.get(split, split)
    if name not in ALIASES.values():
        what = "has no labels" if split in ("test", "testing") else "is no split"
        raise BadInput(f"{root}: {split!r} {what}: choose training or validation by --split")
    images, *folders = [base / kind / name for kind in ("images", *kinds)]
    for folder in (images, *folders):
        require_folder(folder, root=base, mend=_mend(folder))
    return by_stem(images, tuple(folders), report)


def _mend(folder: Path) -> str:
    if folder.parent.name == _INSTANCES:
        return "add annotations_instance.tar of the Places challenge, or open it as ade20k"
    return "unpack ADEChallengeData2016.zip, all of it"


def _base(root: Path) -> Path:
    below = ("ADEChallengeData2016",)
    return base_of(root, has=(_CLASSES,), below=below, what="ADE20K (SceneParse150)")
