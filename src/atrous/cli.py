"""The command line: one verb, one call. stdout is data, stderr is for people."""

from __future__ import annotations

import errno
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.exceptions import TyperException

from atrous.types import BadInput

app = typer.Typer(
    name="atrous",
    help="Parses whole images: a class for every pixel, an instance for every thing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Model = Annotated[str, typer.Option(help="a bundled name, a run folder or a .safetensors file")]
Data = Annotated[str, typer.Option(help="SPEC=PATH, such as coco-panoptic=DIR, or shapes")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no words and no bar on stderr")]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="NAME=VALUE; may be given several times"),
]
DEFAULT_MODEL = "deeperlab-light"
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def main() -> None:
    """Runs the command line; exits 0 done, 1 failed, 2 bad input, 3 stopped and resumable."""
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        sys.exit(_complain(str(error)))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            sys.exit(_complain(f"{error.filename}: this name is too long: check the path"))
        _complain(f"{error}: free some space or check the rights, then run it again")
        sys.exit(1)
    except TyperException as error:
        told = getattr(error, "format_message", None)
        message = told() if told else str(error)
        sys.exit(_complain(f"{message} (see atrous --help)") if message else 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("atrous: stopped", file=sys.stderr)
        sys.exit(3)
    sys.exit(code or 0)


def _complain(message: str) -> int:
    print("atrous: " + " ".join(message.split()), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(version_of("atrous"))
        raise typer.Exit


@app.command()
def parse(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE|DIR...", help="what to parse")],
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("parsed"),
    format: Annotated[str, typer.Option(help="coco")] = "coco",
    semantic: Annotated[bool, typer.Option("--semantic", help="write class maps too")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="write 16-bit confidence maps too")
    ] = False,
    output_stride: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="8 or 16; 8 sees finer and takes longer"),
    ] = None,
    settings: Settings = None,
    stretch: Annotated[
        bool, typer.Option("--stretch", help="scale 16-bit and TIFF images by their own range")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON line an image")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse images; write overlays, segment ids and COCO panoptic JSON."""
    from atrous.batch import find_images, parse_all
    from atrous.result import ResultFolder

    inputs = find_images(images)
    folder = ResultFolder(out, format=format, semantic=semantic, confidence=confidence)
    parser = _parser(model, device, output_stride, settings)
    bad = 0
    with closing(parse_all(parser, inputs, folder, stretch=stretch, quiet=quiet)) as answers:
        for answer in answers:
            if answer.problem:
                bad += 1
                _complain(answer.problem)
            elif as_json:
                print(json.dumps(answer.to_json()), flush=True)
            elif not quiet:
                print(f"{answer.file}: {answer.words}", file=sys.stderr)
    if bad == len(inputs) == 1:
        return 2
    if not quiet:
        print(f"{len(inputs) - bad} of {len(inputs)} parsed, see {out}", file=sys.stderr)
    return 1 if bad else 0


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="such as deeperlab-light")],
    data: Data,
    out: Annotated[Path, typer.Option(help="folder of the run")],
    settings: Settings = None,
    init: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="a model or public checkpoint to start from"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last state")] = False,
    split: Annotated[str, typer.Option(help="what to train on")] = "train",
    val_split: Annotated[str, typer.Option(help="what train.eval_every scores")] = "val",
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="same as --set seed=N"),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes that read images")] = 1,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Train a recipe on a data set; leaves a run folder that can be resumed."""
    from atrous.data.catalogue import open_data
    from atrous.parser import bundled, find_model, pick_device
    from atrous.recipes import find
    from atrous.recipes.recipe import override
    from atrous.training import train as run

    wanted = (*(settings or ()), *(() if seed is None else (f"seed={seed}",)))
    chosen = override(find(recipe), wanted)
    outcome = run(
        chosen,
        data=open_data(data, split),
        out=out,
        val=open_data(data, val_split) if chosen.train.eval_every else None,
        init=find_model(init) if init in bundled() or (init and Path(init).is_dir()) else init,
        resume=resume,
        device=pick_device(device).type,
        workers=workers,
        quiet=quiet,
    )
    if outcome.is_stopped:
        print(f"stopped after step {outcome.step}; go on with:", file=sys.stderr)
        print(f"  {_resume_command()}", file=sys.stderr)
        return 3
    if not quiet:
        print(f"trained {outcome.step} steps: {out / 'last.safetensors'}", file=sys.stderr)
    return 0


@app.command("eval")
def evaluate(
    data: Data,
    model: Model = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="what to score")] = "val",
    output_stride: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="8 or 16"),
    ] = None,
    settings: Settings = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse and score a data set: JSON on stdout, a table on stderr.

    With --set fusion.instances=0 things are scored without instances, one segment a class.
    """
    from atrous.batch import progress
    from atrous.data.catalogue import open_data
    from atrous.run.evaluate import evaluate as score

    source = open_data(data, split)
    if len(source) == 0:
        raise BadInput(f"--data {data}: no images in split {split}: name another --split")
    parser = _parser(model, device, output_stride, settings)
    ours = [(x.name, x.is_thing) for x in parser.labels.labels]
    if ours != [(x.name, x.is_thing) for x in source.labels.labels]:
        raise BadInput(
            f"--data {data}: its {len(source.labels)} classes are not the model's {len(ours)}: "
            "score a model on data with the classes that it was trained on"
        )
    with progress(len(source), quiet=quiet) as advance:
        scores = score(
            lambda image: parser(image).parse,
            source,
            labels=source.labels,
            progress=advance,
        )
    answer = scores.to_json()
    if not quiet:
        _table(answer)
    print(json.dumps(answer))
    return 0


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="a bundled name, run folder or .safetensors file")],
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> int:
    """Say what a model is: network, classes, input, fusion, and the recipe it came from."""
    from atrous.parser import find_model
    from atrous.run.checkpoint import read_header, read_weights

    path = find_model(model)
    header = read_header(path)
    kept = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(v.numel() for k, v in read_weights(path).items() if not k.endswith(kept))
    answer = {"schema": 1, "file": str(path), "parameters": count, **header}
    if as_json:
        print(json.dumps(answer))
        return 0
    names = [row["name"] + ("" if row["thing"] else " (stuff)") for row in header["labels"]]
    print(f"{path}\nparameters  {count:,}\nclasses     {len(names)}: {', '.join(names)}")
    for part in ("network", "input", "fusion", "recipe"):
        print(f"{part:<12}{json.dumps(header[part])}")
    return 0


def _parser(model: str, device: str, output_stride: int | None, settings: list[str] | None) -> Any:
    from dataclasses import replace

    from atrous.parser import load
    from atrous.recipes import find
    from atrous.recipes.recipe import override

    parser = load(model, device=device)
    if output_stride not in (None, 8, 16):
        raise BadInput(f"--output-stride {output_stride}: it can be 8 or 16")
    odd = [s for s in settings or () if not s.startswith("fusion.")]
    if odd:
        raise BadInput(f"--set {odd[0]}: a trained model takes settings of fusion alone")
    changed = override(replace(find("deeperlab-light"), fusion=parser.fusion), settings or ())
    return parser.replace(output_stride=output_stride, fusion=changed.fusion)


def _resume_command() -> str:
    import shlex

    words = ["atrous", *sys.argv[1:]]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])


def _table(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{answer['images']} images, percent")
    for name in ("class", "PQ", "SQ", "RQ", "PC", "IoU", "TP", "FP", "FN"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in answer["per_class"]:
        shares = [_percent(row[k]) for k in ("pq", "sq", "rq", "covering", "iou")]
        table.add_row(row["name"], *shares, *(str(row[k]) for k in ("tp", "fp", "fn")))
    covering, miou = answer["covering"]["normalised"], answer["semantic"]["miou"]
    for part, quality in answer["panoptic"].items():
        shares = [_percent(quality[k]) for k in ("pq", "sq", "rq")]
        rest = [_percent(covering), _percent(miou)] if part == "all" else ["", ""]
        table.add_row(part, *shares, *rest, style="bold")
    Console(stderr=True).print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
