from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from atrous.batch import run
from atrous.data import catalogue
from atrous.data.shapes import Shapes
from atrous.formats import read_image, read_panoptic, write_image, write_json, write_panoptic
from atrous.parser import bundled, load
from atrous.types import Image
from atrous.video import Film, Video
from conftest import Shell

SMALL = [
    *("--set", "network.decoder_width=8", "--set", "network.aspp_width=16"),
    *("--set", "network.instance_width=8", "--set", "train.batch=2", "--set", "train.crop=33"),
    *("--set", "input.longest_side=65", "--workers", "0", "--quiet"),
]


def test_parse_writes_pictures_and_a_json_that_agree(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("parse", photo, "--model", tiny_model, "--out", out, "--semantic", "--confidence")
    code, stdout, _ = shell(*words, "--json")
    assert code == 0
    line = json.loads(stdout)
    assert set(line) == {"schema", "file", "size_hw", "segments", "outputs"}
    assert line["size_hw"] == [50, 70]
    kinds = ["overlay", "panoptic", "semantic", "confidence"]
    assert [Path(line["outputs"][k]).is_file() for k in kinds] == [True] * 4
    told = json.loads((out / "panoptic.json").read_text())
    ids = {c["id"]: i for i, c in enumerate(told["categories"])}
    (entry,) = told["annotations"]
    found = read_panoptic(out / "panoptic" / entry["file_name"], entry["segments_info"], ids)
    assert [r.id for r in found.regions] == [s["id"] for s in line["segments"]]
    with Pillow.open(line["outputs"]["confidence"]) as confidence:
        assert confidence.mode.startswith("I")


def test_class_and_confidence_pngs_hold_the_maps_of_the_result(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("parse", photo, "--model", tiny_model, "--out", tmp_path, "--device", "cpu")
    assert shell(*words, "--semantic", "--confidence")[0] == 0
    result = load(tiny_model, device="cpu")(photo)
    with Pillow.open(tmp_path / "semantic" / "photo.png") as semantic:
        assert semantic.mode == "L"
        assert np.array_equal(np.asarray(semantic), result.semantic)
    with Pillow.open(tmp_path / "confidence" / "photo.png") as confidence:
        steps = np.asarray(confidence).astype(np.float64)
    assert np.abs(steps / 65535 - result.confidence).max() <= 1 / 65535


def test_maps_that_were_not_asked_for_are_not_written(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    shell("parse", photo, "--model", tiny_model, "--out", tmp_path / "out")
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == ["overlay", "panoptic", "panoptic.json", "panoptic.jsonl", "parse.json"]


def test_stdout_holds_one_json_line_an_image_and_nothing_else(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    words = ("parse", photo, other, "--model", tiny_model, "--out", tmp_path / "out")
    _, out, err = shell(*words, "--json", "--overwrite")
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(photo), str(other)]
    assert "2 of 2 parsed" in err
    assert " images/s, see " in err
    _, out, err = shell(*words, "--overwrite")
    assert out == ""
    assert "photo.png" in err
    assert shell(*words, "--quiet") == (0, "", "")


def test_a_finer_output_stride_is_another_answer(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    maps = []
    for stride in (16, 8):
        out = tmp_path / str(stride)
        words = ("parse", photo, "--model", tiny_model, "--out", out, "--confidence")
        assert shell(*words, "--output-stride", stride)[0] == 0
        maps.append((out / "confidence" / "photo.png").read_bytes())
    assert maps[0] != maps[1]


def test_inputs_of_one_stem_get_their_folder_into_the_name(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(photo.read_bytes())
    out = tmp_path / "out"
    code, *_ = shell("parse", tmp_path / "a", tmp_path / "b", "--model", tiny_model, "--out", out)
    assert code == 0
    assert sorted(p.name for p in (out / "panoptic").iterdir()) == ["a_x.png", "b_x.png"]


def test_a_stopped_parse_lists_what_it_has_written(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, out = photo.with_name("other.png"), tmp_path / "out"
    other.write_bytes(photo.read_bytes())

    def read(path: Path, *, stretch: bool) -> Image:
        if path == other:
            raise KeyboardInterrupt
        return read_image(path, stretch=stretch)

    monkeypatch.setattr(run, "read_image", read)
    code, _, err = shell("parse", photo, other, "--model", tiny_model, "--out", out)
    assert code == 3
    assert err.splitlines()[-1] == "atrous: stopped"
    told = json.loads((out / "panoptic.json").read_text())["annotations"]
    written = [p.name for p in (out / "panoptic").iterdir()]
    assert [entry["file_name"] for entry in told] == written == ["photo.png"]


def test_the_same_command_again_skips_what_is_done_and_another_one_is_refused(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("parse", photo, "--model", tiny_model, "--out", tmp_path / "out")
    _, first, _ = shell(*words, "--json")
    code, second, err = shell(*words, "--json")
    assert (code, second) == (0, first)
    assert "1 of 1 parsed (1 were done before)" in err
    told = "made without --set, not with --set fusion.instances=3: choose another --out"
    shell.refuses(*words, "--set", "fusion.instances=3", naming=told)
    code, third, _ = shell(*words, "--semantic", "--json")
    assert "semantic" in json.loads(third)["outputs"]


def test_a_list_on_stdin_and_a_video_with_a_film(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, film = tmp_path / "clip.mp4", tmp_path / "film.mp4"
    written = Film(clip, fps=5)
    for _ in range(2):
        written.add(read_image(photo))
    written.close()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{photo}\n{clip}\n".encode())))
    words = ("--model", tiny_model, "--out", tmp_path / "out", "--json", "--least-area", "20")
    code, out, _ = shell("parse", "-", *words)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line.get("frame", 0) for line in lines] == [0, 1, 2]
    assert all(s["area"] >= 20 for line in lines for s in line["segments"])
    code, _, err = shell("parse", clip, "--model", tiny_model, "--out", film, "--batch", "2")
    assert code == 0
    assert "2 of 2 parsed" in err
    with Video(film) as made:
        assert len(list(made)) == 2
    shell.refuses("parse", clip, "--model", tiny_model, "--out", clip, naming="the video itself")


def bad_file(kind: str, folder: Path, photo: Path) -> Path:
    path = folder / f"{kind}.jpg"
    if kind == "text":
        path.write_text("not a picture\n")
    elif kind == "zero":
        path.touch()
    elif kind == "truncated":
        Pillow.open(photo).save(path)
        path.write_bytes(path.read_bytes()[:-400])
    return path


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "zero"])
def test_a_bad_image_is_named_in_one_line_and_nothing_is_written(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    path, out = bad_file(kind, tmp_path, photo), tmp_path / "out"
    words = ("parse", path, "--model", tiny_model, "--out", out)
    shell.refuses(*words, "--quiet", naming=path.name)
    shell.refuses(*words, naming=path.name)
    assert not out.exists()


def test_bad_files_of_a_folder_are_listed_and_the_others_parsed(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "good.png").write_bytes(photo.read_bytes())
    for kind in ("text", "zero", "truncated"):
        bad_file(kind, folder, photo)
    code, _, err = shell("parse", folder, "--model", tiny_model, "--out", out, "--quiet")
    assert code == 1
    assert [line.startswith("atrous: ") for line in err.splitlines()] == [True] * 3
    assert len(json.loads((out / "panoptic.json").read_text())["images"]) == 1


def odd_image(kind: str, folder: Path) -> Path:
    levels = np.arange(40 * 60).reshape(40, 60)
    grey = Pillow.fromarray((levels % 256).astype(np.uint8))
    wide = Pillow.fromarray((levels * 27).astype(np.uint16))
    path = folder / f"{kind}.png"
    if kind == "one":
        grey.crop((0, 0, 1, 1)).save(path)
    elif kind == "long":
        Pillow.fromarray(np.zeros((3, 20000, 3), np.uint8)).save(path)
    elif kind in ("png16", "tiff16"):
        path = folder / f"x.{kind[:-2]}"
        wide.save(path)
    elif kind == "cmyk":
        path = folder / "x.jpg"
        grey.convert("CMYK").save(path)
    elif kind == "rotated":
        path, exif = folder / "x.jpg", Pillow.Exif()
        exif[0x0112] = 6
        grey.save(path, exif=exif)
    else:
        grey.convert({"grey": "L", "palette": "P", "rgba": "RGBA"}[kind]).save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "size_hw"),
    [
        ("one", [1, 1]),
        ("long", [3, 20000]),
        ("grey", [40, 60]),
        ("palette", [40, 60]),
        ("rgba", [40, 60]),
        ("cmyk", [40, 60]),
        ("png16", [40, 60]),
        ("tiff16", [40, 60]),
        ("rotated", [60, 40]),
    ],
)
def test_odd_images_parse(
    shell: Shell, tiny_model: Path, tmp_path: Path, kind: str, size_hw: list[int]
) -> None:
    path, out = odd_image(kind, tmp_path), tmp_path / "out"
    code, stdout, err = shell("parse", path, "--model", tiny_model, "--out", out, "--json")
    assert code == 0, err
    assert json.loads(stdout)["size_hw"] == size_hw


TRAIN = ("train", "deeperlab-light", "--data", "shapes", "--out", "OUT", "--quiet")


@pytest.mark.parametrize(
    ("words", "naming"),
    [
        (("parse", "PHOTO", "--model", "deeperlab-lihgt"), "deeperlab-light"),
        (("parse", "PHOTO", "--model", "MODEL", "--format", "pascal"), "coco"),
        (("parse", "PHOTO", "--model", "MODEL", "--device", "tpu"), "tpu"),
        (("parse", "PHOTO", "--model", "MODEL", "--overlay", "both"), "side-by-side"),
        (("parse", "PHOTO", "--model", "MODEL", "--alpha", "2"), "alpha"),
        (("parse", "PHOTO", "--model", "MODEL", "--scales", "1,x"), "--scales 1,x"),
        (("parse", "PHOTO", "--model", "MODEL", "--scales", "0"), "--scales 0"),
        (("parse", "PHOTO", "--model", "MODEL", "--window", "33", "--tile", "33"), "one of them"),
        (("parse", "PHOTO", "--model", "MODEL", "--reject-below", "2"), "--reject-below 2"),
        (("parse", "PHOTO", "--model", "MODEL", "--batch", "0"), "--batch"),
        (("parse", "PHOTO", "--model", "MODEL", "--precision", "int8"), "fp32"),
        (("parse", "PHOTO", "--model", "MODEL", "--out", "x.mp4"), "one video or camera"),
        (("parse", "none*.png", "--model", "MODEL"), "pattern"),
        (("parse", "camera:99", "--model", "MODEL"), "camera:99"),
        (("parse", "PHOTO", "--model", "MODEL", "--output-stride", "4"), "8 or 16"),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "train.lr=1"), "fusion"),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "fusion.peak=1"), "peak"),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "fusion.instance=0"), "mean instances"),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "fusion.instances=x"), "int"),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "fusion.instances"), "NAME="),
        (("parse", "PHOTO", "--model", "MODEL", "--set", "fusion.radius_px=9"), "train anew"),
        (
            ("eval", "--data", "shapes", "--model", "MODEL", "--set", "fusion.graph=rectangle"),
            "star",
        ),
        (("parse", "PHOTO", "nowhere.png", "--model", "MODEL"), "nowhere.png"),
        (("parse", "n" * 300, "--model", "MODEL"), "too long"),
        (("parse", "PHOTO", "--model", "PHOTO"), "not a safetensors file"),
        (("parse", "PHOTO", "--colour"), "--colour"),
        (("train", "deeperlab-lite", "--data", "shapes", "--out", "OUT"), "deeperlab-light"),
        (("train", "deeperlab-light", "--data", "shape", "--out", "OUT"), "shapes"),
        ((*TRAIN, "--data", "coco-panoptic=nowhere"), "nowhere"),
        ((*TRAIN, "--data", "coco-panoptic"), "PATH"),
        ((*TRAIN, "--set", "train.ll=1"), "train.ll"),
        ((*TRAIN, "--set", "train.iteration=1"), "iterations"),
        ((*TRAIN, "--set", "train.crop=100"), "97"),
        ((*TRAIN, "--set", "seed=x"), "int"),
        ((*TRAIN, "--set", "x"), "NAME="),
        ((*TRAIN, "--set", "network.backbone=vgg"), "mobilenet-v2"),
        ((*TRAIN, "--set", "network.output_stride=32"), "8 or 16"),
        ((*TRAIN, "--resume"), "no run"),
        ((*TRAIN, "--init", "nowhere"), "nowhere"),
        ((*TRAIN, "--device", "tpu"), "tpu"),
        (("train", "deeperlab-light", "--data", "shapes"), "--out"),
        (("train", "deeperlab-light", "--out", "OUT"), "--data"),
        (("eval", "--model", "MODEL", "--data", "shapes", "--split", "test"), "train and val"),
        (("eval", "--model", "MODEL", "--data", "coco-panoptic=nowhere"), "nowhere"),
        (("eval", "--model", "MODEL", "--data", "shapes", "--set", "fusion.nope=1"), "fusion.nope"),
        (("eval", "--model", "MODEL", "--data", "shapes", "--device", "tpu"), "tpu"),
        (("eval", "--model", "MODEL"), "--data"),
        (("info", "deeperlab-heavy"), "did you mean deeperlab"),
        (("pars", "PHOTO"), "pars"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(
    shell: Shell,
    photo: Path,
    tiny_model: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    naming: str,
) -> None:
    if "deeperlab-light" in naming and words[0] != "train" and not bundled():
        pytest.skip("no model in the package")
    out = tmp_path / "out"
    real = {"PHOTO": str(photo), "MODEL": str(tiny_model), "OUT": str(out)}
    given = [real.get(word, word) for word in words]
    if words[0] == "parse":
        given += ["--out", str(out)]
    shell.refuses(*given, naming=naming)
    assert not out.exists()


@pytest.fixture
def disagreeing(tmp_path: Path) -> Path:
    """A flat COCO panoptic tree whose PNG has an id that its JSON lacks."""
    root = tmp_path / "coco"
    ids = np.ones((33, 33), dtype=np.int32)
    ids[:5] = 9
    write_image(root / "val" / "a.jpg", np.zeros((33, 33, 3), np.uint8))
    write_panoptic(root / "val_png" / "a.png", ids)
    rows = [
        {"id": 1, "category_id": 1, "area": 28 * 33, "bbox": [0, 5, 33, 28], "iscrowd": 0},
    ]
    labels = Shapes("val").labels
    write_json(
        root / "val.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg", "height": 33, "width": 33}],
            "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": rows}],
            "categories": [
                {"id": x.file_id, "name": x.name, "isthing": int(x.is_thing)} for x in labels.labels
            ],
        },
    )
    return root


def test_a_png_and_json_that_disagree_are_refused(
    shell: Shell, disagreeing: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = f"coco-panoptic={disagreeing}"
    shell.refuses("eval", "--model", tiny_model, "--data", data, "--quiet", naming="a.png")
    out = tmp_path / "run"
    words = ("train", "deeperlab-light", "--data", data, "--split", "val", "--out", out, *SMALL)
    shell.refuses(*words, naming="a.png")
    shell.refuses(*words, "--workers", "1", naming="a.png")
    assert not (out / "last.safetensors").exists()


def test_a_run_that_bad_data_ended_starts_anew_once_they_are_mended(
    shell: Shell, disagreeing: Path, tmp_path: Path
) -> None:
    data, out = f"coco-panoptic={disagreeing}", tmp_path / "run"
    words = ("train", "deeperlab-light", "--data", data, "--split", "val", "--out", out, *SMALL)
    shell.refuses(*words, "--set", "train.iterations=1", naming="a.png")
    ids = np.ones((33, 33), dtype=np.int32)
    ids[:5] = 0
    write_panoptic(disagreeing / "val_png" / "a.png", ids)
    assert shell(*words, "--set", "train.iterations=1")[0] == 0
    assert (out / "log.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"recipe":1}'])
def test_a_damaged_run_is_not_resumed(shell: Shell, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    words = ("train", "deeperlab-light", "--data", "shapes", "--out", tmp_path, *SMALL)
    shell.refuses(*words, "--resume", naming="run.json")
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == text


def test_training_from_the_command_line_leaves_a_model_that_parses(
    shell: Shell, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Shapes("train", size_hw=(65, 65), count=4)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: small)
    run = tmp_path / "run"
    words = ("train", "deeperlab-light", "--data", "shapes", "--out", run, *SMALL)
    assert shell(*words, "--set", "train.iterations=1")[0] == 0
    shell.refuses(*words, "--set", "train.iterations=1", naming="--resume")
    shell.refuses(*words, "--resume", "--set", "train.iterations=2", naming="train.iterations")
    assert shell("parse", photo, "--model", run, "--out", tmp_path / "out", "--quiet")[0] == 0
    code, out, _ = shell("eval", "--data", "shapes", "--model", run, "--quiet")
    assert code == 0
    scores = json.loads(out)
    asked = {"model", "data", "split", "settings", "views", "reject_below", "least_area"}
    parts = {"panoptic", "covering", "semantic", "instance"}
    assert set(scores) == asked | parts | {"schema", "per_class", "images", "scorer"}
    assert scores["images"] == 4


def test_without_instances_no_thing_class_has_two_segments(
    shell: Shell, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("parse", photo, "--model", tiny_model, "--json")
    counts = []
    for instances in (100, 0):
        settings = ("--set", "fusion.peak_threshold=0", "--set", f"fusion.instances={instances}")
        _, out, _ = shell(*words, *settings, "--out", tmp_path / str(instances))
        classes = [s["class_id"] for s in json.loads(out)["segments"]]
        counts.append((len(classes), len(set(classes))))
    assert counts[0][0] > counts[0][1]
    assert counts[1][0] == counts[1][1]


def test_scoring_without_instances_finds_at_most_one_segment_a_class_and_image(
    shell: Shell, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Shapes("train", size_hw=(65, 65), count=2)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: small)
    words = ("eval", "--data", "shapes", "--model", tiny_model, "--set", "fusion.peak_threshold=0")
    most = []
    for settings in ((), ("--set", "fusion.instances=0")):
        code, out, err = shell(*words, *settings)
        assert code == 0
        assert "2 images" in err
        most.append(max(row["tp"] + row["fp"] for row in json.loads(out)["per_class"]))
    assert most[0] > 2 >= most[1]


def test_a_data_set_without_images_is_not_scored(
    shell: Shell, tiny_model: Path, tmp_path: Path
) -> None:
    for folder in ("val", "val_png"):
        (tmp_path / folder).mkdir()
    rows = [{"id": 1, "name": "sky", "isthing": 0}]
    write_json(tmp_path / "val.json", {"images": [], "annotations": [], "categories": rows})
    data = f"coco-panoptic={tmp_path}"
    shell.refuses("eval", "--model", tiny_model, "--data", data, naming="no image")


def test_data_with_other_classes_than_the_models_is_refused(
    shell: Shell, tiny_model: Path, shared: Path
) -> None:
    data = f"coco-panoptic={shared / 'data' / 'car_parts_panoptic'}"
    shell.refuses("eval", "--model", tiny_model, "--data", data, naming="classes")


def test_info_says_what_a_model_is(shell: Shell, tiny_model: Path) -> None:
    code, out, _ = shell("info", tiny_model)
    assert code == 0
    assert "disc" in out
    told = json.loads(shell("info", tiny_model, "--json")[1])
    assert told["network"]["system"] == "deeperlab"
    assert told["parameters"] > 1_900_000


def test_version_is_printed(shell: Shell) -> None:
    code, out, _ = shell("--version")
    assert (code, out.count(".")) == (0, 2)
