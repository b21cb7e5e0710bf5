from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from atrous.types import BadInput, Failed, Image
from atrous.video import CODECS, Film, Video
from fakes import Camera, square
from small_disks import fill, mounted


def film(path: Path, count: int = 5, size: int = 32, fps: float = 12.5) -> Path:
    written = Film(path, fps=fps)
    for number in range(count):
        written.add(square(size, at=2 * number))
    written.close()
    return path


def frames(path: Path) -> list[Image]:
    with Video(path) as video:
        return list(video)


@pytest.mark.parametrize("ending", CODECS)
def test_a_film_is_read_back_with_its_frames_speed_and_size(tmp_path: Path, ending: str) -> None:
    path = film(tmp_path / f"x{ending}")
    with Video(path) as video:
        assert video.fps == pytest.approx(12.5)
        assert video.told == 5
        seen = list(video)
        assert (video.frames, video.missing) == (5, "")
    assert [frame.shape for frame in seen] == [(32, 32, 3)] * 5
    for number, frame in enumerate(seen):
        assert np.abs(frame.astype(int) - square(32, at=2 * number)).mean() < 10


def test_colours_keep_their_order(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    written = Film(tmp_path / "x.mp4", fps=5)
    written.add(red)
    written.close()
    assert np.abs(frames(tmp_path / "x.mp4")[0].mean((0, 1)) - (200, 0, 0)).max() < 12


def test_odd_sides_lose_nothing(tmp_path: Path) -> None:
    written = Film(tmp_path / "x.avi", fps=5)
    written.add(np.full((31, 33, 3), 100, np.uint8))
    written.close()
    (frame,) = frames(tmp_path / "x.avi")
    assert frame.shape == (32, 34, 3)
    assert np.abs(frame.astype(int) - 100).max() < 8


def test_nothing_is_under_the_name_until_the_film_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.mp4"
    written = Film(path, fps=5)
    written.add(square())
    assert not path.exists()
    written.close()
    written.close()
    assert [p.name for p in path.parent.iterdir()] == ["x.mp4"]


def test_a_film_without_frames_leaves_nothing(tmp_path: Path) -> None:
    Film(tmp_path / "x.mp4", fps=5).close()
    assert not list(tmp_path.iterdir())


def test_a_film_that_is_not_whole_is_not_given_its_name(tmp_path: Path) -> None:
    old = film(tmp_path / "x.mp4").read_bytes()
    written = Film(tmp_path / "x.mp4", fps=5)
    written.add(square())
    (beside,) = (path for path in tmp_path.iterdir() if path.name != "x.mp4")
    beside.unlink()
    beside.mkdir()  # what is written goes elsewhere, and cannot be read here
    with pytest.raises(Failed, match=r"x\.mp4"):
        written.close()
    beside.rmdir()
    assert (tmp_path / "x.mp4").read_bytes() == old


def test_a_film_on_a_full_disk_keeps_the_frames_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    random = np.random.default_rng(0)
    with mounted(tmp_path / "disk", size=2**22, files=100) as disk:
        fill(disk, free=2**20)
        written = Film(disk / "x.mp4", fps=5)
        noise = (random.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(1000))
        with pytest.raises(Failed, match=r"x\.mp4: no room.*first \d+ frames"):
            list(map(written.add, noise))
        written.close()
        assert len(frames(disk / "x.mp4")) == written.frames > 3
        assert sorted(path.name for path in disk.iterdir()) == ["other", "x.mp4"]


def test_a_film_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.mp4"):
        Film(tmp_path / "x.gif", fps=5)


@pytest.mark.parametrize("data", [None, b"", b"no video\n" * 99, "cut"])
def test_what_is_no_video_is_refused_in_one_line(
    tmp_path: Path, data: bytes | str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.mp4"
    if data == "cut":
        data = film(path).read_bytes()[:-900]
    if isinstance(data, bytes):
        path.write_bytes(data)
    with pytest.raises(BadInput, match=r"x\.mp4: ") as told:
        Video(path)
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_a_camera_that_shows_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(0)
    monkeypatch.setattr(cv2, "VideoCapture", camera)
    with pytest.raises(BadInput, match="camera:7: no picture"):
        Video(7)
    assert camera.is_released


@pytest.mark.parametrize("error", [None, cv2.error])
def test_a_camera_that_stops_is_told_of(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera(3, error=error))
    with Video(7) as video:
        assert len(list(video)) == 3
        assert "stopped after 3 frames" in video.missing


def test_a_file_that_ends_before_it_says_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(Camera):
        def get(self, what: int) -> float:
            return 100.0 if what == cv2.CAP_PROP_FRAME_COUNT else super().get(what)

    (tmp_path / "x.mp4").write_bytes(b"x")
    monkeypatch.setattr(cv2, "VideoCapture", Short(60))
    with Video(tmp_path / "x.mp4") as video:
        assert len(list(video)) == 60
        assert "60 of 100" in video.missing
