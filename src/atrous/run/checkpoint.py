"""Model files, and how a file gets onto the disk whole.

A model file is one safetensors file. Its metadata is one key, `atrous`, with canonical JSON, and
nothing in it depends on time, path or host: equal training gives equal bytes.

A file is written under a hidden name beside its own, flushed to the disk, renamed, and its folder
is flushed: in this order, so that neither a kill nor a loss of power leaves less than the old file
or the new one under the name. Every writer has a hidden name to itself, so of two that write one
file at a time the last to rename wins, and nothing is mixed. An error takes the hidden file away; a
kill cannot, so the next write of the same file removes those that nobody has written to for an
hour (process ids say nothing across machines and containers, and locks can hang on network disks).
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from atrous.types import BadInput

FORMAT = 1
KEY = "atrous"
Header = dict[str, Any]
Weights = dict[str, Tensor]
Chunk = bytes | memoryview
Digest = dict[str, int]
"""What a file must be: "bytes", and its "crc32"."""

DTYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types of a tensor file in the order in which it holds them, the widest first."""

ROUGH = re.compile(r"\.[0-9a-f]{8}\.part")
FORGOTTEN_S = 3600.0
NO_FLUSH = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP}
"""What systems answer that cannot flush this folder, or any: no loss that we could prevent."""


def canonical(data: object) -> str:
    """JSON with sorted keys and no spaces: equal data, equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_model(path: Path, weights: Mapping[str, Tensor], header: Header) -> None:
    """Writes a model file; it is there whole or not at all.

    Raises: OSError if it cannot be written; what was there stays.
    """
    text = canonical({"format": FORMAT, **header})
    _write_whole(path, tensor_chunks(weights, {KEY: text}))


def read_header(path: Path) -> Header:
    """The metadata of a model file.

    Raises: BadInput if the file is missing, is no safetensors file, or none of ours.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file: give a model name, a run folder or a .safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a safetensors file ({_line(error)}): give another") from error
    if KEY not in metadata:
        raise BadInput(f"{path}: a safetensors file, but no atrous model: start from it by --init")
    header = _parsed(metadata[KEY], path)
    if header.get("format") != FORMAT:
        raise BadInput(
            f"{path}: model format {header.get('format')}, and this version reads {FORMAT}: "
            "update atrous"
        )
    return header


def _parsed(text: str, path: Path) -> Header:
    try:
        header = json.loads(text)
    except json.JSONDecodeError:
        header = None
    if not isinstance(header, dict):
        raise BadInput(f"{path}: its atrous metadata is broken: write or fetch the model again")
    return header


def read_weights(path: Path) -> Weights:
    """All tensors of a safetensors file, on the CPU.

    Raises: BadInput if the file is missing or broken.
    """
    try:
        weights: Weights = load_file(path)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file: check the path") from error
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a safetensors file ({_line(error)}): give another") from error
    return weights


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file; it is there whole or not at all.

    Raises: OSError if it cannot be written; what was there stays.
    """
    _write_whole(path, [data])


def _write_whole(path: Path, chunks: Iterable[Chunk]) -> None:
    """Links are followed; what is no regular file, such as /dev/stdout, is written into."""
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            file.writelines(chunks)
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    make_folder(path.parent)
    _clear(path)
    rough = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        write_flushed(rough, chunks)
        rough.replace(path)
    finally:
        with suppress(OSError):
            rough.unlink()
    flush_folder(path.parent)


def _clear(path: Path) -> None:
    """Removes what killed writers of this file left beside it; not worth an error."""
    start, now = f".{path.name}", time.time()
    with suppress(OSError):
        for beside in path.parent.iterdir():
            is_rough = beside.name.startswith(start) and ROUGH.fullmatch(beside.name[len(start) :])
            if is_rough and now - beside.stat().st_mtime > FORGOTTEN_S:
                beside.unlink()


def write_flushed(path: Path, chunks: Iterable[Chunk]) -> Digest:
    """Writes a new file, flushed to the disk; its folder is not, nor is it removed on an error."""
    size = crc = 0
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": size, "crc32": crc}


def tensor_chunks(
    weights: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Iterator[Chunk]:
    """A safetensors file piece by piece: its header, then one tensor after another.

    The bytes are those of the library's `save`, which makes one object of all of them. Its
    `save_file` copies less, but its files are closed to all but their owner, a full disk loses its
    errno, and nobody can flush the handle that was written to.

    Raises: ValueError for a type of numbers that the format lacks.
    Source: https://github.com/huggingface/safetensors, README.md, Format.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    names, end = _in_order(weights), 0
    for name in names:
        start, end = end, end + weights[name].nbytes
        shape, dtype = list(weights[name].shape), DTYPES[weights[name].dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        plain = weights[name].detach().cpu().contiguous()
        yield plain.reshape(-1).view(torch.uint8).numpy().data


def _in_order(weights: Mapping[str, Tensor]) -> list[str]:
    order = {dtype: place for place, dtype in enumerate(DTYPES)}
    for name, tensor in weights.items():
        if tensor.dtype not in order:
            raise ValueError(f"{name} is {tensor.dtype}, which no model file holds: convert it")
    return sorted(weights, key=lambda name: (order[weights[name].dtype], name))


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, each flushed into the one that holds it.

    Raises: OSError, also where a file stands in the way.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Brings the names in a folder onto the disk, on systems that can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def half(weights: Mapping[str, Tensor]) -> Weights:
    """Weights stored in 16 bits, as packaged models are."""
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}
