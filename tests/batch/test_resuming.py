from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from atrous.batch import Answer, How, Input, parse_all
from atrous.batch.answers import Record
from atrous.formats import panoptic_json, read_ids, write_image, write_json
from atrous.types import BadInput, Failed, Image
from fakes import GREY, GreyParser, photos, shelf_in, square
from small_disks import fill, mounted

TESTS = Path(__file__).parents[1]


def parse(inputs: list[Input], out: Path, **settings: object) -> tuple[GreyParser, list[Answer]]:
    parser, shelf = GreyParser(), shelf_in(out, **settings)  # type: ignore[arg-type]
    return parser, list(parse_all(parser, inputs, shelf=shelf, how=How(batch=2, workers=2)))


def listed(out: Path) -> list[str]:
    return [row["file_name"] for row in json.loads((out / "panoptic.json").read_text())["images"]]


def test_what_is_done_is_answered_again_and_not_parsed(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 5), tmp_path / "out"
    first, before = parse(inputs, out)
    told = (out / "panoptic.json").read_bytes()
    again, after = parse(inputs, out)
    assert (first.count, again.count) == (5, 0)
    assert [a.is_old for a in after] == [True] * 5
    assert [a.to_json() for a in after] == [a.to_json() for a in before]
    assert (out / "panoptic.json").read_bytes() == told


def test_the_json_is_that_of_all_entries_at_once(tmp_path: Path) -> None:
    _, answers = parse(photos(tmp_path, 3), tmp_path / "out")
    entries = [a.record.entry() for a in answers if a.record]
    write_json(tmp_path / "whole.json", panoptic_json(entries, GREY))
    ours = (tmp_path / "out" / "panoptic.json").read_bytes()
    assert ours == (tmp_path / "whole.json").read_bytes()


def test_other_inputs_join_those_that_are_there(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    parse(inputs[2:], out)
    parser, _ = parse(inputs, out)
    assert parser.count == 2
    assert listed(out) == [each.path.name for each in inputs]
    parse(inputs[:1], out)
    assert sorted(listed(out)) == [each.path.name for each in inputs]


def test_a_new_input_of_one_name_does_not_take_the_files_of_an_old_one(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "x.png", square(at=2 if folder == "a" else 8))
    out, (a, b) = tmp_path / "out", (Input(tmp_path / f / "x.png") for f in ("a", "b"))
    parse([a], out)
    parse([b], out)
    assert sorted(p.name for p in (out / "panoptic").iterdir()) == ["x.png", "x_2.png"]
    assert parse([a, b], out)[0].count == 0


def changed(inputs: list[Input], out: Path) -> None:
    write_image(inputs[1].path, square(24))


def deleted(inputs: list[Input], out: Path) -> None:
    (out / "panoptic" / "p01.png").unlink()


def torn(inputs: list[Input], out: Path) -> None:
    """As a kill leaves it: the second line half written, no JSON."""
    (out / "panoptic.json").unlink()
    path = out / "panoptic.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"p01"' not in line]
    path.write_bytes(b"".join(kept) + next(line for line in lines if b'"p01"' in line)[:60])


@pytest.mark.parametrize("happens", [changed, deleted, torn])
def test_only_what_does_not_hold_any_more_is_parsed_again(tmp_path: Path, happens: object) -> None:
    inputs, out = photos(tmp_path, 3), tmp_path / "out"
    parse(inputs, out)
    happens(inputs, out)  # type: ignore[operator]
    parser, answers = parse(inputs, out)
    assert parser.count == 1
    assert [a.is_old for a in answers] == [True, False, True]
    assert listed(out) == ["p00.png", "p01.png", "p02.png"]
    size = read_ids(out / "panoptic" / "p01.png").shape
    rows = json.loads((out / "panoptic.json").read_text())["images"]
    assert (rows[1]["height"], rows[1]["width"]) == size
    assert parse(inputs, out)[0].count == 0


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 2), tmp_path / "out"
    parse(inputs, out, scales="1")
    with pytest.raises(BadInput, match=r"with scales 1, not with scales 2.*--overwrite"):
        parse(inputs, out, scales="2")
    parser, _ = parse(inputs[:1], out, scales="2", overwrite=True)
    assert parser.count == 1
    assert listed(out) == ["p00.png"]
    assert parse(inputs, out, scales="2")[0].count == 1


def test_a_file_that_says_nothing_of_the_settings_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    parse(photos(tmp_path, 1), out)
    (out / "parse.json").write_text("{")
    with pytest.raises(BadInput, match=r"parse\.json.*--overwrite"):
        parse(photos(tmp_path, 1), out)


def test_bad_images_alone_leave_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    _, (answer,) = parse([Input(tmp_path / "x.png")], tmp_path / "out")
    assert "x.png" in answer.problem
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_too_long_is_the_problem_of_one_image(tmp_path: Path) -> None:
    for folder in ("a" * 200, "b" * 200):
        write_image(tmp_path / folder / f"{'x' * 100}.png", square())
    inputs = [Input(next((tmp_path / (c * 200)).iterdir())) for c in "ab"]
    _, answers = parse([*inputs, *photos(tmp_path, 1)], tmp_path / "out")
    assert [bool(a.problem) for a in answers] == [True, True, False]
    assert listed(tmp_path / "out") == ["p00.png"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    _, (answer,) = parse(photos(tmp_path, 1), tmp_path / "out")
    assert answer.record
    assert Record.of(json.loads(answer.record.line())) == answer.record


def noise(size: int, seed: int) -> Image:
    """Bright specks, whose ids take much room."""
    specks = np.random.default_rng(seed).random((size, size, 1)) < 0.4
    return np.repeat(specks * np.uint8(255), 3, axis=2).astype(np.uint8)


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_whole_files(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    inputs = [Input(tmp_path / f"n{i}.png") for i in range(6)]
    for i, each in enumerate(inputs):
        write_image(each.path, noise(128, i))
    with mounted(tmp_path / "disk", size=2**21, files=100) as disk:
        out = disk / "out"
        assert len(parse(inputs[:1], out)[1]) == 1
        one = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        fill(disk, free=2 * one)
        with pytest.raises(Failed, match=r"No space left.*make room.*same command"):
            parse(inputs, out)
        names = {f"{each.path.stem}.png" for each in inputs}
        whole = {path.name for path in (out / "panoptic").iterdir()}
        assert whole < names
        assert all(read_ids(out / "panoptic" / name).shape == (128, 128) for name in whole)
        assert json.loads((out / "panoptic.json").read_text())["images"]
        (disk / "other").unlink()
        parser, answers = parse(inputs, out)
        assert 0 < parser.count < 6
        assert [a.problem for a in answers] == [""] * 6
        assert listed(out) == [each.path.name for each in inputs]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from atrous.batch import Input, parse_all
from fakes import GreyParser, shelf_in

class Slow(GreyParser):
    def stream(self, images, *, batch):
        time.sleep(0.02)
        return super().stream(images, batch=batch)

folder = Path(sys.argv[2])
inputs = [Input(path) for path in sorted(folder.glob("*.png"))]
list(parse_all(Slow(), inputs, shelf=shelf_in(folder / "out")))
"""


def test_after_a_kill_the_same_command_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 60), tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(TESTS), str(tmp_path)]
    with subprocess.Popen(command) as child:
        while child.poll() is None and len(list(out.glob("panoptic/*.png"))) < 5:
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
    assert not (out / "panoptic.json").exists()
    parser, _ = parse(inputs, out)
    assert 0 < parser.count < 60
    parse(inputs, tmp_path / "other")
    for name in ["panoptic.json", *(f"panoptic/{each.path.name}" for each in inputs)]:
        assert (out / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
