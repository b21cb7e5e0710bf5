"""The verbs that make model files and cards: `package`, `convert` and `card`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Data, Quiet, Settings, app
from atrous.types import BadInput

PICTURE_PX = 640


@app.command()
def package(
    model: Annotated[str, typer.Argument(help="a run folder or .safetensors file")],
    out: Annotated[Path, typer.Option(help="the .safetensors file to write")],
    settings: Settings = None,
) -> int:
    """Store a model in 16 bits, with --set fusion.NAME=VALUE as its own numbers from then on."""
    from atrous.parser import find_model
    from atrous.recipes.recipe import tuned
    from atrous.training import package as store

    if out.exists():
        raise BadInput(f"{out}: is there already: choose another --out")
    store(find_model(model), out, fusion=lambda numbers: tuned(numbers, settings or ()))
    return 0


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="a public checkpoint: safetensors, npz or PyTorch")],
    out: Annotated[Path, typer.Option(help="the .safetensors file to write")],
    layout: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", help="its layout, where the keys shall not decide"),
    ] = None,
) -> int:
    """Turn a public checkpoint into a model of ours, or into one that a training can start from."""
    from atrous.convert import convert as turn
    from atrous.convert.naming import grouped

    if out.exists():
        raise BadInput(f"{out}: is there already: choose another --out")
    done = turn(file, out, layout=layout)
    what = f"{done.system}, {done.classes} classes" if done.system else "a backbone, for --init"
    print(f"{file}: {done.layout}, now {what}: {out}", file=sys.stderr)
    if done.left_out:
        told = f"left out {len(done.left_out)} of its tensors: {grouped(done.left_out)}"
        print(f"{file}: {told}", file=sys.stderr)
    return 0


@app.command()
def card(
    model: Annotated[str, typer.Argument(help="a bundled name, run folder or .safetensors file")],
    data: Data,
    run: Annotated[Path, typer.Option(help="the run folder that the model came from")],
    out: Annotated[Path, typer.Option(help="the Markdown file; pictures go beside it")],
    split: Annotated[str, typer.Option(help="what it was trained on")] = "train",
    scores: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="what atrous eval printed; may be given several times"),
    ] = None,
    photos: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--photo", help="an image to show parsed; may be given several times"),
    ] = None,
    notes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Markdown on licences and limits, to end the card with"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Write a model card: pictures, scores, classes, training, licences and limits."""
    from atrous import card as cards
    from atrous.data.catalogue import open_data, summary
    from atrous.formats import contents, write_text
    from atrous.parser import find_model, load
    from atrous.run.checkpoint import read_header
    from atrous.training import told

    path, words = find_model(model), b"" if notes is None else contents(notes)[1]
    facts, story = _facts(path, read_header(path)), told(run)
    answers = [_scores(p) for p in scores or ()]
    source = open_data(data, split)
    if not quiet:
        print(summary(data, split, source), file=sys.stderr)
    text = cards.card(
        path.stem,
        facts=facts,
        run=story,
        learnt=cards.counts(source),
        scores=answers,
        pictures=_pictures(load(model), photos or [], out),
        notes=words.decode(),
    )
    write_text(out, text)
    return 0


def _facts(path: Path, header: dict[str, Any]) -> dict[str, object]:
    from atrous.cli.describing import counted

    return {
        "system": header["network"]["system"],
        "backbone": header["network"]["backbone"],
        "parameters": f"{counted(header, 513)['parameters']:,}",
        "file": f"{path.stat().st_size / 1e6:.1f} MB",
        "input": f"longest side {header['input']['longest_side']} px",
    }


def _scores(path: Path) -> Any:
    from atrous.formats import read_json

    answer = read_json(path)
    wanted = {"panoptic", "covering", "semantic", "per_class", "data", "split", "settings"}
    if not isinstance(answer, dict) or not wanted <= set(answer):
        raise BadInput(f"{path}: not what atrous eval prints: write its stdout to a file")
    return answer


def _pictures(parser: Any, photos: list[Path], out: Path) -> dict[str, str]:
    """Parsed photos beside the card; what was found -> file name."""
    from atrous.formats import write_whole

    shown = {}
    for photo in photos:
        result = parser(photo)
        picture = result.draw()
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=88)
        name = f"{out.stem}.{photo.stem}.jpg"
        write_whole(out.with_name(name), data.getvalue())
        shown[f"{photo.stem}: {result.summary()}"] = name
    return shown
