from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from atrous.batch import Answer, How, Input, parse_all, showing
from atrous.formats import read_ids
from atrous.types import Failed, Image
from atrous.video import Film, Video
from fakes import GREY, Camera, GreyParser, photos, shelf_in, square
from small_disks import fill, mounted


@pytest.fixture
def clip(tmp_path: Path) -> Input:
    """Eight frames in which a square moves to the right."""
    path = tmp_path / "clip.mp4"
    film = Film(path, fps=12.5)
    for number in range(8):
        film.add(square(32, at=2 + number))
    film.close()
    return Input(path, is_video=True)


def parse(
    inputs: list[Input],
    out: Path | None = None,
    *,
    film: Path | None = None,
    frames: int = 0,
    batch: int = 3,
) -> tuple[GreyParser, list[Answer]]:
    parser, shelf = GreyParser(), shelf_in(out) if out else None
    how = How(batch=batch, workers=2, frames=frames)
    return parser, list(parse_all(parser, inputs, shelf=shelf, film=film, how=how))


def test_the_frames_of_a_video_are_numbered_files_and_things_keep_their_ids(
    tmp_path: Path, clip: Input
) -> None:
    out = tmp_path / "out"
    _, answers = parse([clip], out)
    assert [a.to_json()["frame"] for a in answers] == list(range(1, 9))
    names = [f"clip_{number:06}.png" for number in range(1, 9)]
    told = json.loads((out / "panoptic.json").read_text())
    assert [row["file_name"] for row in told["annotations"]] == names
    for at, name in enumerate(names, start=2):
        ids = read_ids(out / "panoptic" / name)
        assert (ids[6, at + 3], ids[20, 20]) == (len(GREY) + 1, 1)


def test_a_film_has_the_size_and_speed_of_its_video_and_something_painted_on_it(
    tmp_path: Path, clip: Input
) -> None:
    parser, answers = parse([clip], film=tmp_path / "film.mp4")
    assert len(answers) == parser.count == 8
    with Video(clip.path) as before, Video(tmp_path / "film.mp4") as after:
        assert after.fps == before.fps
        pairs = list(zip(before, after, strict=True))
    assert all(old.shape == new.shape for old, new in pairs)
    assert np.abs(pairs[0][0].astype(int) - pairs[0][1]).mean() > 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "film.mp4"]


def test_a_folder_and_a_film_are_made_together(tmp_path: Path, clip: Input) -> None:
    parser, _ = parse([clip], tmp_path / "out", film=tmp_path / "film.mp4")
    assert parser.count == 8
    assert (tmp_path / "film.mp4").is_file()
    assert len(list((tmp_path / "out" / "panoptic").iterdir())) == 8


def test_a_video_that_is_done_is_skipped_and_one_that_is_not_begins_anew(
    tmp_path: Path, clip: Input
) -> None:
    out = tmp_path / "out"
    parse([clip], out, frames=3)
    assert parse([clip], out, frames=3)[0].count == 0
    assert parse([clip], out)[0].count == 8
    parser, answers = parse([clip], out)
    assert (parser.count, [a.is_old for a in answers]) == (0, [True] * 8)
    journal = out / "panoptic.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # as if killed before its end
    assert parse([clip], out)[0].count == 8


def listed(out: Path) -> list[str]:
    return [row["file_name"] for row in json.loads((out / "panoptic.json").read_text())["images"]]


def test_the_json_has_no_frames_behind_the_end_of_the_last_pass(
    tmp_path: Path, clip: Input
) -> None:
    out = tmp_path / "out"
    parse([clip], out)
    parse([clip], out, frames=3)
    assert listed(out) == [f"clip_{number:06}.png" for number in (1, 2, 3)]
    assert parse([clip], out, frames=3)[0].count == 0
    parse([clip], out)
    assert len(listed(out)) == 8


def test_a_longer_pass_that_is_stopped_keeps_the_frames_that_it_has(
    tmp_path: Path, clip: Input
) -> None:
    out = tmp_path / "out"
    parse([clip], out, frames=2)
    how = How(batch=1, workers=1)
    answers = parse_all(GreyParser(), [clip], shelf=shelf_in(out), how=how)
    for _ in range(5):
        next(answers)
    answers.close()
    assert len(listed(out)) >= 5
    assert parse([clip], out, frames=2)[0].count == 2


def test_images_and_videos_go_into_one_folder_and_broken_ones_are_stepped_over(
    tmp_path: Path, clip: Input
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    bad = Input(tmp_path / "bad.mp4", is_video=True)
    _, answers = parse([*photos(tmp_path, 2), bad, clip], tmp_path / "out")
    assert ["bad.mp4" in a.problem for a in answers] == [False, False, True] + [False] * 8
    told = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert len(told["images"]) == 10


def test_a_camera_that_stops_is_told_of_behind_the_frames_that_it_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera(5)
    monkeypatch.setattr(cv2, "VideoCapture", camera)
    _, answers = parse([Input(0, is_video=True)], tmp_path / "out")
    assert [bool(a.record) for a in answers] == [True] * 5 + [False]
    assert "camera:0: stopped after 5 frames" in answers[-1].problem
    assert camera.is_released
    names = sorted(path.name for path in (tmp_path / "out" / "panoptic").iterdir())
    assert names[0] == "camera0_000001.png"
    assert len(names) == 5


def test_a_camera_shows_as_many_frames_as_are_asked_for_and_each_time_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for times in (1, 2):
        monkeypatch.setattr(cv2, "VideoCapture", Camera(100))
        _, answers = parse([Input(0, is_video=True)], tmp_path / "out", frames=3)
        assert [a.problem for a in answers] == [""] * 3
        told = json.loads((tmp_path / "out" / "panoptic.json").read_text())
        assert len(told["images"]) == 3 * times


def test_a_key_ends_a_camera_without_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera(100))
    pressed = iter([False, False, True])
    how = How(stop=lambda: next(pressed))
    answers = parse_all(GreyParser(), [Input(0, is_video=True)], how=how)
    assert [a.problem for a in answers] == [""] * 2


def test_a_film_of_a_camera_runs_as_fast_as_the_time_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, clock = Camera(4), iter([100.0, 100.1, 101.0, 101.1, 101.2])
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", camera)
        video = Video(0)
    monkeypatch.setattr("atrous.batch.showing.time.monotonic", lambda: next(clock))
    screen = showing.Screen(tmp_path / "x.mp4", How().style)
    screen.begin(video)  # ten frames a second
    for frame in video:
        screen.show(frame)
    screen.close()
    with Video(tmp_path / "x.mp4") as film:
        assert len(list(film)) == 12


def test_a_stopped_film_is_whole_and_has_the_frames_that_were_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera(6, error=KeyboardInterrupt)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", camera)
        answers = parse_all(
            GreyParser(), [Input(0, is_video=True)], film=tmp_path / "x.mp4", shelf=None
        )
        got = [next(answers)]
        patch.undo()
        with pytest.raises(KeyboardInterrupt):
            got.extend(answers)
    assert got[0].record
    with Video(tmp_path / "x.mp4") as film:
        assert len(list(film)) >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_a_film_that_a_full_disk_ends_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)

    def noise(self: object, result: object) -> Image:
        return random.integers(0, 255, (128, 128, 3), np.uint8)

    monkeypatch.setattr(showing.Screen, "drawn", noise)
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", size=2**22, files=100) as disk:
        fill(disk, free=2**19)
        with monkeypatch.context() as patch:
            patch.setattr(cv2, "VideoCapture", Camera(60))
            answers = parse_all(GreyParser(), [Input(0, is_video=True)], film=disk / "x.mp4")
            got = [next(answers)]
            patch.undo()
            with pytest.raises(Failed, match="no room"):
                got.extend(answers)
        with Video(disk / "x.mp4") as film:
            assert 0 < len(list(film)) < 60
        assert sorted(path.name for path in disk.iterdir()) == ["other", "x.mp4"]
