"""PASCAL VOC: background as stuff and 20 things; 255 = the void border.

Source: the development kit of VOC 2012, with its function for the colour map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.labels.table import read_table

VOC_IGNORED = frozenset({255})
"""File ids that mean void."""

VOC = read_table(
    """
0 stuff 000000 background
1 thing 800000 aeroplane
2 thing 008000 bicycle
3 thing 808000 bird
4 thing 000080 boat
5 thing 800080 bottle
6 thing 008080 bus
7 thing 808080 car
8 thing 400000 cat
9 thing c00000 chair
10 thing 408000 cow
11 thing c08000 diningtable
12 thing 400080 dog
13 thing c00080 horse
14 thing 408080 motorbike
15 thing c08080 person
16 thing 004000 pottedplant
17 thing 804000 sheep
18 thing 00c000 sofa
19 thing 80c000 train
20 thing 004080 tvmonitor
"""
)
"""The 21 classes; file ids are those of the PNGs, 0 to 20."""


def voc_colours() -> NDArray[np.uint8]:
    """(256, 3) RGB of the palette that all label PNGs of VOC share.

    The bits of an index, three at a time, are the high bits of red, green and blue.
    """
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    thirds = np.pad(bits, ((0, 0), (0, 1))).reshape(256, 3, 3)
    return np.packbits(thirds, axis=1)[:, 0]
