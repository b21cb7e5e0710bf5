"""Foreign checkpoints in, our networks out."""

from __future__ import annotations

from atrous.convert.graft import graft
from atrous.convert.start import Start, adopt, read_start

__all__ = ["Start", "adopt", "graft", "read_start"]
