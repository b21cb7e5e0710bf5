"""The verb `bench`."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import DEFAULT_MODEL, Device, Model, Quiet, Settings, app
from atrous.cli.seeing import Compile, OutputStride, Precision, make_parser
from atrous.types import BadInput

SIZES = {
    "deeperlab": "721x721,1441x1441,1025x2049",
    "deeplabv3": "513x513,1025x2049",
    "pspnet": "473x473,713x713",
    "fcrn": "500x500,1024x2048",
}
"""The sizes of the papers' inputs."""


@app.command()
def bench(
    model: Model = DEFAULT_MODEL,
    recipe: Annotated[str, typer.Option(help="time this recipe with random weights")] = "",
    classes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="of such a recipe", show_default="65"),
    ] = None,
    size: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="HxW,...",
            help="of the network's input; may be given several times",
            show_default="the paper's",
        ),
    ] = None,
    image: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="time this photo", show_default="a drawn scene"),
    ] = None,
    instances: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="things in the drawn scene", show_default="50"),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="of which the median counts")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="images at a time")] = 1,
    threads: Annotated[
        int, typer.Option(min=0, max=1024, help="of the network; 0 = all cores")
    ] = 0,
    output_stride: OutputStride = None,
    settings: Settings = None,
    precision: Precision = "auto",
    compile: Compile = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON line a size")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Time each stage of parsing, beside what the paper reports; a table on stderr."""
    import torch

    from atrous.bench import bench as time_stages
    from atrous.cli.tables import time_table
    from atrous.formats import read_image

    _refuse_idle(recipe, model, classes, image, instances)
    if threads:
        torch.set_num_threads(threads)
    options: dict[str, Any] = {"precision": precision, "compile": compile}
    if recipe:
        parser = _untrained(recipe, 65 if classes is None else classes, device, settings, options)
        parser = _strided(parser, output_stride)
    else:
        parser = make_parser(model, device, output_stride, settings, **options)
    photo = None if image is None else read_image(image)
    machine = _machine(parser) | options
    for size_hw in _sizes(size or [SIZES[_system(parser)]]):
        name = recipe or Path(model).name
        numbers: dict[str, Any] = {"runs": runs, "batch": batch}
        numbers["instances"] = 50 if instances is None else instances
        timing = time_stages(parser, size_hw, model=name, image=photo, **numbers)
        if as_json:
            print(json.dumps({"schema": 1, **timing.to_json(), **machine}), flush=True)
        if not quiet:
            time_table(timing, machine)
    return 0


def _machine(parser: Any) -> dict[str, Any]:
    """Where the network runs."""
    import torch

    threads = torch.get_num_threads()
    return {"machine": _processor(), "device": str(parser.device), "threads": threads}


def _refuse_idle(
    recipe: str, model: str, classes: int | None, image: Path | None, instances: int | None
) -> None:
    """Raises BadInput for an option that nothing would come of beside the others."""
    if recipe and model != DEFAULT_MODEL:
        raise BadInput(f"--recipe {recipe} --model {model}: time one at a time: leave one out")
    if classes is not None and not recipe:
        raise BadInput(f"--classes {classes}: a model has its own: leave it out, or give --recipe")
    if image is not None and instances is not None:
        raise BadInput(f"--instances {instances}: {image} has its own: leave one out")


def _untrained(
    name: str, classes: int, device: str, settings: list[str] | None, options: dict[str, Any]
) -> Any:
    from atrous.bench import untrained
    from atrous.parser import Way, pick_device
    from atrous.recipes import find
    from atrous.recipes.recipe import override
    from atrous.run.speed import Speed

    recipe, speed = override(find(name), settings or ()), Speed(**options)
    return untrained(recipe, Way(speed=speed), classes=classes, device=pick_device(device))


def _strided(parser: Any, output_stride: int | None) -> Any:
    try:
        return parser.replace(output_stride=output_stride)
    except ValueError as error:
        raise BadInput(f"--output-stride {output_stride}: {error}") from error


def _system(parser: Any) -> str:
    return str(parser.header["network"]["system"])


def _sizes(texts: list[str]) -> list[tuple[int, int]]:
    """Heights and widths; a single number is a square."""
    sizes = []
    for part in ",".join(texts).split(","):
        sides = part.strip().lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
            raise BadInput(f"--size {part}: write HEIGHTxWIDTH, such as 1025x2049, or one side")
        sizes.append((int(sides[0]), int(sides[-1])))
    return sizes


def _processor() -> str:
    """What the processor calls itself, where the system says."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
