"""Foreign checkpoints in, our networks out."""

from __future__ import annotations

from atrous.convert.adopt import Begun, adopt, begin
from atrous.convert.graft import graft
from atrous.convert.hub import located
from atrous.convert.layouts import LAYOUTS
from atrous.convert.models import Converted, convert
from atrous.convert.read import read_start
from atrous.convert.start import Start

__all__ = [
    "LAYOUTS",
    "Begun",
    "Converted",
    "Start",
    "adopt",
    "begin",
    "convert",
    "graft",
    "located",
    "read_start",
]
