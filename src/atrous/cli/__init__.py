"""The command line: one verb, one call. stdout is data, stderr is for people."""

from __future__ import annotations

from atrous.cli import (
    describing,
    evaluating,
    models,
    parsing,
    scoring,
    sharding,
    splitting,
    training,
)
from atrous.cli.app import app, main

__all__ = [
    "app",
    "main",
    "describing",
    "evaluating",
    "models",
    "parsing",
    "scoring",
    "sharding",
    "splitting",
    "training",
]
