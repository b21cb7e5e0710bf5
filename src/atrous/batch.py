"""Many images through one parser: which ones, and what came of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from atrous.formats import image_files, read_image
from atrous.parser import Parser
from atrous.progress import progress
from atrous.result import Result, ResultFolder
from atrous.types import BadInput


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one image: a result and the files written, or a problem in one line."""

    file: str
    result: Result | None = None
    outputs: dict[str, str] | None = None
    problem: str = ""

    @property
    def words(self) -> str:
        """What was found, in words."""
        return self.result.summary() if self.result else self.problem

    def to_json(self) -> dict[str, Any]:
        """The line that `atrous parse --json` prints."""
        if self.result is None:
            raise ValueError(self.problem)
        height, width = self.result.panoptic.shape
        return {
            "schema": 1,
            "file": self.file,
            "size_hw": [height, width],
            "segments": [asdict(segment) for segment in self.result.segments],
            "outputs": self.outputs,
        }


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The image files that are named, and those in the folders that are.

    Raises: BadInput if a path does not exist, or a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = image_files(path)
            if not inside:
                raise BadInput(f"{path}: no images in this folder: name another")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise BadInput(f"{path}: no such file: check the path")
    return list(dict.fromkeys(found))


def parse_all(
    parser: Parser,
    files: Sequence[Path],
    folder: ResultFolder,
    *,
    stretch: bool = False,
    quiet: bool = False,
) -> Generator[Answer, None, None]:
    """Parses file by file into a folder; a bad file becomes an answer with a problem.

    The folder's JSON is written when at least one image was parsed, also if the loop is left early.
    """
    done = 0
    try:
        with progress(len(files), quiet=quiet) as advance:
            for index, (file, name) in enumerate(zip(files, names(files), strict=True)):
                try:
                    result = parser(read_image(file, stretch=stretch))
                except BadInput as error:
                    yield Answer(str(file), problem=str(error))
                else:
                    result = replace(result, name=name, file=file.name)
                    outputs, done = folder.add(result), done + 1
                    yield Answer(str(file), result, outputs)
                advance(index + 1)
    finally:
        if done:
            folder.close(parser.labels)


def names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its stem, with the folder where stems are alike.

    Names that are still alike are numbered: no two files have one name.
    """
    stems = Counter(f.stem for f in files)
    taken: dict[str, None] = {}
    for f in files:
        wanted = f.stem if stems[f.stem] == 1 else f"{f.resolve().parent.name}_{f.stem}"
        numbered = (f"{wanted}_{number}" for number in count(2))
        taken[next(name for name in chain([wanted], numbered) if name not in taken)] = None
    return list(taken)
