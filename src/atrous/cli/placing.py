"""Where results go, a folder, a film, or both, and the options that say so."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.types import BadInput

FOLDER = Path("parsed")
Out = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option(
        help="folder for the results, or a video file for those of a video; may be given "
        "twice for both",
        show_default=str(FOLDER),
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="start the folder's list anew, skip nothing")
]
Format = Annotated[
    str, typer.Option(help="of label files: coco, cityscapes, voc, ade20k or mapillary")
]
Semantic = Annotated[bool, typer.Option("--semantic", help="write class maps too")]
Confidence = Annotated[bool, typer.Option("--confidence", help="write 16-bit confidence maps too")]


@dataclass(frozen=True, slots=True)
class Places:
    """A folder, a film, or both."""

    folder: Path | None
    film: Path | None

    @classmethod
    def of(cls, out: Sequence[Path], inputs: Sequence[Any]) -> Places:
        """What `--out` names, once or twice, for these inputs.

        Raises: BadInput if that cannot be.
        """
        from atrous.video import CODECS, VIDEO_SUFFIXES

        films = [p for p in out if p.suffix.lower() in VIDEO_SUFFIXES and not p.is_dir()]
        folders = [p for p in out if p not in films]
        if len(films) > 1 or len(folders) > 1:
            raise BadInput("--out: give one folder, one video file, or one of each")
        for film in films:
            if film.suffix.lower() not in CODECS:
                raise BadInput(f"--out {film}: films end in {', '.join(CODECS)}: choose one")
            if len(inputs) != 1 or not inputs[0].is_video:
                what = "a film is made of one video or camera"
                raise BadInput(f"--out {film}: {what}: name one, or a folder for the results")
            if film.exists() and not inputs[0].is_live and film.samefile(inputs[0].place):
                raise BadInput(f"--out {film}: that is the video itself: choose another name")
        for folder in folders:
            _require_folder(folder)
        return cls(folders[0] if folders else None, films[0] if films else None)

    def require_sheet(self, overlay: str, inputs: Sequence[Any]) -> None:
        """Raises BadInput if there can be no contact sheet, or if it would be an input itself."""
        if self.folder is None:
            raise BadInput(
                f"--contact-sheet: it lies in a folder of results, and {self.film} is a film: "
                "give such a folder too, with a second --out"
            )
        if overlay == "none":
            raise BadInput("--contact-sheet: it is made of overlays: leave out --overlay none")
        if os.path.realpath(self.folder) in {os.path.realpath(each.path.parent) for each in inputs}:
            what = f"it would lie among the photos in {self.folder}"
            raise BadInput(f"--contact-sheet: {what}: choose another --out")

    def __str__(self) -> str:
        return " and ".join(str(place) for place in (self.folder, self.film) if place)


def _require_folder(folder: Path) -> None:
    """Raises BadInput if a file is where the folder, or one that it lies in, should be."""
    for place in (folder, *folder.parents):
        if os.path.isfile(place):  # which is quiet about folders that nobody may look into
            raise BadInput(f"--out {folder}: {place} is a file, not a folder: choose another name")


def make_shelf(
    folder: Path,
    model: str,
    *,
    seen: Mapping[str, Any],
    look: Mapping[str, Any],
    maps: Mapping[str, bool],
    has_sheet: bool,
    overwrite: bool,
) -> Any:
    """The folder of results, with what it knows.

    seen  options of how a picture is seen, by their names
    look  format, overlay, picture and style, as `ResultFolder` takes them
    maps  kinds of maps that may be written too, and whether they are wanted

    Raises: BadInput for a model or an option that there is not, or a folder of other results.
    """
    from atrous.batch import Journal, Share, Shelf
    from atrous.result import ResultFolder

    options: dict[str, Any] = {**look, **maps}
    results, share = ResultFolder(folder, **options), Share.told()
    made = _made(model, {**seen, **look})
    journal = Journal(folder, made, rank=share.journal_rank, size=share.size, overwrite=overwrite)
    kinds = [kind for kind, wanted in maps.items() if wanted]
    return Shelf(results, journal, kinds=kinds, has_sheet=has_sheet)


def _made(model: str, settings: dict[str, Any]) -> Any:
    """By what results are made: the model's file, and options by the names that users know."""
    from dataclasses import asdict
    from hashlib import file_digest

    from atrous.batch import Made
    from atrous.parser import find_model
    from atrous.run.checkpoint import read_header

    path = find_model(model)
    read_header(path)  # says what is wrong with it
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    style = asdict(settings.pop("style"))
    plain = {f"no-{part}": not style.pop(part) for part in ("contours", "labels", "legend")}
    named = {f"--{k.replace('_', '-')}": v for k, v in (settings | style | plain).items()}
    return Made(Path(model).name, digest, named)
