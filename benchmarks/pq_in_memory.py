"""Claim: PQ of two maps in memory is tens of times as fast as numpy and torchmetrics.

    python benchmarks/pq_in_memory.py

numpy: np.unique over pairs of ids, then the same matching as ours. torchmetrics: its
PanopticQuality, which gets (class, instance) pairs; here without void and crowds, where its rules
are ours. All three give the same PQ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from contest import contest, machine, on_one_core, torchmetrics
from drawn_maps import CLASSES, labelled, labels, moved, scene
from numpy.typing import NDArray

from atrous.metrics.counting import plain_count_pairs
from atrous.metrics.overlaps import Overlaps, matched_up
from atrous.metrics.panoptic import PanopticQuality
from atrous.types import Labelled


def with_numpy(truth: Labelled, prediction: Labelled) -> PanopticQuality:
    """PQ with the pairs counted by np.unique."""
    keys, counts = plain_count_pairs(truth.ids.ravel(), prediction.ids.ravel())
    sides = keys >> 32, keys & 0xFFFFFFFF
    ids = zip(*(side.tolist() for side in sides), strict=True)
    pairs = dict(zip(ids, counts.tolist(), strict=True))
    areas = []
    for side in sides:
        found, place = np.unique(side, return_inverse=True)
        pixels = np.bincount(place, counts).astype(int)
        areas.append(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
    shared = Overlaps(pairs, *areas)
    quality = PanopticQuality(labels())
    quality.add(matched_up(shared, truth.regions, prediction.regions, classes=CLASSES))
    return quality


def with_ours(truth: Labelled, prediction: Labelled) -> PanopticQuality:
    """PQ as the package counts it."""
    quality = PanopticQuality(labels())
    quality.update(truth, prediction)
    return quality


def with_torchmetrics(truth: Any, prediction: Any) -> Any:
    """Torchmetrics' PanopticQuality of (1, h, w, 2) tensors."""
    metric = torchmetrics().detection.PanopticQuality(things=set(range(CLASSES)), stuffs=set())
    metric.update(prediction, truth)
    return metric.compute()


def stacked(ids: NDArray[np.int32]) -> Any:
    """(1, h, w, 2) class and id."""
    import torch

    return torch.tensor(np.stack([ids % CLASSES, ids], -1)[None].astype(np.int64))


def filled(size: tuple[int, int]) -> NDArray[np.int32]:
    """A scene in which a segment lies wherever there was void."""
    ids = scene(size, segments=60, seed=0)
    return np.where(ids == 0, 990_001, ids).astype(np.int32)


def compete(size: tuple[int, int]) -> None:
    """All on the same maps, after a check that they say the same."""
    ids = filled(size)
    truth, prediction = labelled(ids), labelled(moved(ids))
    tensors = stacked(truth.ids), stacked(prediction.ids)
    wanted = with_ours(truth, prediction).compute().all.pq
    assert with_numpy(truth, prediction).compute().all.pq == wanted
    assert abs(float(with_torchmetrics(*tensors)) - wanted) < 1e-5
    contest(
        f"PQ in memory, {size[1]} x {size[0]}, 60 segments",
        {
            "atrous": lambda: with_ours(truth, prediction),
            "numpy": lambda: with_numpy(truth, prediction),
            "torchmetrics": lambda: with_torchmetrics(*tensors),
        },
        rounds=5,
    )


def main() -> None:
    """Two sizes."""
    on_one_core()
    print(machine())
    for size in ((480, 640), (1024, 2048)):
        compete(size)


if __name__ == "__main__":
    main()
