"""The custom operators: one for a call's forward, one for its backward.

`torch.compile` sees each as one opaque node, with shapes from ``register_fake``. Neither mutates
anything, and the backward saves nothing but the call's own inputs. An operator cannot return None,
so what is absent comes back as an empty tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sleep_kernels.contract import CHUNK
from sleep_kernels.triton.arguments import Inputs, Settings, kept_dtype
from sleep_kernels.triton.backward import run_backward
from sleep_kernels.triton.forward import run_forward
from sleep_kernels.triton.step import run_step

_INPUTS = (
    "Tensor? q, Tensor k, Tensor v, Tensor? log_decay, Tensor? beta, Tensor? state, Tensor? rate, "
    "Tensor? bias, Tensor? weight, Tensor? gate, Tensor? valid, "
    "float scale, float strength, float eps, bool delta, bool normalise, bool gated, bool tf32"
)
_TENSORS = len(Inputs._fields)
_SETTINGS = len(Settings._fields)


def _split(arguments: tuple[Any, ...]) -> tuple[Inputs, Settings, tuple[Any, ...]]:
    """Return an operator's flat arguments as inputs, settings and the rest."""
    end = _TENSORS + _SETTINGS
    return Inputs(*arguments[:_TENSORS]), Settings(*arguments[_TENSORS:end]), arguments[end:]


def _present(like: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    """Return tensors with an empty one for every None."""
    return [like.new_empty(0) if x is None else x for x in tensors]


@torch.library.custom_op(
    "sleep_kernels::rule",
    mutates_args=(),
    schema=f"({_INPUTS}, bool wide, bool chunk_states, bool change_norm) -> "
    "(Tensor, Tensor, Tensor, Tensor)",
)
def rule(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a window: arguments as `Inputs`, `Settings`, wide, chunk_states, change_norm.

    Returns
    -------
    tuple of Tensor
        Output, state, chunk states and change norm, empty where not asked for.
    """
    inputs, settings, (wide, chunk_states, change_norm) = _split(arguments)
    run = run_step if inputs.k.shape[1] == 1 else run_forward
    found = run(inputs, settings, wide=wide, chunk_states=chunk_states, change_norm=change_norm)
    output, after, chunks, change = _present(inputs.v, *found)
    return output, after, chunks, change


@rule.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs, _, (wide, chunk_states, change_norm) = _split(arguments)
    k, v = inputs.k, inputs.v
    batch, tokens, heads, keys = k.shape
    kept = kept_dtype(v)
    state = (heads, keys, v.shape[-1])
    output, chunks, change = (v.new_empty(0) for _ in range(3))  # outputs must not alias
    if inputs.q is not None:
        output = torch.empty(v.shape, dtype=kept if wide else v.dtype, device=v.device)
    if chunk_states:
        chunks = v.new_empty((batch, (tokens + CHUNK - 1) // CHUNK, *state), dtype=kept)
    if change_norm:
        change = v.new_empty((batch, heads), dtype=kept)
    return output, v.new_empty((batch, *state), dtype=kept), chunks, change


@torch.library.custom_op(
    "sleep_kernels::rule_backward",
    mutates_args=(),
    schema=f"({_INPUTS}, Tensor? d_output, Tensor? d_after) -> Tensor[]",
)
def rule_backward(*arguments: Any) -> list[Tensor]:
    """Run the backward of a window: arguments as `Inputs`, `Settings`, d_output, d_after.

    Returns
    -------
    list of Tensor
        `Gradients`, empty where there is none.
    """
    inputs, settings, (d_output, d_after) = _split(arguments)
    return _present(inputs.v, *run_backward(inputs, settings, d_output, d_after))


@rule_backward.register_fake
def _(*arguments: Any) -> list[Tensor]:
    inputs, _, (d_output, _) = _split(arguments)
    if d_output is None:
        inputs = inputs._replace(q=None, weight=None, gate=None)
    return _present(
        inputs.v,
        *(None if x is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
          for x in inputs[:-1]),
    )  # fmt: skip


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:_TENSORS])
    ctx.settings = inputs[_TENSORS : _TENSORS + _SETTINGS]
    ctx.rest = len(inputs) - _TENSORS


def _gradients(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs = Inputs(*ctx.saved_tensors)
    d_output, d_after = gradients[:2]
    if inputs.q is None:
        d_output = None  # of the empty tensor in its place
    found = rule_backward(*inputs, *ctx.settings, d_output, d_after)
    kept = (
        None if x is None or gradient.shape != x.shape else gradient
        for x, gradient in zip(inputs[:-1], found, strict=True)
    )
    return *kept, None, *(None,) * ctx.rest


rule.register_autograd(_gradients, setup_context=_setup)
