from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atrous.cli.seeing import make_parser
from atrous.data.shapes import Shapes
from atrous.recipes import find
from atrous.recipes.recipe import override
from atrous.run.checkpoint import read_header, read_weights, write_model
from atrous.run.predict import Views
from atrous.types import BadInput


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that sees in windows and mirrored by itself."""
    settings = ("network.decoder_width=8", "network.aspp_width=16", "network.instance_width=8")
    recipe = override(find("deeperlab-light"), (*settings, "views.window=65", "views.flip=true"))
    labels = Shapes("val").labels
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("windowed") / "model.safetensors"
    write_model(path, recipe.build(labels).state_dict(), recipe.header(labels))
    return path


@pytest.mark.parametrize(
    ("options", "views"),
    [
        ({}, Views(window=65, flip=True)),
        ({"window": 0}, Views(flip=True)),
        ({"flip": False}, Views(window=65)),
        ({"tile": 257}, Views(tile=257, flip=True)),
        ({"scales": "1,1.5"}, Views((1.0, 1.5), window=65, flip=True)),
    ],
)
def test_options_change_what_a_model_does_by_itself(
    windowed: Path, options: dict[str, object], views: Views
) -> None:
    parser = make_parser(str(windowed), "cpu", None, None, **options)  # type: ignore[arg-type]
    assert parser.way.views == views


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"scales": ","}, "no list of numbers"),
        ({"window": 66}, "--window 66: window is 66: give n"),
        ({"window": 65, "tile": 257}, "choose one"),
        ({"reject_below": 2.0}, "probability"),
    ],
)
def test_options_that_make_no_sense_are_told_with_their_names(
    windowed: Path, options: dict[str, object], mend: str
) -> None:
    with pytest.raises(BadInput, match=mend):
        make_parser(str(windowed), "cpu", None, None, **options)  # type: ignore[arg-type]


def test_a_window_is_checked_against_the_new_output_stride(windowed: Path, tmp_path: Path) -> None:
    header, weights = read_header(windowed), read_weights(windowed)
    del header["format"]
    header["network"]["output_stride"], header["input"]["multiple"] = 8, 8
    header["views"]["window"] = 73
    write_model(tmp_path / "fine.safetensors", weights, header)
    fine = str(tmp_path / "fine.safetensors")
    assert make_parser(fine, "cpu", 16, None, window=97).way.views.window == 97
    with pytest.raises(BadInput, match="--output-stride 16: window is 73"):
        make_parser(fine, "cpu", 16, None)
