"""The command line: one verb, one call. stdout is data, stderr is for people."""

from __future__ import annotations

from atrous.cli import (
    describing,
    doctoring,
    evaluating,
    models,
    parsing,
    plotting,
    scoring,
    sharding,
    splitting,
    timing,
    training,
)
from atrous.cli.app import app, main

__all__ = [
    "app",
    "main",
    "describing",
    "doctoring",
    "evaluating",
    "models",
    "parsing",
    "plotting",
    "scoring",
    "sharding",
    "splitting",
    "timing",
    "training",
]
