from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atrous.data.shapes import Shapes
from atrous.data.source import subset
from atrous.labels import LabelSpace
from atrous.parser import load
from atrous.run.checkpoint import read_header, read_weights
from atrous.run.optimiser import build_optimiser
from atrous.run.settings import TrainSettings
from atrous.run.states import State, states
from atrous.run.train import _save as keep_state
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.systems.fcrn import FCRN, FCRNNetwork
from atrous.training import package, told, train
from atrous.training.record import require_ours
from atrous.types import BadInput, Failed
from conftest import TINY_NETWORK

DATA = Shapes("train", size_hw=(65, 65), count=20)
TINY = (*TINY_NETWORK, "train.checkpoint_every=3")
PROGRAM = """
import sys
import torch
from atrous.data.shapes import Shapes
from atrous.parser import load
from atrous.training import package, train
torch.set_num_threads(1)
out, resume, *settings = sys.argv[1:]
train("deeperlab-light", data=Shapes("train", size_hw=(65, 65), count=20), out=out,
      settings=tuple(settings), resume=resume == "resume", workers=0, quiet=True)
"""


def start(out: Path, mode: str, *settings: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", PROGRAM, str(out), mode, *TINY, *settings]
    return subprocess.Popen(words, stderr=subprocess.PIPE)


def steps(run: Path) -> list[int]:
    log = run / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


ADAM = ("train.optimiser=adam", "train.norms=frozen", "train.anchor=1", "train.warmup=3")


@pytest.mark.study
@pytest.mark.parametrize("more", [(), ADAM], ids=["sgd", "adam"])
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    settings, kill_at = ("train.iterations=14", *more), random.randrange(4, 12)
    whole = start(tmp_path / "whole", "new", *settings)
    killed = start(tmp_path / "killed", "new", *settings)
    while len(steps(tmp_path / "killed")) < kill_at and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = steps(tmp_path / "killed")
    resumed = start(tmp_path / "killed", "resume", *settings)
    for process in (whole, resumed):
        assert process.communicate()[1] == b""
    files = [(tmp_path / run / "last.safetensors").read_bytes() for run in ("whole", "killed")]
    assert files[0] == files[1], f"killed after {len(first)} steps"
    assert steps(tmp_path / "killed") == list(range(14))


def trained(run: Path, *settings: str) -> dict[str, torch.Tensor]:
    train("deeperlab-light", data=DATA, out=run, settings=(*TINY, *settings), quiet=True)
    return read_weights(run / "last.safetensors")


def test_frozen_norms_keep_their_statistics_and_learn_scale_and_shift(tmp_path: Path) -> None:
    once, twice = (
        trained(tmp_path / n, "train.norms=frozen", f"train.iterations={n}") for n in "13"
    )
    counts = [k for k in once if k.endswith("num_batches_tracked")]
    statistics = [k for k in once if k.endswith(("running_mean", "running_var"))]
    assert all(int(twice[k]) == 0 for k in counts)
    assert all(torch.equal(once[k], twice[k]) for k in statistics)
    assert any(float(once[k].abs().max()) > 0 for k in statistics if "mean" in k)
    assert not torch.equal(
        once["decoder.first.pointwise.norm.weight"], twice["decoder.first.pointwise.norm.weight"]
    )


def test_an_anchor_holds_the_semantic_answer(tmp_path: Path) -> None:
    settings = ("train.iterations=6", "train.lr=0.05", "train.norms=frozen", "losses.keep=1")
    moved = []
    for weight in ("0.0001", "100"):
        run = tmp_path / weight
        trained(run, *settings, f"train.anchor={weight}", "train.clip=1")
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        assert rows[0]["anchor"] == pytest.approx(0, abs=1e-6)
        moved.append(rows[-1]["anchor"])
    assert moved[1] < moved[0]


def test_warming_up_and_clipping_bound_the_first_steps(tmp_path: Path) -> None:
    settings = ("train.iterations=4", "train.lr=0.01", "train.norms=frozen")
    start = trained(tmp_path / "0", "train.iterations=1", "train.lr=0", "train.norms=frozen")
    name = "decoder.second.pointwise.conv.weight"
    far = trained(tmp_path / "1", *settings)[name] - start[name]
    near = (
        trained(tmp_path / "2", *settings, "train.warmup=100", "train.clip=0.1")[name] - start[name]
    )
    assert 0 < float(near.norm()) <= 0.01 * 4 / 100 * 0.1 * 4
    assert float(far.norm()) > 10 * float(near.norm())
    rows = (tmp_path / "2" / "log.jsonl").read_text().splitlines()
    rates = [json.loads(row)["lr"] for row in rows]
    assert rates[0] == pytest.approx(0.01 / 101)


def test_a_run_tells_how_long_it_took_over_all_its_parts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(run, "train.iterations=3")
    record = told(run)
    assert record["steps"] == 3
    assert 0 < record["seconds"] < 600
    assert record["command"]
    with pytest.raises(BadInput, match=r"run\.json"):
        told(tmp_path)


@pytest.mark.parametrize(
    ("setting", "options"),
    [("train.norms=frosen", "batch or frozen"), ("train.optimiser=lion", "sgd or adam")],
)
def test_an_unknown_choice_names_the_known_ones(tmp_path: Path, setting: str, options: str) -> None:
    with pytest.raises(BadInput, match=options):
        trained(tmp_path / "run", setting)


def test_the_log_of_a_resumed_run_says_where_it_went_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train("deeperlab-light", data=DATA, out=run, settings=(*TINY, "train.iterations=6"), quiet=True)
    for state in states(run)[1:]:
        (state / "counters.json").rename(state / "lost")  # a state that never was complete
        state.rename(state.with_name(f".{state.name}"))
    train(
        "deeperlab-light",
        data=DATA,
        out=run,
        settings=(*TINY, "train.iterations=6"),
        resume=True,
        quiet=True,
    )
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(6))
    assert [row["step"] for row in rows if row.get("resumed")] == [3]


def test_equal_runs_give_equal_bytes_whatever_the_workers(tmp_path: Path) -> None:
    files = []
    for workers in (0, 1):
        run = tmp_path / str(workers)
        settings = (*TINY, "train.iterations=2")
        train("deeperlab-light", data=DATA, out=run, settings=settings, workers=workers, quiet=True)
        files.append((run / "last.safetensors").read_bytes())
    assert files[0] == files[1]


def test_the_model_file_alone_says_all_that_prediction_needs(tmp_path: Path) -> None:
    train(
        "deeperlab-light",
        data=DATA,
        out=tmp_path / "run",
        settings=(*TINY, "train.iterations=1"),
        quiet=True,
    )
    header = read_header(tmp_path / "run" / "last.safetensors")
    assert {"network", "labels", "input", "fusion", "recipe", "format"} == set(header)
    assert header["network"]["decoder_width"] == 8


def test_frozen_parts_stay_as_they_are(tmp_path: Path) -> None:
    settings = (*TINY, "train.iterations=2", "train.freeze=backbone", "train.norm_momentum=0.5")
    train("deeperlab-light", data=DATA, out=tmp_path / "run", settings=settings, quiet=True)
    once = (*settings, "train.iterations=1")
    train("deeperlab-light", data=DATA, out=tmp_path / "once", settings=once, quiet=True)
    two, one = (read_weights(tmp_path / n / "last.safetensors") for n in ("run", "once"))
    changed = {k.split(".")[0] for k in one if not torch.equal(one[k], two[k])}
    assert "backbone" not in changed
    assert {"context", "decoder", "semantic"} <= changed


def test_an_unknown_part_to_freeze_is_refused(tmp_path: Path) -> None:
    settings = (*TINY, "train.iterations=1", "train.freeze=backbon")
    with pytest.raises(BadInput, match="no part is called 'backbon'"):
        train("deeperlab-light", data=DATA, out=tmp_path / "r", settings=settings, quiet=True)


def test_validation_scores_are_logged_and_the_best_model_is_kept(tmp_path: Path) -> None:
    train(
        "deeperlab-light",
        data=DATA,
        val=Shapes("val", size_hw=(65, 65), count=2),
        out=tmp_path / "run",
        settings=(*TINY, "train.iterations=2", "train.eval_every=2"),
        quiet=True,
    )
    rows = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"panoptic", "covering", "semantic"} <= set(rows[-1]["eval"])
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_weight_decay_spares_depthwise_kernels_norms_and_biases() -> None:
    network = DeeperLab(DeeperLabNetwork(decoder_width=8), DATA.labels)
    groups = build_optimiser(network, TrainSettings(1, 2, 33)).param_groups
    decayed, others = sorted(groups, key=lambda group: -group["weight_decay"])
    assert decayed["weight_decay"] == 4e-5
    assert others["weight_decay"] == 0
    assert all(p.ndim == 4 and p.shape[1] > 1 for p in decayed["params"])
    assert all(p.ndim == 1 or p.shape[1] == 1 for p in others["params"])


def test_the_backbone_learns_at_its_share_of_the_rate(tmp_path: Path) -> None:
    adam = ("train.optimiser=adam", "train.lr=0.001", "train.norms=frozen")
    start = trained(tmp_path / "0", *adam, "train.iterations=1", "train.lr=0")
    once = trained(tmp_path / "1", *adam, "train.iterations=1", "train.backbone_multiplier=0.1")
    moved = {name: float((once[name] - start[name]).abs().max()) for name in start}
    backbone = max(v for k, v in moved.items() if k.startswith("backbone."))
    others = max(v for k, v in moved.items() if not k.startswith("backbone."))
    assert backbone == pytest.approx(0.0001, rel=0.02)  # Adam's first step is as long as its rate
    assert others == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize(
    "setting",
    [
        *("train.batch=1", "train.precision=fp8", "train.iterations=0", "train.crop=32"),
        *("train.flip=7", "train.scales=0.5,inf,0", "train.rotation=nan,1", "train.lr=nan"),
        *("train.lr=-1", "train.clip=-1", "train.warmup=-1", "train.eval_every=-3"),
        *("train.norm_momentum=2", "train.average=1.5", "train.keep=0", "train.accumulate=3"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(BadInput, match=setting.split("=")[0]):
        train("deeperlab-light", data=DATA, out=tmp_path, settings=(*TINY, setting), quiet=True)


def test_bf16_autocast_trains(tmp_path: Path) -> None:
    settings = (*TINY, "train.iterations=1", "train.precision=bf16")
    train("deeperlab-light", data=DATA, out=tmp_path / "run", settings=settings, quiet=True)
    row = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert np.isfinite(row["loss"])


def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = [sys.executable, "-m", "atrous", "train", "deeperlab-light", "--data", "shapes"]
    words += ["--out", str(run), *settings, "--set", "train.iterations=500", "--workers", "0"]
    words += ["--set", "train.checkpoint_every=500"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while len(steps(run)) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.terminate()
    err = process.communicate()[1]
    assert process.returncode == 3, err
    assert err.strip().endswith("--resume")
    (state,) = states(run)
    assert int(state.name) == len(steps(run))


def test_a_packaged_model_is_half_as_large_and_still_loads(
    tiny_model: Path, tmp_path: Path
) -> None:
    package(tiny_model, tmp_path / "half.safetensors")
    sizes = [p.stat().st_size for p in (tmp_path / "half.safetensors", tiny_model)]
    assert sizes[0] < 0.6 * sizes[1]
    assert load(tmp_path / "half.safetensors").labels == load(tiny_model).labels


def test_both_backbones_of_fcrn_learn_at_the_share_of_the_rate() -> None:
    network = FCRN(FCRNNetwork("mobilenet-v2", stride_at="last_3x3", kernel=3), DATA.labels)
    settings = TrainSettings(1, 2, 33, backbone_multiplier=0.1)
    slow = [g for g in build_optimiser(network, settings).param_groups if g["multiplier"] == 0.1]
    backbone = sum(p.numel() for p in network.category.backbone.parameters())
    assert sum(p.numel() for group in slow for p in group["params"]) == backbone


def test_an_anchor_is_refused_where_classes_are_not_trained(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"train\.anchor"):
        train(
            "fcrn-resnet50-instances", data=DATA, out=tmp_path / "r", settings=("train.anchor=1",)
        )
    assert not (tmp_path / "r").exists()


def test_a_crop_fits_the_output_stride_too(tmp_path: Path) -> None:
    settings = ("network.output_stride=32", "train.crop=49")
    with pytest.raises(BadInput, match="32 n"):
        train("deeplabv3-mobilenet-v2", data=DATA, out=tmp_path / "r", settings=settings)


def test_pasting_is_refused_where_there_are_no_things(tmp_path: Path) -> None:
    stuff = subset(DATA, range(len(DATA)))
    plain = LabelSpace(tuple(replace(x, is_thing=False) for x in DATA.labels.labels))

    class Stuff:
        labels = plain
        __getitem__, __len__, name = stuff.__getitem__, stuff.__len__, stuff.name

    with pytest.raises(BadInput, match="none of"):
        train("deeperlab-light", data=Stuff(), out=tmp_path, settings=(*TINY, "train.paste=0.5"))


@pytest.mark.parametrize("part", ["weights", "average"])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path: Path, part: str) -> None:
    poisoned = {"norm.running_var": torch.tensor([1.0, float("inf")])}
    sound = {"norm.running_var": torch.ones(2), "norm.num_batches_tracked": torch.tensor(3)}
    parts = {"weights": sound, "average": sound, part: poisoned}

    class Poisoned:
        settings = TrainSettings(10, 2, 33)

        def state(self, counters: dict[str, float]) -> State:
            return State(5, parts["weights"], {}, parts["average"], counters)

    with pytest.raises(Failed, match=r"step 5: norm\.running_var is not finite"):
        keep_state(tmp_path, Poisoned(), {})  # type: ignore[arg-type]
    assert states(tmp_path) == []


def test_a_run_whose_folder_another_one_took_writes_nothing_more(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(run, "train.iterations=1")
    record = json.loads((run / "run.json").read_text())
    require_ours(run, record["id"])
    (run / "run.json").write_text(json.dumps({**record, "id": "of another"}))
    with pytest.raises(Failed, match="another run writes here now"):
        require_ours(run, record["id"])


def test_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    parts = "backbone,context,decoder,semantic,heatmap,short,middle,long"
    with pytest.raises(BadInput, match="nothing is left to learn"):
        trained(tmp_path / "run", f"train.freeze={parts}")


def test_a_resume_takes_the_folder_from_whoever_still_writes_there(tmp_path: Path) -> None:
    run, settings = tmp_path / "run", (*TINY, "train.iterations=1")
    trained(run, "train.iterations=1")
    name = json.loads((run / "run.json").read_text())["id"]
    train("deeperlab-light", data=DATA, out=run, settings=settings, resume=True, quiet=True)
    with pytest.raises(Failed, match="another run writes here now"):
        require_ours(run, name)
