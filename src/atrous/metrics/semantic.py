"""Mean and frequency-weighted IoU, pixel and mean accuracy, all from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.metrics.counting import count_bytes, count_pairs
from atrous.metrics.exact import mean
from atrous.metrics.overlaps import Comparison, narrow
from atrous.types import BadInput, ClassMap, as_array


@dataclass(frozen=True, slots=True, eq=False)
class SemanticScore:
    """Fractions in [0, 1], nan where nothing can be said.

    miou            mean IoU over the classes that the truth or the prediction holds
    pixel_accuracy  share of labelled pixels that are right
    mean_accuracy   mean over the classes of the truth of their own share
    weighted_iou    mean IoU, each class weighing as much as it has pixels in the truth
    iou             (classes,) nan for classes that neither truth nor prediction holds
    absent          number of those classes; they are left out of `miou`
    """

    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    weighted_iou: float
    iou: NDArray[np.float64]
    absent: int


class ConfusionMatrix:
    """Counts pixels by true and predicted class over a whole data set.

    counts  (classes, classes + 1) int64; row = truth, column = prediction, last column = void

    Void pixels of the truth are ignored. A predicted void on a labelled pixel is wrong: it stays
    in the true class's area and belongs to no predicted class.

    classes  number of classes
    void     the class id that means "no class", see `LabelSpace.void`

    Source: Long et al. 2015, section 5, where weighted_iou is the frequency weighted IU; absent
    classes as in TensorFlow's mean_iou.
    Raises: ValueError if `void` is the id of a class.
    """

    def __init__(self, classes: int, void: int) -> None:
        if not 0 < classes <= void:
            raise ValueError(f"void is {void} with {classes} classes; it must lie beyond the last")
        self.classes = classes
        self.void = void
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), dtype=np.int64)

    def update(self, truth: ClassMap, prediction: ClassMap) -> None:
        """Adds one image; both maps are (h, w), arrays or tensors of any type of integer.

        Raises: BadInput if the sizes differ, or if a map holds an id that is neither class nor
        void.
        """
        true, predicted = as_array(truth), as_array(prediction)
        if true.shape != predicted.shape:
            raise BadInput(
                f"the truth is {true.shape} but the prediction {predicted.shape}: resize the"
                " prediction to the truth, with nearest neighbour"
            )
        self._count(*_class_pairs(true, predicted))

    def add(self, image: Comparison) -> None:
        """Adds one image whose segments have been compared; crowds keep their class."""
        true = {0: self.void} | {i: r.class_id for i, r in image.true.items()}
        predicted = {0: self.void} | {i: r.class_id for i, r in image.predicted.items()}
        pairs = image.shared.pairs
        rows = np.array([true[t] for t, _ in pairs], dtype=np.int64)
        columns = np.array([predicted[p] for _, p in pairs], dtype=np.int64)
        self._count(rows, columns, np.array(list(pairs.values()), dtype=np.int64))

    def merge(self, other: ConfusionMatrix) -> None:
        """Adds the counts of another accumulator; the order of merging does not matter."""
        if (self.classes, self.void) != (other.classes, other.void):
            raise ValueError(
                f"{self.classes} classes with void {self.void} cannot merge with"
                f" {other.classes} classes with void {other.void}: use one label space"
            )
        self.counts += other.counts

    def compute(self) -> SemanticScore:
        """The scores of all images so far."""
        right = np.diagonal(self.counts)
        true_area = self.counts.sum(axis=1)
        union = true_area + self.counts[:, :-1].sum(axis=0) - right
        iou = _ratio(right, union)
        return SemanticScore(
            miou=mean(iou.tolist()),
            pixel_accuracy=float(_ratio(right.sum(), true_area.sum())),
            mean_accuracy=mean(_ratio(right, true_area).tolist()),
            weighted_iou=_weighted(iou, true_area),
            iou=iou,
            absent=int((union == 0).sum()),
        )

    def _count(
        self, true: NDArray[np.int64], predicted: NDArray[np.int64], pixels: NDArray[np.int64]
    ) -> None:
        """Adds (n,) pairs of class ids, each with its number of pixels."""
        labelled = true != self.void
        rows = self._places(true[labelled], "truth")
        columns = self._places(predicted[labelled], "prediction")
        np.add.at(self.counts, (rows, columns), pixels[labelled])

    def _places(self, ids: NDArray[np.int64], whose: str) -> NDArray[np.int64]:
        known = ((ids >= 0) & (ids < self.classes)) | (ids == self.void)
        if not known.all():
            odd = np.unique(ids[~known])[:5].tolist()
            raise BadInput(
                f"the {whose} holds class ids {odd}, but there are {self.classes} classes and"
                f" {self.void} for void: map the file's ids to class ids first"
            )
        return np.minimum(ids, self.classes)


def _class_pairs(
    true: NDArray[Any], predicted: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(n,) true ids, predicted ids and pixels of the pairs that two maps of one size hold."""
    if true.dtype == predicted.dtype == np.uint8:
        flat = np.ascontiguousarray(true).ravel(), np.ascontiguousarray(predicted).ravel()
        table = count_bytes(*flat)
        rows, columns = np.nonzero(table)
        return rows, columns, table[rows, columns]
    flat = narrow(true, "truth").ravel(), narrow(predicted, "prediction").ravel()
    keys, pixels = count_pairs(*flat)
    return keys >> 32, keys.astype(np.int32).astype(np.int64), pixels


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _weighted(iou: NDArray[np.float64], area: NDArray[np.int64]) -> float:
    share = _ratio(area, area.sum())
    return float((share * iou)[area > 0].sum()) if area.any() else float("nan")
