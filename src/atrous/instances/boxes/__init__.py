"""FCRN's boxes: instances written as maps, and found in maps; numpy alone.

coding.py       both directions: `encode` and `pixel_boxes`
transform.py    from the boxes of pixels to instances
sampling.py     a map, and where the pixels of a finer grid lie in it
ranking.py      the most probable classes of every pixel
blocks.py       the same between the cells of a coarse map, a block of pixels at a time
lines.py        loops over a few pixels and classes: sampling, the greatest values, softmax
suppression.py  greedy suppression of boxes, each traced back to the one that took it
regions.py      clusters of votes: sizes, scores, suppression where masks overlap
painting.py     masks that may overlap, as a map with one instance a pixel at most
"""

from __future__ import annotations

from atrous.instances.boxes.coding import BoxNumbers as BoxNumbers
from atrous.instances.boxes.coding import BoxTargets as BoxTargets
from atrous.instances.boxes.coding import encode as encode
from atrous.instances.boxes.coding import pixel_boxes as pixel_boxes
