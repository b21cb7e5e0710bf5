from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

TINY_NETWORK = (
    "network.decoder_width=8",
    "network.aspp_width=16",
    "network.instance_width=8",
    "train.batch=2",
    "train.crop=33",
    "input.longest_side=65",
)
"""Settings of a `deeperlab-light` that learns in no time."""

SHARED = Path(__file__).resolve().parents[2] / "shared"

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure(config: pytest.Config) -> None:
    """One thread a worker, or the workers of xdist would fight over the cores."""
    if hasattr(config, "workerinput") and find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, the sample data beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of an untrained, very small DeeperLab for the classes of `shapes`."""
    torch = pytest.importorskip("torch")
    from dataclasses import replace

    from atrous.data.shapes import Shapes
    from atrous.recipes import find
    from atrous.recipes.recipe import override
    from atrous.run.checkpoint import write_model

    settings = ("network.decoder_width=8", "network.aspp_width=16", "network.instance_width=8")
    recipe = override(find("deeperlab-light"), (*settings, "input.longest_side=65"))
    labels = Shapes("val").labels
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path, replace(recipe).build(labels).state_dict(), recipe.header(labels))
    return path


class Shell:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of one call."""
        from atrous.cli import main

        self._monkeypatch.setattr("sys.argv", ["atrous", *map(str, words)])
        with pytest.raises(SystemExit) as ending:
            main()
        out, err = self._capsys.readouterr()
        return int(ending.value.code or 0), out, err

    def refuses(self, *words: object, naming: str) -> None:
        """The call is bad input: one line on stderr that holds `naming`, nothing on stdout."""
        code, out, err = self(*words)
        assert (code, out) == (2, ""), err
        assert err.startswith("atrous: ")
        assert err.count("\n") == 1
        assert naming in err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line in this process."""
    return Shell(monkeypatch, capsys)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A drawn scene of 50 x 70 pixels."""
    from PIL import Image as Pillow

    from atrous.data.shapes import Shapes

    path = tmp_path / "photo.png"
    Pillow.fromarray(Shapes("val", size_hw=(50, 70))[0].image).save(path)
    return path
