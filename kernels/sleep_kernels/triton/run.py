"""The kernels as backend "triton" runs them."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from sleep_kernels.contract import CHUNK, Call, RuleResult, state_dtype
from sleep_kernels.fused_options import finish
from sleep_kernels.norms import full_precision
from sleep_kernels.operators import (
    SUMMED,
    Inputs,
    Outputs,
    Settings,
    empty_outputs,
    flatten,
    gradient_shape,
    gradients,
    operators,
    unflatten,
)
from sleep_kernels.triton.arguments import all_indexable, constants, kernel_dtype, strides_of
from sleep_kernels.triton.backward import backward_kernel
from sleep_kernels.triton.configurations import (
    Configuration,
    backward_configuration,
    forward_configuration,
    holds_every_value,
    step_configuration,
)
from sleep_kernels.triton.forward import forward_kernel
from sleep_kernels.triton.step import step_kernel


class Launch(NamedTuple):
    """A kernel, how many programs run it, and its arguments by name."""

    kernel: Any
    programs: int
    size: Configuration
    arguments: dict[str, Any]

    def __call__(self) -> None:
        """Launch it, on the device where its tensors are."""
        device = self.arguments["p_k"].device
        here = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
        with here:
            self.kernel[(self.programs,)](
                **self.arguments, num_warps=self.size.warps, num_stages=self.size.stages
            )


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
    with full_precision(call.k.device):  # autocast would round the norm
        return result._replace(output=finish(call.options, result.output).to(call.v.dtype))


def forward_launch(inputs: Inputs, settings: Settings) -> tuple[Launch, Outputs]:
    """Return the launch of the forward kernel, or of the step kernel, and what it fills.

    The change norm is still a square, for every block of values.
    """
    keys, values, tokens = inputs.k.shape[-1], inputs.v.shape[-1], inputs.k.shape[1]
    if tokens == 1:
        kernel, size = step_kernel, step_configuration(keys, values)
    else:
        size = forward_configuration(keys, values, kernel_dtype(inputs, settings))
        kernel = forward_kernel
    blocks = triton.cdiv(values, size.BV)
    output, after, chunks = empty_outputs(inputs, settings)
    change = after.new_empty((*after.shape[:2], blocks)) if settings.change_norm else None
    more = {"p_o": output, "p_after": after, "p_chunks": chunks, "p_change": change}
    arguments = _arguments(kernel, inputs, settings, size, pieces=True) | more
    programs = after.shape[0] * after.shape[1] * blocks
    return Launch(kernel, programs, size, arguments), (output, after, chunks, change)


def _forward(inputs: Inputs, settings: Settings) -> Outputs:
    launch, (output, after, chunks, change) = forward_launch(inputs, settings)
    launch()
    return output, after, chunks, None if change is None else change.sum(-1).sqrt()


def backward_launch(
    inputs: Inputs, settings: Settings, d_output: Tensor | None, d_after: Tensor | None
) -> tuple[Launch, dict[str, Tensor | None]]:
    """Return the launch of the backward kernel, and the gradients that it fills, by input.

    `d_output`, `d_after`: gradients of output and state; None means zeros. Those of rate, bias and
    weight are one sum a program.
    """
    batch, tokens, heads, keys = inputs.k.shape
    v, kept = inputs.v, state_dtype(inputs.v.dtype)
    size = backward_configuration(keys, v.shape[-1], kernel_dtype(inputs, settings))
    blocks, chunks = triton.cdiv(v.shape[-1], size.BV), triton.cdiv(tokens, CHUNK)

    def buffer(name: str, x: Tensor | None) -> Tensor | None:
        """Return a contiguous buffer; `torch.empty_like` may keep strides."""
        if x is None:
            return None
        summed = name in SUMMED or (blocks > 1 and name in ("q", "k", "log_decay", "beta"))
        return x.new_empty(gradient_shape(inputs, name), dtype=kept if summed else x.dtype)

    found = {name: buffer(name, x) for name, x in inputs._asdict().items() if name != "valid"}
    starts = None
    if chunks > 1:
        starts = v.new_empty((batch * heads * chunks * size.BK * size.BV,), dtype=kept)
    arguments = _arguments(backward_kernel, inputs, settings, size) | {
        "p_do": None if d_output is None else d_output.contiguous(),
        "p_dafter": None if d_after is None else d_after.contiguous(),
        **{f"p_d{SHORT.get(name, name)}": x for name, x in found.items()},
        "p_starts": starts,
    }
    return Launch(backward_kernel, batch * heads, size, arguments), found


def _backward(
    inputs: Inputs, settings: Settings, d_output: Tensor | None, d_after: Tensor | None
) -> tuple[Tensor | None, ...]:
    launch, found = backward_launch(inputs, settings, d_output, d_after)
    launch()
    return gradients(inputs, found)


SHORT = {"log_decay": "g"}
"""Inputs by their names in the kernels, where these differ."""


def _arguments(
    kernel: Any, inputs: Inputs, settings: Settings, size: Configuration, pieces: bool = False
) -> dict[str, Any]:
    """Return the arguments of a kernel, but for buffers."""
    inputs = all_indexable(inputs)
    given = {f"p_{SHORT.get(name, name)}": x for name, x in inputs._asdict().items()}
    given |= strides_of(inputs) | constants(inputs, settings, pieces=pieces)
    given |= {"tokens": inputs.k.shape[1], "heads": inputs.k.shape[2], "BK": size.BK, "BV": size.BV}
    return {name: x for name, x in given.items() if name in kernel.arg_names}


rule, _ = operators("triton_rule", _forward, _backward)
