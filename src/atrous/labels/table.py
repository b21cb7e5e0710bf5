"""Label spaces as text: a line a class, so that a page of facts can be read beside its source."""

from __future__ import annotations

from atrous.labels.space import Label, LabelSpace

KINDS = {"thing": True, "stuff": False}


def read_table(text: str) -> LabelSpace:
    """The classes of `text`: a line each of file id, "thing" or "stuff", colour rrggbb and name.

    Raises: ValueError if a line is another; BadInput if a file id stands twice.
    """
    return LabelSpace(tuple(_label(line) for line in text.strip().splitlines()))


def _label(line: str) -> Label:
    parts = line.split(maxsplit=3)
    if len(parts) != 4 or parts[1] not in KINDS or len(parts[2]) != 6:
        raise ValueError(f"{line!r}: write file id, thing or stuff, rrggbb and name")
    red, green, blue = bytes.fromhex(parts[2])
    return Label(parts[3], (red, green, blue), KINDS[parts[1]], int(parts[0]))
