"""By what a folder of results is made, so that no others are mixed with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from atrous.formats import read_json, write_json
from atrous.types import BadInput

ABOUT = "parse.json"
ANEW = "choose another --out, or start anew with --overwrite"


@dataclass(frozen=True, slots=True)
class Made:
    """By what results are made: results of two folders with one `Made` may be mixed.

    model     its name, for people, and the digest of its file
    settings  all that changes what is written, by the option's name, as plain JSON
    """

    model: str
    digest: str
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What `parse.json` holds."""
        model = {"name": self.model, "sha256": self.digest}
        return {"schema": 1, "model": model, "settings": dict(self.settings)}

    @property
    def key(self) -> str:
        """The same for the same; the model's name does not count."""
        text = json.dumps([self.digest, self.settings], sort_keys=True)
        return sha256(text.encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Writes `parse.json`.

        Raises: BadInput if it cannot be written.
        """
        write_json(folder / ABOUT, self.to_json())

    def require_same(self, folder: Path) -> None:
        """Raises BadInput if a folder holds results that are made otherwise."""
        path = folder / ABOUT
        if not path.exists():
            return
        try:
            told = read_json(path)
            model, settings = told["model"], told["settings"]
            is_other = model["sha256"] != self.digest
        except (BadInput, KeyError, TypeError):
            raise BadInput(f"{path}: does not say what made the results here: {ANEW}") from None
        if is_other:
            raise BadInput(f"{folder}: holds results of another model, {model['name']}: {ANEW}")
        for name in sorted({*settings, *self.settings}):
            was, asked = settings.get(name), self.settings.get(name)
            if was != asked:
                what = f"holds results made {_words(name, was)}, not {_words(name, asked)}"
                raise BadInput(f"{folder}: {what}: {ANEW}")


def _words(name: str, value: Any) -> str:
    if value is None or value is False or value == []:
        return f"without {name}"
    told = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"with {name}" if value is True else f"with {name} {told}"
