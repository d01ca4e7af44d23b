"""flash-linear-attention's chunk kernels behind the same call (CUDA only, if installed)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sleep_kernels.contract import Call, RuleResult
from sleep_kernels.fused_options import run_plain


def run_fla(call: Call) -> RuleResult:
    """Run a call on fla's kernels; its options are plain PyTorch."""
    dtype = call.v.dtype

    def rule(
        q: Tensor | None,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor | None,
        beta: Tensor,
        state: Tensor,
        scale: float,
        delta: bool,
    ) -> tuple[Tensor | None, Tensor]:
        read = q is not None
        common: dict[str, Any] = {"scale": scale, "initial_state": state}
        common["output_final_state"] = True
        q, k, v = (x.to(dtype) for x in (k if q is None else q, k, v))
        if not delta:
            from fla.ops.simple_gla import chunk_simple_gla

            v = v * beta[..., None].to(dtype)
            decay = torch.zeros_like(beta) if log_decay is None else log_decay
            output, after = chunk_simple_gla(q, k, v, g=decay, **common)
        elif log_decay is None:
            from fla.ops.delta_rule import chunk_delta_rule

            output, after = chunk_delta_rule(q, k, v, beta.to(dtype), **common)
        else:
            from fla.ops.gated_delta_rule import chunk_gated_delta_rule

            output, after = chunk_gated_delta_rule(
                q, k, v, g=log_decay, beta=beta.to(dtype), **common
            )
        return (output.float() if read else None), after

    return run_plain(rule, call)
