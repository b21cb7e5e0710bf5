"""How much memory a training takes, and how much there is for it."""

from __future__ import annotations

import ctypes
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.run.batches import Item
from atrous.run.need import Taken, on_line, step
from atrous.run.settings import TrainSettings

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
KIB, MIB, GIB = 2**10, 2**20, 2**30
LEAST = 2
"""Images that a batch norm can learn from."""
HEAP_SHARE, CODE = 0.27, 100 * MIB
"""What the CPU adds: of what comes and goes in a step, and once.

Measured with glibc's heap, which keeps blocks below 32 MiB that it cannot fill again: in eleven
runs of eight networks, 2 to 6 crops of 257 or 513 px, the resident peak was within 10 % of what is
told so, but for FCRN's second stage, which took 23 % more. With MALLOC_MMAP_THRESHOLD_=1048576,
which gives blocks back at once, the share is near 0.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What one process of a training takes, in bytes; all but `images`.

    images       how many it has at a time
    weights      of the network, with the statistics of its norms
    gradients    of the weights that learn
    optimiser    what it remembers of them: a value each for momentum, two for Adam
    average      the running mean of the weights
    anchor       the network that the training is held to
    inputs       images and targets, of all parts of a batch
    activations  what forward and loss leave for the way back, weights in short precision too
    passing      what comes and goes: the most that a moment of the step has beyond all that
    lost         on the CPU, what lies idle between blocks, and the code that a step loads
    """

    images: int
    weights: int
    gradients: int
    optimiser: int
    average: int
    anchor: int
    inputs: int
    activations: int
    passing: int
    lost: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, name) for name in PARTS)


PARTS = tuple(field.name for field in fields(Need) if field.name != "images")


def need(
    system: nn.Module,
    item: Item,
    settings: TrainSettings,
    *,
    images: int,
    device: torch.device | None = None,
) -> Need:
    """What a step of `images` at a time takes, with nothing computed and nothing allocated.

    system  the network, on any device; it stays as it is
    item    one image (3, h, w) and its targets, whose values do not matter
    device  where the training will be: a CPU loses some memory; None = none is lost

    The step is made on tensors that have shapes alone, and all that lives at its fullest moment is
    added up. One image is reckoned from two and three where batch norms learn.

    # Deviates: what CUDA's kernels take for themselves is not in it, nor what its allocator loses.
    Short precision is cast as autocast does on the CPU, whose lists of operations differ a little
    from CUDA's. Mining by a threshold is taken to keep all pixels, the most it can.
    """
    if images >= LEAST or settings.norms == "frozen":
        taken = step(system, item, settings, images=images)
    else:
        first, more = _two(system, item, settings)
        taken = on_line(first, more, ahead=images - LEAST)
    return _need(taken, settings, images, device)


def most_images(
    system: nn.Module,
    item: Item,
    settings: TrainSettings,
    *,
    space: int,
    device: torch.device | None = None,
) -> int:
    """The most images at a time whose need is `space` bytes or less; 0 if not even one's is.

    What a step takes grows by about the same for each image: two steps tell the number, and one
    or two more prove it.
    """
    first, more = _two(system, item, settings)

    def total(images: int) -> int:
        taken = on_line(first, more, ahead=images - LEAST)
        return _need(taken, settings, images, device).total

    bound = LEAST + max(0, space) // (more.kept - first.kept)
    most = bisect_right(range(1, bound + 1), space, key=total)
    while most:
        taken = need(system, item, settings, images=most, device=device).total
        if taken <= space:
            break
        most = min(most - 1, most * space // taken)
    return most


def words(need: Need) -> str:
    """One line for people, such as "31.2 GiB: 12 images at a time 29.8, weights 0.2, ..."."""
    unit, size = ("GiB", GIB) if need.total >= GIB else ("MiB", MIB)
    noun = "image" if need.images == 1 else "images"
    of_images = need.inputs + need.activations + need.passing + need.lost
    parts = [(f"{need.images} {noun} at a time", of_images)]
    parts += [(name, getattr(need, name)) for name in PARTS[: PARTS.index("inputs")]]
    told = ", ".join(f"{name} {value / size:.1f}" for name, value in parts if value)
    return f"{need.total / size:.1f} {unit}: {told}"


def available(device: torch.device) -> int:
    """Bytes that a training may still take on a device.

    On CUDA those that are free, and those that torch keeps for reuse. On the CPU what Linux says
    can be had without swapping, or less where a control group (a container, a batch system) allows
    less. Elsewhere the whole memory of the machine, for want of better.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + kept
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    told = _field(PROC / "meminfo", "MemAvailable:", unit=KIB)
    return min([_whole() if told is None else told, *_left_in_groups()])


def peak(device: torch.device) -> int:
    """The most memory that this process has used so far, in bytes; 0 where nothing tells.

    On CUDA that of tensors. On the CPU all that was resident, code and data alike; on MPS what
    there is now.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    found = _field(PROC / "self" / "status", "VmHWM:", unit=KIB)
    return _peak_told() if found is None else found


def _two(system: nn.Module, item: Item, settings: TrainSettings) -> tuple[Taken, Taken]:
    """What steps of the fewest images that all networks learn from take, and of one more."""
    first, more = (step(system, item, settings, images=n) for n in (LEAST, LEAST + 1))
    return first, more


def _need(taken: Taken, settings: TrainSettings, images: int, device: torch.device | None) -> Need:
    # CUDA's optimisers make a list as long as all gradients, when the maps are gone
    most = max(taken.most, taken.trained)
    on_cpu = device is not None and device.type == "cpu"
    remembered = 2 if settings.optimiser == "adam" else int(settings.momentum > 0)
    return Need(
        images=images,
        weights=taken.weights,
        gradients=taken.trained,
        optimiser=remembered * taken.trained,
        average=taken.weights if settings.average else 0,
        anchor=taken.weights if settings.anchor else 0,
        inputs=taken.inputs,
        activations=taken.kept,
        passing=most - taken.kept,
        lost=CODE + int(HEAP_SHARE * most) if on_cpu else 0,
    )


def _left_in_groups() -> Iterator[int]:
    """What each control group that this process is in may still take; caches of files give way.

    A container often sees its own group as the root of them all.
    """
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, names = GROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
            cache = "total_inactive_file"
        elif not controllers:
            root, names, cache = GROUPS, ("memory.max", "memory.current"), "inactive_file"
        else:
            continue
        inside = root / path.lstrip("/")
        for folder in (inside, *(above for above in inside.parents if above.is_relative_to(root))):
            limit, used = (_lines(folder / name) for name in names)
            if limit and used and limit[0].isdecimal():
                given_back = _field(folder / "memory.stat", cache) or 0
                yield max(0, int(limit[0]) - int(used[0]) + given_back)


def _field(path: Path, name: str, *, unit: int = 1) -> int | None:
    """The number after a name at the beginning of a line; None if there is no such line."""
    rows = (line.split() for line in _lines(path))
    return next((int(row[1]) * unit for row in rows if len(row) > 1 and row[0] == name), None)


def _lines(path: Path) -> list[str]:
    """The lines of a file; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _whole() -> int:
    """The memory of the machine."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = ctypes.c_ulonglong()
    kernel: Any = vars(ctypes)["windll"].kernel32
    kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(size))
    return size.value * KIB


def _peak_told() -> int:
    """The resident peak as Unix tells it, in bytes on macOS and in KiB elsewhere; else 0.

    Linux would tell that of the parent too, if that was more.
    """
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB
