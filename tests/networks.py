"""What tests of networks share."""

from __future__ import annotations

import torch


def assert_near(ours: torch.Tensor, theirs: torch.Tensor, *, within: float) -> None:
    """Equal but for a share of the largest value."""
    assert theirs.isfinite().all()
    assert float(theirs.std()) > 0
    torch.testing.assert_close(ours, theirs, rtol=0, atol=within * float(theirs.abs().max()))
