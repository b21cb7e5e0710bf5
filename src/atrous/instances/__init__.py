"""From maps to instances and back: keypoints, boxes, and their fusion with classes.

keypoints/     DeeperLab's instances, both ways
boxes/         FCRN's instances, both ways
batched/       DeeperLab's decoding and fusion in torch, many images at a time
voting.py      what keypoints and boxes share
merging.py     keypoint maps and boxes of several views
fuse.py        classes and instances as one panoptic map
runs.py        runs of pixels of one class and one owner: what that map is made from
neighbours.py  the cells around pixels
cleaning.py    what a parse keeps where it is unsure, and of small segments
"""
