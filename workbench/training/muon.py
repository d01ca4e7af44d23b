"""Muon, with matrices of one shape orthogonalised together: the same numbers in fewer calls.

A small model's step spends as long in `torch.optim.Muon` as in all its norms: hundreds of products
of 64 x 64, one after the other. `torch.optim.Muon` takes them in bfloat16, which is right for a GPU
and far slower than float32 on a processor that has to emulate it.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim._muon import _adjust_lr

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
"""What the products may be taken in, by the name that a run records."""

TOGETHER = 1 << 20
"""Numbers orthogonalised at a time; larger matrices gain nothing from company."""


def quickest_precision(device: torch.device) -> str:
    """Return bfloat16 where `device` multiplies it natively, float32 on any other CPU.

    A CPU does with AVX512-BF16 or AMX on x86, and with bf16 instructions on Arm.
    """
    if device.type != "cpu":
        return "bfloat16"
    native = ("amx_bf16", "avx512_bf16", "bf16")
    able = torch.cpu.get_capabilities()
    return "bfloat16" if any(able.get(name) for name in native) else "float32"


class WithoutCompiler:
    """Methods of every optimiser, without the decorator that hides them from torch.compile.

    It loads the compiler, which takes longer than a small run; nothing here compiles an optimiser.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(WithoutCompiler, torch.optim.AdamW):
    """`torch.optim.AdamW`, whose own step would load the compiler, too."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Muon(WithoutCompiler, torch.optim.Muon):
    """`torch.optim.Muon` (Jordan et al.); with `precision` bfloat16 identical to it on a CPU."""

    precision = "bfloat16"

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every matrix that has a gradient; return what `closure` returns, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices: list[Tensor] = []
            gradients: list[Tensor] = []
            momenta: list[Tensor] = []
            self._init_group(group, matrices, gradients, momenta)
            if not matrices:
                continue
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates: tuple[Tensor, ...] | list[Tensor] = momenta
            if group["nesterov"]:
                updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
            if group["weight_decay"]:
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            alike = defaultdict(list)
            for matrix, update in zip(matrices, updates, strict=True):
                alike[matrix.shape, matrix.device].append((matrix, update))
            for (shape, _), pairs in alike.items():
                rate = _adjust_lr(group["lr"], group["adjust_lr_fn"], shape)
                some = max(TOGETHER // shape.numel(), 1)
                for first in range(0, len(pairs), some):
                    targets, sources = zip(*pairs[first : first + some], strict=True)
                    steps = orthogonalised(
                        torch.stack(sources).to(PRECISIONS[self.precision]),
                        group["ns_coefficients"],
                        group["ns_steps"],
                        group["eps"],
                    )
                    torch._foreach_add_(targets, steps.unbind(), alpha=-rate)
        return loss


def orthogonalised(
    matrices: Tensor, coefficients: tuple[float, float, float], iterations: int, eps: float
) -> Tensor:
    """Bring the singular values of each matrix near 1 (Newton-Schulz, quintic).

    `matrices`: ``[matrix, out, channel]``, in the dtype of the products. `coefficients`: (a, b, c)
    of ``X' = a X + (b X X^T + c (X X^T)^2) X``, applied `iterations` times. `eps`: least norm that
    is divided by.
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    # one norm after the other, which adds up as torch.optim.Muon does
    norms = torch.stack([matrix.norm() for matrix in x.unbind()])
    x = x / norms.clamp(min=eps)[:, None, None]
    for _ in range(iterations):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
