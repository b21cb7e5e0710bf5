"""DeeperLab's keypoints: instances written as maps, and found in maps; numpy alone.

coding.py      both directions: `encode` and `decode`
nouns.py       the numbers, the maps, the instances
graph.py       how keypoints are joined, and the box of the corners
stages.py      decoding step by step
lattice.py     the grid of the maps and the finer one of the decoding
patches.py     blocks of the finer grid that hold things
hough.py       Hough maps that exist only where somebody votes
splat.py       votes of many blocks at once
shortrange.py  short-range votes: cells around a keypoint
longrange.py   where the cells of a thing point to, refined
longvotes.py   long-range votes: all cells of a thing
scoring.py     Expected-OKS of candidates
grouping.py    candidates, and greedy grouping of them along the graph
nearest.py     the instance that is nearest to where a cell points
owners.py      the same for blocks of the finer grid
"""

from __future__ import annotations

from atrous.instances.keypoints.coding import decode as decode
from atrous.instances.keypoints.coding import encode as encode
from atrous.instances.keypoints.nouns import Encoded as Encoded
from atrous.instances.keypoints.nouns import Instances as Instances
from atrous.instances.keypoints.nouns import KeypointNumbers as KeypointNumbers
from atrous.instances.voting import locate as locate
