"""The program around the verbs: its name, its exits, and the options that verbs share."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.exceptions import TyperException

from atrous.types import BadInput, Failed

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
    warnings.showwarning = _tell(warnings.showwarning)
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        is_heard = os.environ.get("LOCAL_RANK", "0") == "0"  # all processes of a run say the same
        sys.exit(complain(str(error)) if is_heard else 2)
    except Failed as error:
        if str(error):
            complain(str(error))
        sys.exit(1)
    except (FileExistsError, NotADirectoryError) as error:
        sys.exit(complain(f"{error.filename}: is a file, not a folder: choose another --out"))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            sys.exit(complain(f"{error.filename}: this name is too long: check the path"))
        complain(f"{error}: free some space or check the rights, then run it again")
        sys.exit(1)
    except TyperException as error:
        told = getattr(error, "format_message", None)
        message = told() if told else str(error)
        sys.exit(complain(f"{message} (see atrous --help)") if message else 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("atrous: stopped", file=sys.stderr)
        sys.exit(3)
    sys.exit(code or 0)


def _tell(others: Callable[..., None]) -> Callable[..., None]:
    """What shows a warning: ours in one line, those of libraries as they were."""

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        if category is UserWarning and Path(__file__).parents[1] in Path(filename).parents:
            complain(str(message))
        else:
            others(message, category, filename, *rest)

    return show


def is_first() -> bool:
    """Whether this process is the one of a run's that talks; alone, it is."""
    return os.environ.get("RANK", "0") == "0"


def complain(message: str) -> int:
    """Says what is wrong in one line on stderr; returns the exit code 2."""
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
