"""Claim: the confusion matrix of two class maps is several times as fast as numpy and torch.

    python benchmarks/confusion_matrix.py

bincount: np.bincount of true * classes + predicted, as most evaluators have it. histc: three
torch.histc over the maps and where they agree, as semseg and its heirs have it. torchmetrics: its
MulticlassConfusionMatrix. Drawn maps are flat as labels are; noise is the worst case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from contest import contest, machine, on_one_core, torchmetrics
from drawn_maps import CLASSES, moved, scene
from numpy.typing import NDArray

from atrous.metrics.semantic import ConfusionMatrix

VOID = 255
SIZE = (1024, 2048)
Map = NDArray[np.uint8]


def with_ours(truth: Map, prediction: Map) -> ConfusionMatrix:
    """As the package counts it."""
    matrix = ConfusionMatrix(CLASSES, VOID)
    matrix.update(truth, prediction)
    return matrix


def with_bincount(truth: Map, prediction: Map) -> NDArray[np.int64]:
    """(classes, classes) counts."""
    kept = truth != VOID
    pairs = truth[kept].astype(np.int64) * CLASSES + prediction[kept]
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def with_histc(truth: Any, prediction: Any) -> Any:
    """Intersection, prediction and truth of each class."""
    import torch

    prediction = torch.where(truth == VOID, VOID, prediction)
    agreed = prediction[prediction == truth]
    maps = (agreed, prediction, truth)
    return [torch.histc(x.float(), bins=CLASSES, min=0, max=CLASSES - 1) for x in maps]


def with_torchmetrics(truth: Any, prediction: Any) -> Any:
    """(classes, classes) counts."""
    matrix = torchmetrics().classification.MulticlassConfusionMatrix
    metric = matrix(CLASSES, ignore_index=VOID, validate_args=False)
    metric.update(prediction, truth)
    return metric.compute()


def compete(title: str, truth: Map, prediction: Map) -> None:
    """All on the same maps, after a check that they say the same."""
    import torch

    tensors = torch.tensor(truth.astype(np.int64)), torch.tensor(prediction.astype(np.int64))
    ours = with_ours(truth, prediction).counts[:, :-1]
    assert (ours == with_bincount(truth, prediction)).all()
    assert (ours == with_torchmetrics(*tensors).numpy()).all()
    assert (np.diagonal(ours) == with_histc(*tensors)[0].numpy()).all()
    contest(
        f"Confusion matrix, {SIZE[1]} x {SIZE[0]}, {CLASSES} classes, {title}",
        {
            "atrous": lambda: with_ours(truth, prediction),
            "numpy bincount": lambda: with_bincount(truth, prediction),
            "torch histc": lambda: with_histc(*tensors),
            "torchmetrics": lambda: with_torchmetrics(*tensors),
        },
    )


def main() -> None:
    """Drawn maps, and noise."""
    on_one_core()
    print(machine())
    ids = scene(SIZE, segments=60, seed=0)
    truth, prediction = ((x % CLASSES).astype(np.uint8) for x in (ids, moved(ids)))
    truth[ids == 0] = VOID
    compete("drawn", truth, prediction)
    random = np.random.default_rng(0)
    noise = (random.integers(0, CLASSES, SIZE).astype(np.uint8) for _ in range(2))
    compete("noise", *noise)


if __name__ == "__main__":
    main()
