"""Public weights by name: `hf:OWNER/REPOSITORY/FILE` on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from atrous.types import BadInput

PREFIX = "hf:"


def located(name: str | Path) -> Path:
    """A file as it is, a run folder's model; of a name on the hub its copy, downloaded once.

    Raises: BadInput if the name is not whole, if huggingface-hub is not installed, or if there is
    neither a copy nor a network.
    """
    text = str(name)
    if not text.startswith(PREFIX):
        return Path(name) / "last.safetensors" if Path(name).is_dir() else Path(name)
    owner, repository, file = _parts(text)
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise BadInput(f"{text}: install huggingface-hub, or give a file") from error
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:  # its errors are those of several libraries below it
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"{text}: not downloaded ({reason}): check name and network, or fetch the file "
            "elsewhere and give its path"
        ) from error


def _parts(text: str) -> tuple[str, str, str]:
    owner, _, rest = text.removeprefix(PREFIX).partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise BadInput(
            f"{text}: write hf:OWNER/REPOSITORY/FILE, such as "
            "hf:timm/resnet50.tv_in1k/model.safetensors"
        )
    return owner, repository, file
