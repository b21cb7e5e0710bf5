from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atrous.batch import Answer, How, Input, Share, parse_all, run, sharing
from atrous.batch.inputs import source_of
from atrous.batch.journal import Ended
from fakes import GreyParser, photos, shelf_in


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "POLL_S", 0.01)


def parse(
    inputs: list[Input], out: Path, share: Share, *, overwrite: bool = False
) -> tuple[GreyParser, list[Answer]]:
    shelf = shelf_in(out, rank=share.journal_rank, size=share.size, overwrite=overwrite)
    parser = GreyParser()
    how = How(workers=1)
    return parser, list(parse_all(parser, inputs, shelf=shelf, how=how, share=share))


def all_of(count: int, inputs: list[Input], out: Path) -> list[tuple[GreyParser, list[Answer]]]:
    with ThreadPoolExecutor(count) as pool:
        work = [pool.submit(parse, inputs, out, Share(rank, count)) for rank in range(count)]
        return [each.result() for each in work]


def listed(out: Path) -> list[str]:
    return [row["file_name"] for row in json.loads((out / "panoptic.json").read_text())["images"]]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_a_folder_out_and_its_json_lists_all_in_order(
    tmp_path: Path, count: int
) -> None:
    inputs, out = photos(tmp_path, 10), tmp_path / "out"
    told = all_of(count, inputs, out)
    for rank, (parser, answers) in enumerate(told):
        assert parser.count == len(inputs[rank::count])
        assert [a.file for a in answers] == [each.file for each in inputs[rank::count]]
    assert listed(out) == [each.path.name for each in inputs]


def test_the_json_is_that_of_one_process_alone(tmp_path: Path) -> None:
    inputs = photos(tmp_path, 6)
    all_of(2, inputs, tmp_path / "two")
    parse(inputs, tmp_path / "one", Share())
    two, one = ((tmp_path / name / "panoptic.json").read_bytes() for name in ("two", "one"))
    assert two == one


def test_others_take_over_what_a_dead_process_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "SILENT_S", 0.05)
    monkeypatch.setattr(sharing, "PATIENCE", 1)
    inputs, out = photos(tmp_path, 9), tmp_path / "out"
    parser, _ = parse(inputs, out, Share(0, 3))
    assert parser.count == 9
    assert listed(out) == [each.path.name for each in inputs]


def test_whoever_resumes_finds_what_all_have_done(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 7), tmp_path / "out"
    all_of(2, inputs[:5], out)
    parser, answers = parse(inputs, out, Share())
    assert parser.count == 2
    assert sum(a.is_old for a in answers) == 5
    assert [parser.count for parser, _ in all_of(3, inputs, out)] == [0, 0, 0]


def test_a_bad_image_is_told_once_and_nobody_waits_for_it(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    inputs[1].path.write_bytes(b"no image")
    problems = [a.problem for _, answers in all_of(2, inputs, out) for a in answers if a.problem]
    assert len(problems) == 1
    assert listed(out) == ["p00.png", "p02.png", "p03.png"]
    inputs[1].path.write_bytes(inputs[0].path.read_bytes())
    assert [parser.count for parser, _ in all_of(2, inputs, out)] == [0, 1]


def test_to_overwrite_is_to_parse_all_again(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 6), tmp_path / "out"
    parse(inputs, out, Share())
    with ThreadPoolExecutor(2) as pool:
        work = [
            pool.submit(parse, inputs, out, Share(rank, 2), overwrite=True) for rank in range(2)
        ]
        counts = [each.result()[0].count for each in work]
    assert counts == [3, 3]
    assert listed(out) == [each.path.name for each in inputs]


def test_lines_that_another_process_begins_anew_are_left_out(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    all_of(2, inputs, out)
    journal = shelf_in(out).journal
    lines = sorted(journal.known.values(), key=lambda line: line.name)
    (out / "panoptic.1.jsonl").write_text("{}\n" * 200)
    assert [record.name for record in journal.records(lines)] == ["p00", "p02"]
    (out / "panoptic.0.jsonl").unlink()
    journal.close()
    assert not list(journal.records(lines))
    journal.close()


def test_who_overwrites_first_leaves_what_others_have_begun(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    parse(inputs, out, Share(), overwrite=False)
    second = shelf_in(out, rank=1, size=2, overwrite=True).journal
    second.begin()
    shelf_in(out, rank=0, size=2, overwrite=True).journal.begin()
    assert sorted(path.name for path in out.glob("*.jsonl")) == [
        "panoptic.0.jsonl",
        "panoptic.1.jsonl",
    ]


def test_old_lines_of_a_process_that_has_not_begun_are_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "SILENT_S", 0.05)
    monkeypatch.setattr(sharing, "PATIENCE", 1)
    inputs, out = photos(tmp_path, 6), tmp_path / "out"
    all_of(2, inputs, out)
    parser, _ = parse(inputs, out, Share(0, 2), overwrite=True)
    assert parser.count == 6


def test_a_process_that_is_stopped_lists_no_old_results_of_others(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    all_of(2, inputs, out)
    shelf = shelf_in(out, rank=0, size=2, overwrite=True)
    share = Share(0, 2)
    answers = parse_all(GreyParser(), inputs, shelf=shelf, how=How(workers=1), share=share)
    next(answers)
    answers.close()
    assert set(listed(out)) <= {"p00.png", "p02.png"}


def test_who_overwrites_counts_what_others_have_begun_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    second = shelf_in(out, rank=1, size=2, overwrite=True).journal
    second.add(Ended("a", (0, 0), 1.0, problem="bad"))
    first = shelf_in(out, rank=0, size=2, overwrite=True).journal
    second.add(Ended("b", (0, 0), 2.0, problem="bad"))
    first.refresh()
    assert set(first.done) == {"a", "b"}


def test_a_journal_begun_anew_is_read_from_its_beginning_though_it_is_longer(
    tmp_path: Path,
) -> None:
    inputs, out = photos(tmp_path, 8), tmp_path / "out"
    all_of(2, inputs[6:], out)
    reader = shelf_in(out).journal
    assert set(reader.known) == {"p06", "p07"}
    again = shelf_in(out, rank=1, size=2, overwrite=True)
    assert len(list(parse_all(GreyParser(), inputs[:6:2], shelf=again, how=How()))) == 3
    reader.refresh()
    assert set(reader.known) == {"p00", "p02", "p04", "p06"}
    assert source_of(inputs[7]) not in reader.done
    assert len(list(reader.records(reader.current()))) == 4
    reader.close()


def test_what_a_journal_held_that_is_gone_is_to_be_done_again(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 4), tmp_path / "out"
    all_of(2, inputs, out)
    other = shelf_in(out, rank=1, size=2).journal
    other.add(Ended("bad", (0, 0), 1.0, problem="bad"))
    other.close()
    reader = shelf_in(out).journal
    assert "bad" in reader.ended
    (out / "panoptic.1.jsonl").unlink()
    reader.refresh()
    assert set(reader.known) == {"p00", "p02"}
    assert set(reader.done) == {source_of(inputs[0]), source_of(inputs[2])}
    assert not reader.ended
    reader.close()


def test_a_line_that_says_nothing_and_a_folder_named_so_are_passed_over(tmp_path: Path) -> None:
    inputs, out = photos(tmp_path, 2), tmp_path / "out"
    parse(inputs, out, Share())
    with (out / "panoptic.jsonl").open("a") as journal:
        journal.write("[" * 100_000 + "\n")
    (out / "panoptic.3.jsonl").mkdir()
    reader = shelf_in(out).journal
    assert set(reader.known) == {"p00", "p01"}
    reader.close()


def test_a_share_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (Share.told(), Share.told().journal_rank) == (Share(0, 1), None)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (Share.told(), Share.told().journal_rank) == (Share(2, 4), 2)


@pytest.mark.study
def test_torchrun_shares_a_folder_out(tmp_path: Path, tiny_model: Path) -> None:
    inputs, out = photos(tmp_path / "in", 7), tmp_path / "out"
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "atrous"]
    words = ["parse", tmp_path / "in", "--model", tiny_model, "--out", out, "--device", "cpu"]
    command = [sys.executable, *start, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 parsed" in done.stderr
    assert "3 of 3 parsed" in done.stderr
    assert listed(out) == [each.path.name for each in inputs]
