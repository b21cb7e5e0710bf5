"""What DeeperLab's keypoints are: the numbers, the maps, and the instances found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from atrous.instances.keypoints.graph import GRAPHS, Graph
from atrous.types import FloatMap, require_positive


@dataclass(frozen=True, slots=True)
class KeypointNumbers:
    """The numbers of encoding and decoding; they travel in the checkpoint.

    radius_px         of a keypoint's disk, in pixels of the network's input
    decode_stride     grid of the votes: 4, or 1 for full resolution
    refine_steps      rounds of offset refinement
    refine_long_self  whose long offsets refine themselves: "none", "center" or "all"; corners lie
                      outside of the mask, where long offsets are not trained
    vote_weights      of the short-range and the long-range Hough map
    peak_threshold, peaks   least height and largest number of keypoint candidates of a type
    oks_kappa         falloff of Expected-OKS
    proximity_px      a candidate this close to a grouped keypoint of its type starts no instance
    nms_iou           a box that overlaps a better one by more is dropped
    instances         largest number of instances
    graph             how keypoints are joined: "star", or "rectangle", which has no centre

    A network has learnt what `learnt` names: with other values its offsets mean nothing.
    """

    learnt: ClassVar[tuple[str, ...]] = ("radius_px", "graph")

    radius_px: float = 25.0
    decode_stride: int = 4
    refine_steps: int = 2
    refine_long_self: str = "center"
    least_heat: float = 0.01
    vote_weights: tuple[float, float] = (0.5, 0.5)
    peak_threshold: float = 0.1
    peaks: int = 200
    oks_kappa: float = 0.1
    proximity_px: float = 10.0
    nms_iou: float = 0.5
    instances: int = 100
    graph: str = "star"

    def __post_init__(self) -> None:
        if self.refine_long_self not in ("none", "center", "all"):
            raise ValueError(
                f"refine_long_self is {self.refine_long_self!r}: it can be none, center or all"
            )
        if self.decode_stride not in (1, 4):
            raise ValueError(f"decode_stride is {self.decode_stride}: it can be 1 or 4")
        require_positive(peaks=self.peaks)
        if self.radius_px <= 0 or self.oks_kappa <= 0:
            raise ValueError("radius_px and oks_kappa must be above 0")
        if not 0 <= self.least_heat < 1:
            raise ValueError(f"least_heat is {self.least_heat}: it must be 0 or more, and below 1")
        for name in ("refine_steps", "peak_threshold", "proximity_px", "nms_iou", "instances"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if self.graph not in GRAPHS:
            raise ValueError(f"graph is {self.graph!r}: it can be {' or '.join(GRAPHS)}")

    @property
    def joined(self) -> Graph:
        """The graph itself."""
        return GRAPHS[self.graph]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Keypoint maps, as targets (heatmap 0 or 1) or as a network's answer (probabilities).

    heatmap (k, h, w), short (k, 2, h, w), middle (edges, 2, h, w), long (k, 2, h, w), float32
    """

    heatmap: FloatMap
    short: FloatMap
    middle: FloatMap
    long: FloatMap


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances found: `points` (n, k, 2) (y, x) in pixels, `scores` (n,), best first."""

    points: NDArray[np.float64]
    scores: NDArray[np.float64]
