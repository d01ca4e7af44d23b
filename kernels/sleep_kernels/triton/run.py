"""The Triton backend as `sleep_kernels.api` calls it."""

from __future__ import annotations

import torch

from sleep_kernels.around import finished
from sleep_kernels.contract import Call, RuleResult
from sleep_kernels.triton.arguments import Inputs, Settings, kernel_dtype
from sleep_kernels.triton.configurations import holds_every_value
from sleep_kernels.triton.operators import rule


def run_triton(call: Call) -> RuleResult:
    """Run a checked call in one kernel (two with its backward).

    Unit norms, gates and padding are worked out in the kernel. The output norm is too where one
    block of values covers all of them, forward and backward (`holds_every_value`); else it follows
    in plain PyTorch, on an output in the state's dtype, as on every other backend. A window of one
    token takes the step kernel. Inputs of any strides are taken, and q, k, v and gate
    without a copy where they are slices of wider tensors with their heads packed.
    """
    gates, norm = call.gates, call.output_norm
    inputs = Inputs(
        call.q,
        call.k,
        call.v,
        call.log_decay,
        call.beta,
        call.state,
        rate=None if gates is None else gates.log_rate,
        bias=None if gates is None else gates.decay_bias,
        weight=None if norm is None else norm.weight,
        gate=None if norm is None else norm.gate,
        valid=call.valid,
    )
    settings = Settings(
        scale=float(call.scale),
        strength=1.0 if gates is None else float(gates.strength),
        eps=0.0 if norm is None else float(norm.eps),
        delta=call.delta,
        normalise=call.normalise,
        gated=gates is not None,
        tf32=call.tf32,
    )
    outside = norm is not None and not holds_every_value(
        call.k.shape[-1], call.v.shape[-1], kernel_dtype(inputs, settings)
    )
    if outside or call.q is None:
        inputs = inputs._replace(weight=None, gate=None)
    output, state, chunks, change = rule(
        *inputs, *settings, outside, call.chunk_states, call.change_norm
    )
    read = None if call.q is None else output
    if outside and read is not None:
        with torch.autocast(call.k.device.type, enabled=False):  # it would round the norm
            read = finished(call, read).to(call.v.dtype)
    return RuleResult(
        read,
        state,
        chunks.detach() if call.chunk_states else None,
        change.detach() if call.change_norm else None,
    )
