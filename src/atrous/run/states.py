"""The states that a run resumes from: `RUN/state/STEP/`, whole or not there.

The order of a write, and why. A kill leaves on the disk what had been done before it; a loss of
power may also undo what had not been flushed, in any order.

1.  A hidden folder is filled, each file flushed, then the folder: under a hidden name, half of a
    state is nobody's.
2.  It is renamed, and `state/` is flushed: the state is there, all at once and for good.
3.  Only then do old states go: first they lose their names, which is flushed, then their files are
    removed. So there is a complete state at every moment, and nothing else has a state's name.

An error before the rename removes the hidden folder; after it, the new state is whole and stays.
What a killed writer leaves is hidden, and the next write removes it. A run has one writer; of two
by mistake one gets an OSError, and no state is harmed, for what is removed is renamed first.

Disks also lie and rot. So `counters.json`, which is written last, holds size and CRC-32 of the
other files. They are checked when a state is read, and a damaged one gives way to the one before.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from atrous.run.checkpoint import (
    Digest,
    Weights,
    canonical,
    flush_folder,
    make_folder,
    read_weights,
    tensor_chunks,
    write_flushed,
)
from atrous.types import BadInput

WEIGHTS, OPTIMISER, AVERAGE = (f"{x}.safetensors" for x in ("weights", "optimiser", "average"))
COUNTERS = "counters.json"
HIDDEN = re.compile(r"\.\d{8,}(\.[0-9a-f]{8})?")
PIECE = 1 << 20
LOST = "this state is lost"


@dataclass(frozen=True, slots=True)
class State:
    """All that a run needs to go on after `step` steps.

    average   running mean of the weights; empty where none is kept
    counters  whatever JSON holds, under any names but "step" and "files"
    """

    step: int
    weights: Weights
    optimiser: Weights
    average: Weights
    counters: dict[str, Any]


def write_state(run: Path, state: State, *, keep: int) -> None:
    """Saves a state under `run`/state/STEP and drops all but the last `keep`.

    A state of this step that is there and whole stays as it is: it holds the same. One that is
    damaged is replaced, and damaged ones of later steps go, or they would hide this one.

    keep  how many states up to this step stay, at least 1

    Raises: OSError if it cannot be written, such as on a full disk; every older state stays then.
    """
    root = run / "state"
    make_folder(root)
    _clear(root)
    final = root / f"{state.step:08d}"
    if not _is_whole(final):
        _place(state, final)
    _drop(_outdated(run, state.step, keep))


def states(run: Path) -> list[Path]:
    """The states of a run, oldest first.

    Raises: BadInput if they cannot be listed.
    """
    root = run / "state"
    try:
        found = [p for p in root.iterdir() if _is_number(p.name) and p.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadInput(f"{root}: cannot be read ({_why(error)}): check the folder") from error
    return sorted(found, key=lambda p: int(p.name))


def last_state(run: Path, tell: Callable[[str], None]) -> State | None:
    """The newest state of a run that is whole; None where there are no states.

    tell  gets a line for each damaged one that was passed over, and where the run goes on

    Raises: BadInput if there are states and none can be read.
    """
    faults: list[BadInput] = []
    for folder in reversed(states(run)):
        try:
            state = read_state(folder)
        except BadInput as fault:
            faults.append(fault)
            continue
        for passed in faults:
            tell(f"{passed}: going on from step {state.step}")
        return state
    if faults:
        many = f", nor can {len(faults) - 1} older" if faults[1:] else ", and it is the only one"
        raise BadInput(f"{faults[0]}{many}: start the run anew in another --out")
    return None


def read_state(folder: Path) -> State:
    """Reads what `write_state` wrote, and checks every byte of it.

    Raises: BadInput that names the file if one is missing, cannot be read, or is not as written.
    """
    counters = _read_counters(folder / COUNTERS)
    step, files = counters.pop("step"), counters.pop("files")
    for name, written in files.items():
        _check(folder / name, written)
    return State(
        step=step,
        weights=read_weights(folder / WEIGHTS),
        optimiser=read_weights(folder / OPTIMISER),
        average=read_weights(folder / AVERAGE) if AVERAGE in files else {},
        counters=counters,
    )


def _read_counters(path: Path) -> dict[str, Any]:
    try:
        counters = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({_why(error)}): {LOST}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: broken JSON: {LOST}") from error
    match counters:
        case {"step": int(step), "files": {**files}}:
            names, parts = set(files), {WEIGHTS, OPTIMISER}
            if path.parent.name == f"{step:08d}" and parts <= names <= {*parts, AVERAGE}:
                return dict(counters)
    raise BadInput(f"{path}: not what a run writes into this folder: {LOST}")


def _check(path: Path, written: Digest) -> None:
    """Raises BadInput if a file is not as it was written."""
    size = crc = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(PIECE):
                size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({_why(error)}): {LOST}") from error
    if {"bytes": size, "crc32": crc} != written:
        raise BadInput(f"{path}: damaged, its {size} bytes are not those written: {LOST}")


def _place(state: State, final: Path) -> None:
    """Fills a hidden folder and gives it the name of a state; an error leaves nothing."""
    rough = _hidden(final)
    try:
        _fill(rough, state)
        if final.exists():
            _drop([final])
        rough.rename(final)
    except BaseException:
        shutil.rmtree(rough, ignore_errors=True)
        raise
    flush_folder(final.parent)


def _fill(folder: Path, state: State) -> None:
    folder.mkdir()
    parts = {WEIGHTS: state.weights, OPTIMISER: state.optimiser}
    parts |= {AVERAGE: state.average} if state.average else {}
    files = {name: write_flushed(folder / name, tensor_chunks(w)) for name, w in parts.items()}
    counters = canonical({**state.counters, "step": state.step, "files": files})
    write_flushed(folder / COUNTERS, [counters.encode()])
    flush_folder(folder)


def _outdated(run: Path, step: int, keep: int) -> list[Path]:
    found = states(run)
    later = [p for p in found if int(p.name) > step and not _is_whole(p)]
    return later + [p for p in found if int(p.name) <= step][:-keep]


def _is_whole(folder: Path) -> bool:
    with suppress(BadInput):
        read_state(folder)
        return True
    return False


def _drop(folders: list[Path]) -> None:
    """Removes states: first their names, for good, then what was in them."""
    hidden = [folder.rename(_hidden(folder)) for folder in folders]
    if hidden:
        flush_folder(hidden[0].parent)
    for folder in hidden:
        shutil.rmtree(folder, ignore_errors=True)


def _clear(root: Path) -> None:
    """Removes what killed writers left; what cannot be removed is no reason not to write."""
    for left in [p for p in root.iterdir() if HIDDEN.fullmatch(p.name)]:
        with suppress(OSError):
            shutil.rmtree(left.rename(_hidden(left)), ignore_errors=True)


def _hidden(folder: Path) -> Path:
    """A name of its own beside a folder, which `states` does not see and `_clear` knows."""
    number = folder.name.lstrip(".").partition(".")[0]
    return folder.with_name(f".{number}.{uuid4().hex[:8]}")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
