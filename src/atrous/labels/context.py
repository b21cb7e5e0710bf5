"""PASCAL-Context in its 59 most frequent classes, alone and with the background that is the rest.

The order is the official one of `59_labels.txt`: the 20 objects of VOC first, with VOC's colours,
then the others with the next colours of VOC's palette. The names are those of `labels.txt`, the
list of all 459: table, cloth and bedclothes are diningtable, clothes and bedcloth in the other.
File ids are those of the usual PNGs (`SegmentationClassContext`), which count the same
classes from 1 in the order of the alphabet. Class maps tell no two things apart: all are stuff.

Source: Mottaghi et al. 2014 and the page of the data set; the PNGs are those of MMSegmentation.
"""

from __future__ import annotations

from atrous.labels.space import Label, LabelSpace
from atrous.labels.table import read_table

PASCAL_CONTEXT_59_IGNORED = frozenset({0, 255})
"""File ids that mean void: the background is of no class here."""

PASCAL_CONTEXT_60_IGNORED = frozenset({255})
"""File ids that mean void."""

PASCAL_CONTEXT_59 = read_table(
    """
1 stuff 800000 aeroplane
6 stuff 008000 bicycle
7 stuff 808000 bird
8 stuff 000080 boat
10 stuff 800080 bottle
12 stuff 008080 bus
14 stuff 808080 car
15 stuff 400000 cat
17 stuff c00000 chair
20 stuff 408000 cow
50 stuff c08000 table
23 stuff 400080 dog
31 stuff c00080 horse
34 stuff 408080 motorbike
37 stuff c08080 person
40 stuff 004000 pottedplant
43 stuff 804000 sheep
49 stuff 00c000 sofa
52 stuff 80c000 train
55 stuff 004080 tvmonitor
2 stuff 804080 bag
3 stuff 00c080 bed
5 stuff 80c080 bench
9 stuff 404000 book
11 stuff c04000 building
13 stuff 40c000 cabinet
16 stuff c0c000 ceiling
18 stuff 404080 cloth
19 stuff c04080 computer
21 stuff 40c080 cup
24 stuff c0c080 door
25 stuff 000040 fence
26 stuff 800040 floor
27 stuff 008040 flower
28 stuff 808040 food
29 stuff 0000c0 grass
30 stuff 8000c0 ground
32 stuff 0080c0 keyboard
33 stuff 8080c0 light
35 stuff 400040 mountain
36 stuff c00040 mouse
22 stuff 408040 curtain
39 stuff c08040 platform
46 stuff 4000c0 sign
38 stuff c000c0 plate
41 stuff 4080c0 road
42 stuff c080c0 rock
44 stuff 004040 shelves
45 stuff 804040 sidewalk
47 stuff 00c040 sky
48 stuff 80c040 snow
4 stuff 0040c0 bedclothes
51 stuff 8040c0 track
53 stuff 00c0c0 tree
54 stuff 80c0c0 truck
56 stuff 404040 wall
57 stuff c04040 water
58 stuff 40c040 window
59 stuff c0c040 wood
"""
)
"""The 59 classes; file ids are those of the PNGs, 1 to 59."""

PASCAL_CONTEXT_60 = LabelSpace(
    (Label("background", (0, 0, 0), False, 0), *PASCAL_CONTEXT_59.labels)
)
"""The same after the background, which has the file id 0."""
