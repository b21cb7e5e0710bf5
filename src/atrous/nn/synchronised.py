"""Batch norm over the images of all processes: how many they are makes no difference.

Source: Ioffe and Szegedy, Batch Normalization (2015), algorithm 1; Peng et al., MegDet (2018), for
statistics and gradients over several devices; Chan, Golub and LeVeque, Algorithms for Computing the
Sample Variance (1983), for how the variances of parts make that of the whole.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional as F


class SynchronisedNorm(nn.BatchNorm2d):
    """`BatchNorm2d` that normalises by the statistics of the whole batch, spread over processes.

    Outputs, gradients and running statistics are those of one process with all the images,
    however many values each process has, even none. In evaluation, and where there is no process
    group or only one process, it is `BatchNorm2d` itself.

    All processes must go forward through it, and back through it, alike: each waits for the others.

    Raises: ValueError for fewer than two values per channel in the whole batch.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalises, scales and shifts each channel."""
        if not self.training or _processes() == 1:
            return super().forward(x)
        self._check_input_dim(x)
        mean, variance, count = _moments(x.detach())
        if count < 2:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got {count} in all "
                "processes together: give more images, or larger ones"
            )
        if self.track_running_stats:
            self._track(mean, variance * count / (count - 1))
        settings = (self.weight, self.bias, mean, variance, count, self.eps)
        y: Tensor = _Normalise.apply(x, *settings)  # type: ignore[no-untyped-call]
        return y

    def _track(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _CudaNorm(nn.SyncBatchNorm, nn.BatchNorm2d):
    """Torch's own, faster where it works, which is CUDA; whoever seeks a `BatchNorm2d` finds it."""

    process_group = None
    """All processes; `SyncBatchNorm` sets it where it is built, and this class never is."""


def synchronise(network: nn.Module) -> None:
    """Makes every `BatchNorm2d` of a network normalise over all processes, in place.

    On CUDA it becomes a `torch.nn.SyncBatchNorm`, elsewhere a `SynchronisedNorm`. Modules,
    parameters, buffers, hooks and modes stay the objects that they were, and so do the names of
    the weights.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            on_cuda = any(tensor.is_cuda for tensor in tensors)
            # A new class and not a new module: who holds the module, or a tensor of it, still does.
            module.__class__ = _CudaNorm if on_cuda else SynchronisedNorm


class _Normalise(Function):
    """Torch's kernel for statistics that are given, with the gradient for those of the batch.

    With z = (x - mean) / std and averages over all processes,
    dL/dx = weight / std * (dL/dy - average(dL/dy) - z * average(z * dL/dy)).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *settings: Any) -> Tensor:
        """The output; the settings are weight, bias, mean, variance, count and eps."""
        weight, bias, mean, variance, ctx.count, ctx.eps = settings
        mean, variance = mean.to(_precise(x)), variance.to(_precise(x))
        ctx.save_for_backward(x, weight, mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, eps=ctx.eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_y: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients to x, weight and bias."""
        x, weight, mean, variance = ctx.saved_tensors
        if x.numel() > 0:
            to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
                *(to_y, x, weight, mean, variance, None, None, False, ctx.eps, [True] * 3)
            )
        else:  # the kernel would divide by the number of values
            to_x, to_weight, to_bias = x.clone(), torch.zeros_like(mean), torch.zeros_like(mean)
        if ctx.needs_input_grad[0]:
            sums = torch.stack([to_weight, to_bias]).double()
            dist.all_reduce(sums)
            sums *= -torch.rsqrt(variance.double() + ctx.eps) / ctx.count
            slope, shift = (sums if weight is None else sums * weight).to(mean.dtype)
            to_x += F.batch_norm(x, mean, variance, slope, shift, eps=ctx.eps)
        grads = zip((to_x, to_weight, to_bias), ctx.needs_input_grad, strict=False)
        return (*(grad if needed else None for grad, needed in grads), *[None] * 4)


def _moments(x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"], int]:
    """Mean and variance of each channel, float64, and the count of its values, over all processes.

    The same bits in every process. No squares of large means are subtracted.
    """
    own = x.new_zeros((3, x.shape[1]), dtype=torch.float64)
    if x.numel() > 0:
        own[0] = x.numel() // x.shape[1]
        mean, variance = x.new_zeros((2, x.shape[1]), dtype=_precise(x))  # only their type matters
        own[1], own[2] = torch.batch_norm_update_stats(x, mean, variance, 0.0)
    of_all = [torch.empty_like(own) for _ in range(_processes())]
    dist.all_gather(of_all, own)
    counts, means, variances = torch.stack(of_all, dim=1)
    shares = counts / counts.sum(dim=0)
    mean = (shares * means).sum(dim=0)
    variance = (shares * (variances + (means - mean) ** 2)).sum(dim=0)
    return mean, variance, int(counts[:, 0].sum())


def _precise(x: Tensor) -> torch.dtype:
    """The type of statistics: that of torch's own norm, whose half precision sums in float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _processes() -> int:
    joined = dist.is_available() and dist.is_initialized()
    return dist.get_world_size() if joined else 1
