"""Labels, files, pictures, scores and help must not need torch: each test is a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKED = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("torch is blocked", name=name)

sys.meta_path.insert(0, NoTorch())
"""

NOUNS = """
import numpy as np

from atrous import Label, LabelSpace, Labelled, Parse, Region, Segment

labels = LabelSpace((Label("sky", (0, 0, 255), False, 7), Label("cat", (255, 0, 0), True, 9)))
ids = np.ones((6, 6), np.int32)
ids[2:5, 2:5] = 2
truth = Labelled(ids, (Region(1, 0), Region(2, 1)))
"""

HELP = """
import sys

sys.argv = ["atrous", "--help"]
from atrous.cli import main

try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert "torch" not in sys.modules
"""


def run(*parts: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the parts as one program in `folder`, and shows what it said if it failed."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_torch_is_really_blocked(tmp_path: Path) -> None:
    code = "try:\n    import torch.nn\nexcept ImportError:\n    print('blocked')"
    assert run(BLOCKED, code, folder=tmp_path).stdout == "blocked\n"


def test_package_imports_without_torch_and_knows_its_version(tmp_path: Path) -> None:
    run(BLOCKED, "import atrous\nassert atrous.__version__", folder=tmp_path)


def test_import_of_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'numpy', 'cv2', 'PIL', 'typer'} & set(sys.modules)"
    run("import sys, atrous", f"assert not {heavy}, {heavy}", folder=tmp_path)


def test_labels_work_without_torch(tmp_path: Path) -> None:
    code = "assert labels.semantic(truth).tolist()[3] == [0, 0, 1, 1, 1, 0]"
    run(BLOCKED, NOUNS, code, folder=tmp_path)


def test_formats_work_without_torch(tmp_path: Path) -> None:
    code = """
from atrous.formats import read_panoptic, write_panoptic

write_panoptic("a.png", ids)
entries = [{"id": 1, "category_id": 7, "area": 27}, {"id": 2, "category_id": 9, "area": 9}]
again = read_panoptic("a.png", entries, labels.class_ids())
assert (again.ids == ids).all() and again.regions == truth.regions
"""
    run(BLOCKED, NOUNS, code, folder=tmp_path)


def test_drawing_works_without_torch(tmp_path: Path) -> None:
    code = """
from atrous.draw import overlay

segments = (
    Segment(1, 0, "sky", False, 1.0, 27, (0, 0, 6, 6)),
    Segment(2, 1, "cat", True, 1.0, 9, (2, 2, 5, 5)),
)
parse = Parse(ids, labels.semantic(truth), np.ones((6, 6), np.float32), segments)
picture = overlay(np.zeros((6, 6, 3), np.uint8), parse, labels, legend=False)
assert picture.shape == (6, 6, 3) and picture[3, 3].any()
"""
    run(BLOCKED, NOUNS, code, folder=tmp_path)


def test_panoptic_score_works_without_torch(tmp_path: Path) -> None:
    code = """
from atrous.metrics.covering import ParsingCovering
from atrous.metrics.panoptic import PanopticQuality

quality, covering = PanopticQuality(labels), ParsingCovering(labels)
quality.update(truth, truth)
covering.update(truth, truth)
assert quality.compute().all.pq == covering.compute().paper == 1.0
"""
    run(BLOCKED, NOUNS, code, folder=tmp_path)


def test_semantic_score_works_without_torch(tmp_path: Path) -> None:
    code = """
from atrous.metrics.semantic import ConfusionMatrix

matrix = ConfusionMatrix(classes=2, void=255)
matrix.update(labels.semantic(truth), labels.empty((6, 6)) * 0)
assert matrix.compute().pixel_accuracy == 0.75
"""
    run(BLOCKED, NOUNS, code, folder=tmp_path)


def test_shapes_are_drawn_written_read_and_scored_without_torch(tmp_path: Path) -> None:
    code = """
from atrous.data.shapes import Shapes
from atrous.formats import read_panoptic, write_panoptic
from atrous.metrics.panoptic import PanopticQuality

source = Shapes("val", size_hw=(65, 65))
truth, file_ids = source[0].truth, [label.file_id for label in source.labels.labels]
write_panoptic("shapes.png", truth.ids)
rows = [{"id": r.id, "category_id": file_ids[r.class_id]} for r in truth.regions]
again = read_panoptic("shapes.png", rows, source.labels.class_ids())
quality = PanopticQuality(source.labels)
quality.update(truth, again)
assert len(truth.regions) > 1 and quality.compute().all.pq == 1.0
"""
    run(BLOCKED, code, folder=tmp_path)


def test_help_works_without_torch(tmp_path: Path) -> None:
    assert "parse" in run(BLOCKED, HELP, folder=tmp_path).stdout


def test_help_does_not_load_torch(tmp_path: Path) -> None:
    """Torch is there to be loaded: an import in `try` would not be seen where it is blocked."""
    assert "parse" in run(HELP, folder=tmp_path).stdout


def test_files_are_scored_without_torch(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path

from atrous.cli import main
from atrous.formats import write_classes
from atrous.labels import VOC

for side in ("gt", "pred"):
    write_classes(Path(side) / "a.png", VOC.empty((4, 4)) * 0 + 3, VOC, void=255)
sys.argv = ["atrous", "score", "--gt", "gt", "--pred", "pred", "--gt-format", "voc"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert "torch" not in sys.modules
"""
    assert '"miou": 1.0' in run(BLOCKED, code, folder=tmp_path).stdout


def test_a_data_set_is_examined_without_torch(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path

import numpy as np

from atrous.cli import main
from atrous.formats import write_class_map, write_image, write_json

classes = [{"id": 0, "name": "sky"}, {"id": 1, "name": "road"}]
write_json("set/classes.json", {"classes": classes})
ids = np.repeat(np.arange(2, dtype=np.uint8), 8)[:, None].repeat(16, 1)
write_class_map(Path("set/labels/train/a.png"), ids)
write_image(Path("set/images/train/a.png"), np.stack((ids * 90,) * 2 + (ids + 7,), -1))
sys.argv = ["atrous", "doctor", "folder=set", "--json", "--sheet", "sheet.png"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert Path("sheet.png").is_file()
assert "torch" not in sys.modules
"""
    assert '"healthy": true' in run(BLOCKED, code, folder=tmp_path).stdout
