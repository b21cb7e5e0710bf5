"""What can be wrong with a data set, how bad that is, and the mend.

A fault trains or scores something else than was meant, or stops a training. A warning may be meant.
What the readers of formats report has names and mends of its own, and is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FAULT, WARNING = "fault", "warning"


@dataclass(frozen=True, slots=True)
class Kind:
    """How bad it is, FAULT or WARNING, and the mend."""

    severity: str
    mend: str


NO_SPLIT = "splits that cannot be opened"
BAD_PHOTO = "photos that cannot be read"
BAD_LABEL = "labels that cannot be read"
JPEG = "labels stored as JPEG"
NO_PNG = "labels that are no PNG"
ALPHA = "labels with an alpha channel"
ONE_BIT = "labels of one bit"
TRIPLED = "labels of three equal channels"
COLOURS = "labels in the colours of the classes"
STRANGE_COLOURS = "labels in colours of no class"
GREY_COLOURS = "labels in grey values of the class colours"
NO_IDS = "grey label PNGs where ids in colours belong"
SWAPPED = "label PNGs with red and blue exchanged"
SIZES = "photos and labels of two sizes"
TURNED = "photos turned by EXIF whose labels are not"
BLENDED = "labels with blended values"
MASKS = "masks of 0 and 255 where ids belong"
TRAIN_IDS = "train ids where label ids belong"
LABEL_IDS = "label ids where train ids belong"
SHIFTED = "labels shifted by one"
TWICE = "labels shifted twice"
DRIFTED = "splits whose labels are shifted against another"
NO_CLASS = "ids of no class"
NO_ENTRY = "segments with pixels but no JSON entry"
NO_PIXELS = "segments with a JSON entry but no pixels"
AREAS = "segments with another area in the JSON"
MIRRORED = "labels mirrored against their photos"
NAMED_TWICE = "classes listed twice by name"
LISTS = "splits with other lists of classes"
LEAKS = "photos in two splits"
ALL_VOID = "splits without a labelled pixel"

LOOKS_SHIFTED = "labels that look shifted by one"
NO_MASK_PIXELS = "annotations without a pixel"
MASK_TWICE = "annotations there twice"
ORDERED = "labels whose classes follow each other in bands"
LOOKS_DRIFTED = "splits whose labels look shifted against another"
UNFIT = "labels whose borders do not follow their photos"
ABSENT = "classes without a pixel"
ABSENT_HERE = "classes without a pixel in this split"
PARTED = "things in several pieces"
TINY = "things of less than 4 pixels"
STUFF_APART = "stuff in several segments of one image"
ONE_CLASS = "splits of nearly one class"
VOID_LABEL = "labels that are void everywhere"
NEAR_VOID = "labels that are void nearly everywhere"
VOID_MASKS = "labels of 0 and 255 alone"
TWINS = "photos twice in one split"
SAME_LABEL = "one label for several photos"
UNLIKE = "classes far more frequent in one split"
SIZE_RANGE = "photos of very different sizes"
GREY_AMONG = "grey photos among colour ones"
CMYK = "photos in CMYK"
DEEP = "photos of 16 bit"
SEE_THROUGH = "photos with an alpha channel"
BLANK = "photos of one colour"
TURN_UNSEEN = "photos turned by EXIF, whose labels do not show how they lie"
UNLISTED = "files that the JSON does not list"
NO_LABELS = "splits without labels"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        NO_SPLIT: Kind(FAULT, "see the message"),
        BAD_PHOTO: Kind(FAULT, "copy or export the photo again"),
        BAD_LABEL: Kind(FAULT, "copy or export the label again"),
        JPEG: Kind(FAULT, "export labels from the source again, as PNG: JPEG has changed ids"),
        NO_PNG: Kind(FAULT, "save labels as PNG, without loss"),
        ALPHA: Kind(FAULT, "save labels without transparency"),
        ONE_BIT: Kind(FAULT, "save labels with 8 bits a pixel, class ids as values"),
        TRIPLED: Kind(FAULT, "save one of the three channels, as a grey PNG"),
        COLOURS: Kind(
            FAULT, "save class ids, not colours: a palette PNG was read as RGB, or was never one"
        ),
        STRANGE_COLOURS: Kind(FAULT, "save class ids, one grey or palette value a pixel"),
        GREY_COLOURS: Kind(
            FAULT, "save class ids again: the colours of a palette were turned into grey"
        ),
        NO_IDS: Kind(FAULT, "save ids as R + 256 G + 65536 B in an 8 bit RGB PNG"),
        SWAPPED: Kind(FAULT, "write RGB: OpenCV takes BGR"),
        SIZES: Kind(FAULT, "give photo and label one size; resize labels with nearest neighbour"),
        TURNED: Kind(
            FAULT, "turn the label as EXIF says, or the photo's pixels and drop its EXIF tag"
        ),
        BLENDED: Kind(
            FAULT,
            "make labels again, resized with nearest neighbour and never saved with loss",
        ),
        MASKS: Kind(FAULT, "write class ids: 255 is void or no class, 1 is likely meant"),
        TRAIN_IDS: Kind(FAULT, "give the files of label ids, or open them as cityscapes-train-ids"),
        LABEL_IDS: Kind(FAULT, "turn label ids into train ids, or open them as cityscapes"),
        SHIFTED: Kind(FAULT, "undo the shift in the files, or number the list of classes as they"),
        TWICE: Kind(FAULT, "undo the shift in the files: it was done before, and again"),
        DRIFTED: Kind(FAULT, "number the classes in both splits alike"),
        NO_CLASS: Kind(FAULT, "add the class to the list, ignore the id, or mend the label"),
        NO_ENTRY: Kind(FAULT, "write PNG and JSON together again"),
        NO_PIXELS: Kind(FAULT, "write PNG and JSON together again"),
        AREAS: Kind(FAULT, "count areas again from the PNG"),
        MIRRORED: Kind(FAULT, "mirror the labels, or the photos: one of both was flipped alone"),
        NAMED_TWICE: Kind(FAULT, "keep one entry of each class, or name them apart"),
        LISTS: Kind(FAULT, "give all splits one list of classes, in one order"),
        LEAKS: Kind(FAULT, "take the photo out of one of the splits"),
        ALL_VOID: Kind(FAULT, "check that the labels belong to this list of classes"),
        LOOKS_SHIFTED: Kind(WARNING, "look at the label: its classes are usual once shifted back"),
        NO_MASK_PIXELS: Kind(WARNING, "check its polygon: it lies outside the image, or on a line"),
        MASK_TWICE: Kind(WARNING, "keep one of them: they count twice"),
        ORDERED: Kind(
            WARNING, "look at the label: a smooth resize blends ids, drawn bands are right"
        ),
        LOOKS_DRIFTED: Kind(WARNING, "look at both: are classes numbered alike?"),
        UNFIT: Kind(WARNING, "look at the sheet: labels may belong to other photos"),
        ABSENT: Kind(WARNING, "check names and ids of the list, or take the class out"),
        ABSENT_HERE: Kind(WARNING, "divide the images so that each split has all classes"),
        PARTED: Kind(WARNING, "give each thing an id, unless something lies before it"),
        TINY: Kind(WARNING, "remove specks, unless things are that small"),
        STUFF_APART: Kind(WARNING, "merge them: stuff is one segment of each class"),
        ONE_CLASS: Kind(WARNING, "check that the other classes were drawn"),
        VOID_LABEL: Kind(WARNING, "label the image or take it out: nothing is learned from it"),
        NEAR_VOID: Kind(WARNING, "check that the label is done"),
        VOID_MASKS: Kind(WARNING, "if 255 means a class here, write its id"),
        TWINS: Kind(WARNING, "keep one of them: they count twice, and their labels may differ"),
        SAME_LABEL: Kind(WARNING, "check that each photo has a label of its own"),
        UNLIKE: Kind(WARNING, "divide the images anew, unless the places differ by intent"),
        SIZE_RANGE: Kind(WARNING, "one crop or scale may not suit both"),
        GREY_AMONG: Kind(WARNING, "check that colour was not lost"),
        CMYK: Kind(WARNING, "save photos as RGB: the colours of CMYK are read without a profile"),
        DEEP: Kind(
            WARNING, "save 8 bit: values are divided by 256, which makes 12 bit nearly black"
        ),
        SEE_THROUGH: Kind(WARNING, "save photos as RGB: what is transparent becomes white"),
        BLANK: Kind(WARNING, "check the photo: there is nothing to see"),
        TURN_UNSEEN: Kind(WARNING, "look at the sheet, or turn the pixels and drop the EXIF tag"),
        UNLISTED: Kind(WARNING, "list them in the JSON or take them out: they are not used"),
        NO_LABELS: Kind(WARNING, "name the splits to examine with --split"),
    }
)
"""Kind -> how bad it is, and the mend; what is not here is a fault that a reader tells."""


def severity(kind: str) -> str:
    """FAULT or WARNING."""
    return KINDS[kind].severity if kind in KINDS else FAULT
