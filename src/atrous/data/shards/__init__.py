"""Data sets in shards: tar files whose samples are read one by one, from disk or from afar.

reading.py  a split of shards as a source
files.py    where shards lie, and how their bytes are read
index.py    what lies where in a tar
samples.py  which members make a sample
classes.py  the list of classes beside them
writing.py  shards from any data set
"""
