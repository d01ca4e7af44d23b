"""The kernels as backend "triton" runs them."""

from __future__ import annotations

import torch

from sleep_kernels.contract import Call, RuleResult
from sleep_kernels.fused_options import finish
from sleep_kernels.operators import Inputs, Outputs, Settings, custom_operator, flatten, unflatten
from sleep_kernels.triton.arguments import kernel_dtype
from sleep_kernels.triton.backward import run_backward
from sleep_kernels.triton.configurations import holds_every_value
from sleep_kernels.triton.forward import run_forward
from sleep_kernels.triton.step import run_step


def run_triton(call: Call) -> RuleResult:
    """Run a checked call in one kernel (two with its backward).

    Unit norms, gates and padding are applied in the kernel. The output norm is too if one block of
    values covers all of them, forward and backward (`holds_every_value`); else it follows in plain
    PyTorch, on an output in the state's dtype, as on every other backend. A window of one token
    takes the step kernel. Inputs may have any strides, and q, k, v and gate are not copied if they
    are slices of wider tensors with their heads packed.
    """
    inputs, settings = flatten(call)
    outside = call.options.output_norm is not None and not holds_every_value(
        call.k.shape[-1], call.v.shape[-1], kernel_dtype(inputs, settings)
    )
    if outside:
        inputs = inputs._replace(weight=None, gate=None)
    result = unflatten(call, rule(*inputs, *settings._replace(wide=outside)))
    if not outside or result.output is None:
        return result
    with torch.autocast(call.k.device.type, enabled=False):  # it would round the norm
        return result._replace(output=finish(call.options, result.output).to(call.v.dtype))


def _forward(inputs: Inputs, settings: Settings) -> Outputs:
    run = run_step if inputs.k.shape[1] == 1 else run_forward
    return run(inputs, settings)


rule = custom_operator("triton_rule", _forward, run_backward)
