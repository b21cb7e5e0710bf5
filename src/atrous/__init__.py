"""Whole-image parsing: FCRN, PSPNet, DeepLabv3 and DeeperLab.

The names below are loaded when they are first used, so that `import atrous` needs no torch.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "load": "parser",
    "Parser": "parser",
    "Result": "result",
    "contact_sheet": "result",
    "Views": "run.predict",
    "train": "training",
    "create": "recipes",
    "Sample": "types",
    "Segment": "types",
    "Parse": "types",
    "Region": "types",
    "Labelled": "types",
    "BadInput": "types",
    "Label": "labels",
    "LabelSpace": "labels",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        from importlib.metadata import version  # slow to import, and seldom asked for

        value = version("atrous")
    elif name in _HOMES:
        value = getattr(import_module(f"atrous.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'atrous' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
