"""A recipe in use: data in, run folder out."""

from __future__ import annotations

from atrous.training.packaging import package, told
from atrous.training.rehearsal import Rehearsal, fitted, rehearse
from atrous.training.run import each_stage, train

__all__ = ["Rehearsal", "each_stage", "fitted", "package", "rehearse", "told", "train"]
