"""Many images, videos and cameras through one parser, into a folder or a film.

inputs.py    what the words of a command line name, and what their results are called
answers.py   what came of each picture, as it is told and as it is remembered
line.py      reading, parsing and writing at a time, answers in order
frames.py    the frames of a video as jobs
journal.py   what a folder remembers, line by line
tail.py      what others have added to a file since
making.py    by what its results are made
shelf.py     results into a folder that knows what it holds
merging.py   panoptic.json of all that it holds
sheet.py     its overlays on one page
showing.py   the film of a video
sharing.py   which inputs are whose, where several processes work
run.py       all of it together
"""

from __future__ import annotations

from atrous.batch.answers import Answer
from atrous.batch.inputs import Input, find_inputs
from atrous.batch.journal import Journal
from atrous.batch.making import Made
from atrous.batch.run import How, parse_all
from atrous.batch.sharing import Share
from atrous.batch.shelf import Shelf

__all__ = [
    "Answer",
    "How",
    "Input",
    "Journal",
    "Made",
    "Share",
    "Shelf",
    "find_inputs",
    "parse_all",
]
