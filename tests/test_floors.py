"""Holds the house to its floors, read from the source itself.

A house is a dict of module name ("nn.layers", "types", "__init__") to source text. A rule reads a
house and yields one line for every breach, so that each rule can be tried on a small bad house.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import atrous

House = Mapping[str, str]
Rule = Callable[[House], Iterator[str]]

SOURCE = Path(__file__).resolve().parents[1] / "src" / "atrous"

FLOORS = {
    "types": 1,
    "tensors": 1,
    "compiled": 1,
    "clock": 1,
    "labels": 2,
    "nn": 2,
    "formats": 3,
    "weights": 3,
    "views": 3,
    "instances": 4,
    "metrics": 4,
    "data": 4,
    "draw": 4,
    "progress": 4,
    "processes": 4,
    "semantic": 4,
    "tracking": 4,
    "video": 4,
    "systems": 5,
    "run": 5,
    "result": 5,
    "score": 5,
    "recipes": 6,
    "parser": 7,
    "training": 7,
    "convert": 7,
    "doctor": 7,
    "serve": 8,
    "export": 8,
    "batch": 8,
    "bench": 8,
    "card": 8,
    "cli": 9,
    "__init__": 10,
    "__main__": 10,
}
"""A room is a whole folder or a single file; those of one floor do not know each other."""

SAME_FLOOR = {("tensors", "types"), ("parser", "convert"), ("training", "convert")}
"""The exceptions: the torch nouns stand on the plain ones; foreign weights come in by `convert`."""

REPRESENTATIONS = ("instances.keypoints", "instances.boxes")
BUILT_ON_THEM = ("instances.batched", "instances.merging", "instances.fuse")
"""Instances are keypoints or boxes: neither knows the other, nor what is built on them."""

NN_KNOWS = {
    *("__future__", "collections", "dataclasses", "functools", "hashlib", "itertools", "math"),
    *("operator", "typing", "jaxtyping", "torch"),
}

PEERS = {"segmentation_models_pytorch", "timm", "torchmetrics", "torchvision", "transformers"}
"""For parity tests and benchmarks only; see constraints.txt on why."""

ON_DISK = {
    *("data", "formats", "run.checkpoint", "convert", "training", "score", "export", "serve"),
    *("cli", "batch", "video"),
    "run.history",
    "run.memory",
    "run.states",
    "run.logs",  # keeps one log open and adds a line a step: formats writes whole files only
    "parser",  # lists the models in the package, to find one by name
    "compiled",  # reads the sources of kernels, to know whether what is compiled still holds
}
DISK_CALLS = {
    *("open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "rename"),
    *("glob", "iterdir", "listdir", "rglob", "scandir"),
    *("imread", "imwrite", "VideoCapture", "fromfile", "tofile"),
    *("save_file", "load_file", "safe_open"),
}
DISK_MODULES = {"http", "huggingface_hub", "shutil", "socket", "tempfile", "urllib"}

DRAWERS = {"common", "helper", "helpers", "misc", "util", "utils"}
FILE_LINES = 300
FUNCTION_LINES = 30


def read_house(root: Path) -> dict[str, str]:
    """Module name -> source of every file under `root`."""
    house = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        package = len(parts) > 1 and parts[-1] == "__init__"
        house[".".join(parts[:-1] if package else parts)] = path.read_text(encoding="utf-8")
    return house


def room(module: str) -> str:
    return module.partition(".")[0]


def nodes(house: House) -> Iterator[tuple[str, ast.AST]]:
    for module, text in house.items():
        for node in ast.walk(ast.parse(text)):
            yield module, node


def imports(house: House) -> Iterator[tuple[str, str]]:
    """(module, imported name in full), wherever in the file the import stands."""
    for module, node in nodes(house):
        if isinstance(node, ast.Import):
            yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((module, f"{start}.{alias.name}") for alias in node.names)


def foreign_imports(house: House) -> Iterator[tuple[str, str]]:
    """(module, name of the package that it imports from outside)."""
    for module, name in imports(house):
        if room(name) not in ("atrous", ""):
            yield module, room(name)


def own_imports(house: House) -> Iterator[tuple[str, str]]:
    """(module, module of the house that it imports)."""
    for module, name in imports(house):
        if room(name) == "atrous":
            yield module, _module_of(name.split(".")[1:], house)


def _module_of(path: list[str], house: House) -> str:
    for length in range(len(path), 0, -1):
        if (module := ".".join(path[:length])) in house:
            return module
    return path[0] if path and path[0] in FLOORS else "__init__"


def every_module_has_a_floor(house: House) -> Iterator[str]:
    for module in house:
        if room(module) not in FLOORS:
            yield f"{module} is on no floor"


def imports_point_down(house: House) -> Iterator[str]:
    for module, target in own_imports(house):
        pair = room(module), room(target)
        below = FLOORS[pair[1]] < FLOORS.get(pair[0], 0)
        if not below and pair[0] != pair[1] and pair not in SAME_FLOOR:
            yield f"{module} imports {target}"


def imports_can_be_read(house: House) -> Iterator[str]:
    """The other rules see only imports in full, made by the import statement."""
    for module, name in imports(house):
        if name.startswith("."):
            yield f"{module} imports {name}, which is relative"
    for module, name in _calls(house):
        if name in ("import_module", "__import__") and module != "__init__":
            yield f"{module} calls {name}"


def no_system_imports_another(house: House) -> Iterator[str]:
    for module, target in own_imports(house):
        mine, other = (name.split(".")[:2] for name in (module, target))
        is_shared = target.startswith("systems.base")
        if mine[0] == other[0] == "systems" and mine != other and len(mine) > 1 and not is_shared:
            yield f"{module} imports {target}"


def no_representation_knows_more_than_itself(house: House) -> Iterator[str]:
    for module, target in own_imports(house):
        for mine in REPRESENTATIONS:
            others = {*REPRESENTATIONS, *BUILT_ON_THEM} - {mine}
            if _is_in(module, {mine}) and _is_in(target, others):
                yield f"{module} imports {target}"


def nn_knows_torch_only(house: House) -> Iterator[str]:
    for module, package in foreign_imports(house):
        if room(module) == "nn" and package not in NN_KNOWS:
            yield f"{module} imports {package}"
    for module, target in own_imports(house):
        if room(module) == "nn" and room(target) != "nn":
            yield f"{module} imports {target}"


def few_touch_the_disk(house: House) -> Iterator[str]:
    for module, name in _calls(house):
        if name in DISK_CALLS and not _is_in(module, ON_DISK):
            yield f"{module} calls {name}"
    for module, package in foreign_imports(house):
        if package in DISK_MODULES and not _is_in(module, ON_DISK):
            yield f"{module} imports {package}"


def _is_in(module: str, places: Collection[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _calls(house: House) -> Iterator[tuple[str, str]]:
    """(module, last name of what it calls)."""
    for module, node in nodes(house):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield module, name


def nothing_goes_in_circles(house: House) -> Iterator[str]:
    graph: dict[str, set[str]] = {module: set() for module in house}
    for module, target in own_imports(house):
        if module != target:
            graph.setdefault(module, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " <- ".join(error.args[1])


def no_type_checking_imports(house: House) -> Iterator[str]:
    for module, node in nodes(house):
        match node:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                yield f"{module} says TYPE_CHECKING"


def no_junk_drawers(house: House) -> Iterator[str]:
    for module in house:
        if DRAWERS & set(module.split(".")):
            yield f"{module} has a name that says nothing"


def no_peers_and_no_pickles(house: House) -> Iterator[str]:
    for module, package in foreign_imports(house):
        if package in PEERS:
            yield f"{module} imports {package}"
    for module, name in imports(house):
        if room(name) == "pickle" and name != "pickle.UnpicklingError":
            yield f"{module} imports pickle"
    for module, node in nodes(house):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            asked = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if asked.get("weights_only") != "True":
                yield f"{module} loads a pickle with code"


def files_are_short(house: House) -> Iterator[str]:
    for module, text in house.items():
        if (lines := len(text.splitlines())) > FILE_LINES:
            yield f"{module} has {lines} lines"


def functions_are_short(house: House) -> Iterator[str]:
    for module, node in nodes(house):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (lines := _body_lines(node)) > FUNCTION_LINES:
            yield f"{module}.{node.name} has {lines} lines"


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement on: a long signature or docstring is no long function."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


RULES: list[Rule] = [
    every_module_has_a_floor,
    imports_point_down,
    imports_can_be_read,
    no_system_imports_another,
    no_representation_knows_more_than_itself,
    nn_knows_torch_only,
    few_touch_the_disk,
    nothing_goes_in_circles,
    no_type_checking_imports,
    no_junk_drawers,
    no_peers_and_no_pickles,
    files_are_short,
    functions_are_short,
]

HEAD = 'def f(\n    x,\n):\n    """Docstring\n\n    end."""\n'

BREACHES: list[tuple[Rule, dict[str, str], str]] = [
    (every_module_has_a_floor, {"attic": ""}, "attic is on no floor"),
    (imports_point_down, {"types": "import atrous.labels"}, "types imports labels"),
    (imports_point_down, {"types": "from atrous import draw"}, "types imports draw"),
    (imports_point_down, {"cli": "from atrous import load"}, "cli imports __init__"),
    (imports_point_down, {"draw": "from atrous.metrics import x"}, "draw imports metrics"),
    (
        imports_point_down,
        {"run.train": "def f():\n    from atrous.systems.fcrn import x", "systems.fcrn": ""},
        "run.train imports systems.fcrn",
    ),
    (
        imports_point_down,
        {"systems.fcrn": "import atrous.run.train", "run.train": ""},
        "systems.fcrn imports run.train",
    ),
    (imports_point_down, {"convert": "import atrous.parser"}, "convert imports parser"),
    (imports_can_be_read, {"cli": "from .draw import x"}, "cli imports .draw.x, which is relative"),
    (imports_can_be_read, {"cli": "import_module('atrous.draw')"}, "cli calls import_module"),
    (
        no_system_imports_another,
        {"systems.fcrn": "from atrous.systems.pspnet import x", "systems.pspnet": ""},
        "systems.fcrn imports systems.pspnet",
    ),
    (
        no_representation_knows_more_than_itself,
        {
            "instances.boxes.coding": "from atrous.instances import keypoints",
            "instances.keypoints": "",
        },
        "instances.boxes.coding imports instances.keypoints",
    ),
    (
        no_representation_knows_more_than_itself,
        {
            "instances.keypoints": "from atrous.instances.batched import votes",
            "instances.batched.votes": "",
        },
        "instances.keypoints imports instances.batched.votes",
    ),
    (nn_knows_torch_only, {"nn.layers": "import numpy as np"}, "nn.layers imports numpy"),
    (
        nn_knows_torch_only,
        {"nn.layers": "from atrous.types import Sample", "types": ""},
        "nn.layers imports types",
    ),
    (few_touch_the_disk, {"draw": "open('x')"}, "draw calls open"),
    (few_touch_the_disk, {"run.train": "path.write_text('x')"}, "run.train calls write_text"),
    (few_touch_the_disk, {"draw": "from PIL import Image\nImage.open(p)"}, "draw calls open"),
    (few_touch_the_disk, {"metrics.panoptic": "cv2.imread(p)"}, "metrics.panoptic calls imread"),
    (few_touch_the_disk, {"run.train": "path.glob('*')"}, "run.train calls glob"),
    (few_touch_the_disk, {"result": "path.mkdir()"}, "result calls mkdir"),
    (few_touch_the_disk, {"weights": "import urllib.request"}, "weights imports urllib"),
    (
        nothing_goes_in_circles,
        {"nn.a": "import atrous.nn.b", "nn.b": "def f():\n    from atrous.nn import a"},
        "nn.a <- nn.b <- nn.a",
    ),
    (
        no_type_checking_imports,
        {"draw": "import typing\nif typing.TYPE_CHECKING: pass"},
        "draw says TYPE_CHECKING",
    ),
    (no_junk_drawers, {"nn.utils": ""}, "nn.utils has a name that says nothing"),
    (
        no_peers_and_no_pickles,
        {"nn.resnet": "from torchvision.models import resnet50"},
        "nn.resnet imports torchvision",
    ),
    (no_peers_and_no_pickles, {"convert": "import pickle"}, "convert imports pickle"),
    (no_peers_and_no_pickles, {"convert": "from pickle import loads"}, "convert imports pickle"),
    (no_peers_and_no_pickles, {"convert": "torch.load(p)"}, "convert loads a pickle with code"),
    (files_are_short, {"draw": "\n" * (FILE_LINES + 1)}, f"draw has {FILE_LINES + 1} lines"),
    (
        functions_are_short,
        {"draw": "def f():\n" + "    pass\n" * (FUNCTION_LINES + 1)},
        f"draw.f has {FUNCTION_LINES + 1} lines",
    ),
]

SOUND: list[tuple[Rule, dict[str, str]]] = [
    (imports_point_down, {"tensors": "from atrous.types import Sample", "types": ""}),
    (imports_point_down, {"parser": "from atrous.convert import convert", "convert": ""}),
    (imports_point_down, {"nn.a": "from atrous.nn.b import x", "nn.b": ""}),
    (imports_can_be_read, {"__init__": "import_module('atrous.draw')"}),
    (
        no_representation_knows_more_than_itself,
        {
            "instances.boxes.a": "from atrous.instances.boxes import b",
            "instances.boxes.b": "from atrous.instances import voting",
            "instances.fuse": "from atrous.instances.keypoints import x",
            "instances.keypoints": "",
            "instances.voting": "",
        },
    ),
    (nn_knows_torch_only, {"nn.a": "from torch.nn import functional\nfrom atrous.nn import b"}),
    (few_touch_the_disk, {"data.voc": "open('x')", "run.checkpoint": "safe_open('x')"}),
    (few_touch_the_disk, {"run.logs": "path.open('a')", "parser": "path.glob('*')"}),
    (nothing_goes_in_circles, {"nn.a": "import atrous.nn.b", "nn.b": "import torch"}),
    (no_peers_and_no_pickles, {"convert": "torch.load(p, weights_only=True)"}),
    (files_are_short, {"draw": "\n" * FILE_LINES}),
    (functions_are_short, {"draw": HEAD + "    pass\n" * FUNCTION_LINES}),
    (functions_are_short, {"draw": HEAD}),
]


@pytest.fixture(scope="module")
def source() -> dict[str, str]:
    house = read_house(SOURCE)
    assert {"__init__", "types", "nn", "nn.layers"} <= set(house)
    return house


@pytest.mark.parametrize("rule", RULES)
def test_source_keeps_the_rule(rule: Rule, source: dict[str, str]) -> None:
    breaches = list(rule(source))
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize(("rule", "house", "breach"), BREACHES)
def test_rule_reports_its_breach(rule: Rule, house: dict[str, str], breach: str) -> None:
    assert list(rule(house)) == [breach]


@pytest.mark.parametrize(("rule", "house"), SOUND)
def test_rule_lets_a_sound_house_stand(rule: Rule, house: dict[str, str]) -> None:
    assert list(rule(house)) == []


def test_every_rule_has_a_breach_that_it_reports() -> None:
    assert {rule for rule, _, _ in BREACHES} == set(RULES)


def test_stub_says_where_each_public_name_lives() -> None:
    stub = {
        alias.asname: node.module
        for node in ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = vars(atrous)["_HOMES"]
    assert stub == {name: f"atrous.{home}" for name, home in homes.items()}
    assert {*stub, "__version__"} == set(atrous.__all__)
