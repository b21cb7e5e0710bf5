from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from atrous.convert.hub import located
from atrous.types import BadInput

NAME = "hf:timm/resnet50.tv_in1k/model.safetensors"


def hub(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))


def test_a_path_stays_what_it_is() -> None:
    assert located("runs/1") == Path("runs/1")
    assert located(Path("x.pth")) == Path("x.pth")


def test_a_name_on_the_hub_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(tmp_path / file)

    hub(monkeypatch, download)
    assert located(NAME) == tmp_path / "model.safetensors"
    assert asked == [("timm/resnet50.tv_in1k", "model.safetensors")]


def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, file: str) -> str:
        raise OSError("no route to host\nmore of it")

    hub(monkeypatch, download)
    with pytest.raises(BadInput, match=r"no route to host.*give its path") as caught:
        located(NAME)
    assert "\n" not in str(caught.value)


def test_without_the_library_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput, match="install huggingface-hub"):
        located(NAME)


@pytest.mark.parametrize("name", ["hf:", "hf:timm", "hf:timm/resnet50", "hf:/a/b"])
def test_half_a_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="hf:OWNER/REPOSITORY/FILE"):
        located(name)
