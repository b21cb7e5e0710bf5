from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

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
