"""What a run is: run.json, and whether a run may begin or go on in a folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist

from atrous.data.source import Source
from atrous.formats import read_json
from atrous.recipes import Recipe
from atrous.run.states import states
from atrous.run.world import World
from atrous.types import BadInput, Failed

Record = dict[str, Any]
LAUNCHERS = {"torchrun", "torch.distributed.run"}


def record(recipe: Recipe, sources: Sequence[Source], world: World) -> Record:
    """What run.json holds: all that decides how the run goes."""
    counts = [len(source) for source in sources]
    header = recipe.header(sources[0].labels)
    known = {
        **recipe.record(),
        **{name: part for name, part in header.items() if name != "recipe"},
        "images": counts[0] if len(counts) == 1 else counts,
        "names": digest(sources),
    }
    return {
        "schema": 1,
        "recipe": json.loads(json.dumps(known)),
        "versions": {name: version(name) for name in ("atrous", "torch", "numpy")}
        | {"python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "processes": world.size,
        "device": world.device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "command": command(),
        "launch": _launch(),
        "id": uuid4().hex,
    }


def digest(sources: Sequence[Source]) -> str:
    """Of the names of all images: another split of the same size is another set."""
    digest = hashlib.sha256()
    for source in {id(source): source for source in sources}.values():
        digest.update("\n".join(source.name(i) for i in range(len(source))).encode())
    return digest.hexdigest()[:16]


def command(*more: str) -> str:
    """The command line that this process was called by, `torchrun` included, and more words.

    A word that is there already is not said again.
    """
    name = Path(sys.argv[0]).name
    words = ["atrous" if name == "__main__.py" else name, *sys.argv[1:]]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        words = _called() or _reckoned(words)
    return shlex.join([*words, *(word for word in more if word not in words)])


def _called() -> list[str]:
    """The words that `torchrun` was called by, where the system tells what the parent's are."""
    path = Path(f"/proc/{os.getppid()}/cmdline")
    called = path.read_text().split("\0")[:-1] if path.is_file() else []
    places = [i for i, word in enumerate(called) if Path(word).name in LAUNCHERS]
    is_ours = called[len(called) - len(sys.argv) + 1 :] == sys.argv[1:]
    return ["torchrun", *called[places[0] + 1 :]] if places and is_ours else []


def _reckoned(words: list[str]) -> list[str]:
    """Those that do as well, as far as its variables tell."""
    nodes, here = (os.environ.get(x, "1") for x in ("GROUP_WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    start = ["torchrun", *([f"--nnodes={nodes}"] if nodes != "1" else [])]
    return [*start, f"--nproc-per-node={here}", *(["-m"] if words[0] == "atrous" else []), *words]


def is_restarted(run: Path) -> bool:
    """Whether `torchrun` has started this process anew, after it began this very run."""
    path, launch = run / "run.json", _launch()
    if launch is None or not path.is_file():
        return False
    before = read_json(path)
    return isinstance(before, dict) and before.get("launch") == launch


def _launch() -> str | None:
    """Which call of `torchrun` this process is of; None if none.

    Its store knows: it lives as long as `torchrun` does. Ids and numbers of restarts tell less:
    people give one id to many calls, and some restarts are not counted.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    store, *_ = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    return str(store.compare_set("atrous/launch", "", uuid4().hex).decode())


def prepare(run: Path, now: Record, source: str, *, resume: bool) -> Record | None:
    """Checks that a run can begin here, or that an old one can go on; returns the old one's record.

    source  the weights that it begins with

    Raises: BadInput if it cannot, with all that differs.
    """
    path = run / "run.json"
    before = recorded(path) if path.exists() else None
    if not resume and (states(run) or (run / "last.safetensors").exists()):
        raise BadInput(f"{run}: holds a run already: --resume goes on, or choose another --out")
    if resume and before is None:
        raise BadInput(f"{run}: no run to resume: leave --resume out to start one")
    require_writable(run)
    if not resume or before is None:
        for left in run.glob("doubled-*.json"):  # by a run that made no state
            left.unlink()
        return None
    _require_same(run, before["recipe"], now["recipe"])
    began = (before.get("start") or {}).get("file", "")
    if not states(run) and began != source:
        _require_same(run, {"--init": began or "none"}, {"--init": source or "none"})
    return dict(before)


def recorded(path: Path) -> Record:
    """What a run.json holds.

    Raises: BadInput if no run has left it.
    """
    before: Any = read_json(path)
    match before:
        case {"recipe": {"name": str()}, "threads": int(threads)} if threads > 0:
            if isinstance(before.get("start"), dict | None):
                return dict(before)
    raise BadInput(f"{path}: not what a run leaves: choose another --out")


def require_ours(run: Path, name: str) -> None:
    """Raises Failed if another run has taken the folder since this one began or went on."""
    path = run / "run.json"
    if path.is_file() and recorded(path).get("id") != name:
        raise Failed(f"{run}: another run writes here now: give each its own --out")


def require_writable(run: Path) -> None:
    """Raises BadInput where a run's folder could not be made; makes nothing."""
    nearest = next(path for path in (run, *run.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise BadInput(f"{nearest}: no folder that can be written to: choose another --out")


def _require_same(run: Path, before: Record, now: Record) -> None:
    """Raises BadInput with every field that differs."""
    differing = list(_differences(before, now))
    if differing:
        told = "; ".join(differing)
        raise BadInput(
            f"{run}: the run was started with {told}: give the same command again, or another --out"
        )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Every differing field as "NAME = BEFORE, not NOW"."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                yield from _differences(before.get(key), now.get(key), f"{name}.{key}".strip("."))
    elif name == "names":
        yield "images of other names: another set or split"
    elif name == "labels":
        yield _labels(before or [], now or [])
    else:
        yield f"{name} = {_short(before)}, not {_short(now)}"


def _labels(before: list[Record], now: list[Record]) -> str:
    old, new = ([str(label.get("name")) for label in side] for side in (before, now))
    if old != new:
        return f"{_classes(old)}, not {_classes(new)}"
    pair = next((b, n) for b, n in zip(before, now, strict=True) if b != n)
    return f"the class {_short(pair[0])}, not {_short(pair[1])}"


def _classes(names: list[str]) -> str:
    return f"{len(names)} classes ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
