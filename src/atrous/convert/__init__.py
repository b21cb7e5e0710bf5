"""Foreign checkpoints in, our networks out."""

from __future__ import annotations

from atrous.convert.graft import graft
from atrous.convert.hub import located
from atrous.convert.layouts import LAYOUTS, Start
from atrous.convert.models import Converted, convert
from atrous.convert.start import adopt, read_start

__all__ = ["LAYOUTS", "Converted", "Start", "adopt", "convert", "graft", "located", "read_start"]
