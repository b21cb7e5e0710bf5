"""What the classes of a data set are called, look like and count as; one page for each data set.

space.py  Label, LabelSpace, and colours for classes that have none
"""

from __future__ import annotations

from atrous.labels.space import Label, LabelSpace, distinct_colours, unnamed

__all__ = ["Label", "LabelSpace", "distinct_colours", "unnamed"]
