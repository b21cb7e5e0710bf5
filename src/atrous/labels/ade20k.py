"""ADE20K SceneParse150: 150 classes in order of their share of pixels; 0 = ignored.

Names are the first of their synonyms. The things are the 100 classes of the instance challenge,
whose own category k is the k-th thing here.

Source: objectInfo150.txt and color150.mat of CSAILVision/sceneparsing; the things from
instancesegmentation/categoryMapping.txt of CSAILVision/placeschallenge.
"""

from __future__ import annotations

from atrous.labels.table import read_table

ADE20K_IGNORED = frozenset({0})
"""File ids that mean void."""

ADE20K = read_table(
    """
1 stuff 787878 wall
2 stuff b47878 building
3 stuff 06e6e6 sky
4 stuff 503232 floor
5 stuff 04c803 tree
6 stuff 787850 ceiling
7 stuff 8c8c8c road
8 thing cc05ff bed
9 thing e6e6e6 windowpane
10 stuff 04fa07 grass
11 thing e005ff cabinet
12 stuff ebff07 sidewalk
13 thing 96053d person
14 stuff 787846 earth
15 thing 08ff33 door
16 thing ff0652 table
17 stuff 8fff8c mountain
18 stuff ccff04 plant
19 thing ff3307 curtain
20 thing cc4603 chair
21 thing 0066c8 car
22 stuff 3de6fa water
23 thing ff0633 painting
24 thing 0b66ff sofa
25 thing ff0747 shelf
26 stuff ff09e0 house
27 stuff 0907e6 sea
28 thing dcdcdc mirror
29 stuff ff095c rug
30 stuff 7009ff field
31 thing 08ffd6 armchair
32 thing 07ffe0 seat
33 thing ffb806 fence
34 thing 0aff47 desk
35 stuff ff290a rock
36 thing 07ffff wardrobe
37 thing e0ff08 lamp
38 thing 6608ff bathtub
39 thing ff3d06 railing
40 thing ffc207 cushion
41 stuff ff7a08 base
42 thing 00ff14 box
43 thing ff0829 column
44 thing ff0599 signboard
45 thing 0633ff chest of drawers
46 thing eb0cff counter
47 stuff a09614 sand
48 thing 00a3ff sink
49 stuff 8c8c8c skyscraper
50 thing fa0a0f fireplace
51 thing 14ff00 refrigerator
52 stuff 1fff00 grandstand
53 stuff ff1f00 path
54 thing ffe000 stairs
55 stuff 99ff00 runway
56 thing 0000ff case
57 thing ff4700 pool table
58 thing 00ebff pillow
59 thing 00adff screen door
60 stuff 1f00ff stairway
61 stuff 0bc8c8 river
62 stuff ff5200 bridge
63 thing 00fff5 bookcase
64 stuff 003dff blind
65 thing 00ff70 coffee table
66 thing 00ff85 toilet
67 thing ff0000 flower
68 thing ffa300 book
69 stuff ff6600 hill
70 thing c2ff00 bench
71 thing 008fff countertop
72 thing 33ff00 stove
73 thing 0052ff palm
74 thing 00ff29 kitchen island
75 thing 00ffad computer
76 thing 0a00ff swivel chair
77 thing adff00 boat
78 stuff 00ff99 bar
79 thing ff5c00 arcade machine
80 stuff ff00ff hovel
81 thing ff00f5 bus
82 thing ff0066 towel
83 thing ffad00 light
84 thing ff0014 truck
85 stuff ffb8b8 tower
86 thing 001fff chandelier
87 thing 00ff3d awning
88 thing 0047ff streetlight
89 thing ff00cc booth
90 thing 00ffc2 television
91 thing 00ff52 airplane
92 stuff 000aff dirt track
93 thing 0070ff apparel
94 thing 3300ff pole
95 stuff 00c2ff land
96 thing 007aff bannister
97 stuff 00ffa3 escalator
98 thing ff9900 ottoman
99 thing 00ff0a bottle
100 stuff ff7000 buffet
101 stuff 8fff00 poster
102 stuff 5200ff stage
103 thing a3ff00 van
104 thing ffeb00 ship
105 thing 08b8aa fountain
106 stuff 8500ff conveyer belt
107 stuff 00ff5c canopy
108 thing b800ff washer
109 thing ff001f plaything
110 stuff 00b8ff swimming pool
111 thing 00d6ff stool
112 thing ff0070 barrel
113 thing 5cff00 basket
114 stuff 00e0ff waterfall
115 stuff 70e0ff tent
116 thing 46b8a0 bag
117 thing a300ff minibike
118 stuff 9900ff cradle
119 thing 47ff00 oven
120 thing ff00a3 ball
121 thing ffcc00 food
122 thing ff008f step
123 stuff 00ffeb tank
124 thing 85ff00 trade name
125 thing ff00eb microwave
126 thing f500ff pot
127 thing ff007a animal
128 thing fff500 bicycle
129 stuff 0abed4 lake
130 thing d6ff00 dishwasher
131 thing 00ccff screen
132 stuff 1400ff blanket
133 thing ffff00 sculpture
134 thing 0099ff hood
135 thing 0029ff sconce
136 thing 00ffcc vase
137 thing 2900ff traffic light
138 thing 29ff00 tray
139 thing ad00ff ashcan
140 thing 00f5ff fan
141 stuff 4700ff pier
142 stuff 7a00ff crt screen
143 thing 00ffb8 plate
144 thing 005cff monitor
145 thing b8ff00 bulletin board
146 stuff 0085ff shower
147 thing ffd600 radiator
148 thing 19c2c2 glass
149 thing 66ff00 clock
150 thing 5c00ff flag
"""
)
"""The 150 classes; file ids are those of the PNGs, 1 to 150."""
