"""How many milliseconds each stage of parsing takes.

scene.py   the maps that a trained network would answer to a drawn scene
run.py     the stages of a parser, timed
"""

from __future__ import annotations

from atrous.bench.run import Stage, Timing, bench, untrained

__all__ = ["Stage", "Timing", "bench", "untrained"]
