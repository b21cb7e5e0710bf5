"""The verb `info`: what a model or a recipe is, down to its blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from atrous.cli.app import app
from atrous.types import BadInput

CLASSES = 21


@app.command()
def info(
    model: Annotated[
        str, typer.Argument(help="a bundled name, run folder, .safetensors file, or a recipe")
    ],
    size: Annotated[int, typer.Option(help="side of the image that the work is counted for")] = 513,
    layers: Annotated[bool, typer.Option("--layers", help="list the network's blocks")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> int:
    """Say what a model is: network, classes, input, fusion, recipe, and with --layers its blocks.

    Of a recipe, which has no classes yet, the network is counted with 21.
    """
    if size < 1:
        raise BadInput(f"--size {size}: give a side in pixels, such as 513")
    file, header = _header(model)
    answer = {"schema": 1, "file": file, **counted(header, size), **header}
    if as_json:
        print(json.dumps(answer))
        return 0
    _print_facts(model, answer)
    if layers:
        _print_blocks(answer["blocks"])
    return 0


def _header(model: str) -> tuple[str | None, dict[str, Any]]:
    """The file and metadata of a model, or those that a recipe's model would have."""
    from atrous.labels import unnamed
    from atrous.parser import bundled, find_model
    from atrous.recipes import find
    from atrous.run.checkpoint import read_header

    is_file = "/" in model or Path(model).exists() or model.endswith(".safetensors")
    if not is_file and model not in bundled():
        return None, find(model).header(unnamed(CLASSES))
    path = find_model(model)
    return str(path), read_header(path)


def counted(header: dict[str, Any], size: int) -> dict[str, Any]:
    """Blocks, and the sums over them."""
    import torch

    from atrous.nn.anatomy import anatomy, receptive_field
    from atrous.recipes.described import system_of

    with torch.device("meta"):
        system, _ = system_of(header)
        blocks = anatomy(system, (size, size))
    parts = [m for n, m in system.named_modules() if n.rpartition(".")[2] == "backbone"]
    return {
        "size": size,
        "parameters": sum(p.numel() for p in system.parameters()),
        "multiply_adds": sum(block.multiply_adds for block in blocks if not block.is_auxiliary),
        "receptive_field_px": max(map(receptive_field, parts)),
        "blocks": [asdict(block) for block in blocks],
    }


def _print_facts(model: str, answer: dict[str, Any]) -> None:
    names = [row["name"] + ("" if row["thing"] else " (stuff)") for row in answer["labels"]]
    side = answer["size"]
    print(f"{answer['file'] or f'recipe {model}'}")
    print(f"parameters  {answer['parameters']:,}")
    print(f"work        {answer['multiply_adds'] / 1e9:.2f} G multiply-adds at {side} x {side}")
    print(f"backbone    sees {answer['receptive_field_px']} pixels a side")
    print(f"classes     {len(names)}: {', '.join(names)}")
    stages = _stages(answer["recipe"])
    for part, facts in (*((p, answer[p]) for p in ("network", "input", "fusion")), *stages):
        print(f"{part:<12}{json.dumps(facts)}")


def _stages(recipe: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stages of a recipe's record, each on its own."""
    yield "recipe", {name: value for name, value in recipe.items() if name != "then"}
    if "then" in recipe:
        yield from (("then", stage) for _, stage in _stages(recipe["then"]))


def _print_blocks(blocks: list[dict[str, Any]]) -> None:
    head = ("block", "convs", "stride", "rates", "channels", "parameters", "multiply-adds")
    rows = [
        (
            block["name"] + " (training)" * block["is_auxiliary"],
            str(block["convolutions"]),
            str(block["stride"] or "image"),
            ",".join(map(str, block["rates"])) or "-",
            str(block["channels"]),
            f"{block['parameters']:,}",
            f"{block['multiply_adds'] / 1e6:,.1f} M",
        )
        for block in blocks
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)))
