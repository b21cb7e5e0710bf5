"""Things of a video have one colour in all overlays of its frames, as they have one id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from atrous.batch import How, Input, Journal, Made, Shelf, parse_all
from atrous.draw import Style
from atrous.formats import read_image
from atrous.result import ResultFolder
from atrous.types import Image
from atrous.video import Film, Video
from fakes import GreyParser

PLAIN = Style(alpha=1, contours=False, labels=False, legend=False)
WIDTHS = (16, 10), (13, 13), (10, 16)
"""Of two things in three frames: the larger becomes the smaller."""


def two_things(left: int, right: int) -> Image:
    image = np.zeros((32, 64, 3), np.uint8)
    image[8:24, 8 : 8 + left] = 255
    image[8:24, 56 - right : 56] = 255
    return image


@pytest.fixture
def clip(tmp_path: Path) -> Input:
    film = Film(tmp_path / "clip.mp4", fps=5)
    for left, right in WIDTHS:
        film.add(two_things(left, right))
    film.close()
    return Input(tmp_path / "clip.mp4", is_video=True)


def colours_of(picture: Image) -> NDArray[np.float64]:
    """(2, 3) of the two things."""
    insides = picture[12:20, 10:16], picture[12:20, 48:54]
    return np.array([inside.mean(axis=(0, 1)) for inside in insides])


def test_frames_in_a_folder_and_the_film_show_a_thing_in_one_colour(
    tmp_path: Path, clip: Input
) -> None:
    out, film = tmp_path / "out", tmp_path / "film.mp4"
    shelf = Shelf(ResultFolder(out, style=PLAIN), Journal(out, Made("", "", {})))
    list(parse_all(GreyParser(), [clip], shelf=shelf, film=film, how=How(style=PLAIN)))
    frames = [colours_of(read_image(path)) for path in sorted((out / "overlay").iterdir())]
    with Video(film) as made:
        frames += [colours_of(picture) for picture in made]
    assert len(frames) == 2 * len(WIDTHS)
    left, right = frames[0]
    assert np.abs(left - right).max() > 30
    assert max(np.abs(frame - frames[0]).max() for frame in frames) < 10
