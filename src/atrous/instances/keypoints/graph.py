"""The graphs that join an instance's keypoints, and the box that its corners span.

Source: DeeperLab, section 3.3 and table 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CORNERS = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True, slots=True)
class Graph:
    """Keypoints, the four corners first, and edges from one to another.

    Middle-range offsets lead along the edges, from the first keypoint of a pair to the second.
    """

    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def centres(self) -> tuple[int, ...]:
        """The keypoints that are no corners: the centre of mass, if the graph has it."""
        return tuple(range(len(CORNERS), len(self.keypoints)))


def _both_ways(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return (*pairs, *((goal, source) for source, goal in pairs))


GRAPHS = {
    "star": Graph((*CORNERS, "centre"), _both_ways((4, 0), (4, 1), (4, 2), (4, 3))),
    "rectangle": Graph(CORNERS, _both_ways((0, 1), (1, 3), (3, 2), (2, 0))),
}
"""The star has the centre of mass between the corners; the rectangle is the box's outline."""


def boxes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) boxes (y0, x0, y1, x1) from the corner keypoints, two corners a side."""
    top_left, top_right, bottom_left, bottom_right = (points[:, k] for k in range(4))
    return np.stack(
        [
            (top_left[:, 0] + top_right[:, 0]) / 2,
            (top_left[:, 1] + bottom_left[:, 1]) / 2,
            (bottom_left[:, 0] + bottom_right[:, 0]) / 2 + 1,
            (top_right[:, 1] + bottom_right[:, 1]) / 2 + 1,
        ],
        axis=1,
    )
