"""The Triton backend as `sleep_kernels.api` calls it."""

from __future__ import annotations

import torch

from sleep_kernels.around import finished
from sleep_kernels.contract import Call, RuleResult
from sleep_kernels.operators import put_together, taken_apart
from sleep_kernels.triton.arguments import kernel_dtype
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
    inputs, settings = taken_apart(call)
    outside = call.output_norm is not None and not holds_every_value(
        call.k.shape[-1], call.v.shape[-1], kernel_dtype(inputs, settings)
    )
    if outside:
        inputs = inputs._replace(weight=None, gate=None)
    found = rule(*inputs, *settings, outside, call.chunk_states, call.change_norm)
    result = put_together(call, found)
    if not outside or result.output is None:
        return result
    with torch.autocast(call.k.device.type, enabled=False):  # it would round the norm
        return result._replace(output=finished(call, result.output).to(call.v.dtype))
