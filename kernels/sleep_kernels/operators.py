"""A rule as operators of PyTorch, for the backends that have kernels: forward and backward.

They mutate nothing, and the backward saves only the call's inputs. A custom operator cannot return
None, so an absent result comes back as an empty tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sleep_kernels.contract import CHUNK, Call, Gates, RuleResult, state_dtype
from sleep_kernels.once import differentiable_once


class Inputs(NamedTuple):
    """Tensors of a call; shapes and meaning as in `sleep_kernels.contract`.

    ``rate`` and ``bias`` belong to the gates, ``weight`` and ``gate`` to the output norm.
    """

    q: Tensor | None
    k: Tensor
    v: Tensor
    log_decay: Tensor | None
    beta: Tensor | None
    state: Tensor | None
    rate: Tensor | None
    bias: Tensor | None
    weight: Tensor | None
    gate: Tensor | None
    valid: Tensor | None


class Settings(NamedTuple):
    """Numbers and flags of a call: its `Options`, the gates' ``strength`` and the norm's ``eps``.

    ``wide``: return the output in the state's dtype instead of v's, for work that follows outside.
    """

    scale: float
    strength: float
    eps: float
    delta: bool
    normalise: bool
    gated: bool
    tf32: bool
    chunk_states: bool
    change_norm: bool
    wide: bool = False


Outputs = tuple[Tensor | None, Tensor, Tensor | None, Tensor | None]
"""Output, state, chunk states and change norm as in `RuleResult`; None where not asked for."""

Forward = Callable[[Inputs, Settings], Outputs]
Backward = Callable[[Inputs, Settings, Tensor | None, Tensor | None], "tuple[Tensor | None, ...]"]
"""``backward(inputs, settings, d_output, d_after)``: a gradient for each input but `valid`.

Without `d_output`, the inputs come without q and without the output norm.
"""

_SCHEMA = (
    "Tensor? q, Tensor k, Tensor v, Tensor? log_decay, Tensor? beta, Tensor? state, Tensor? rate, "
    "Tensor? bias, Tensor? weight, Tensor? gate, Tensor? valid, "
    "float scale, float strength, float eps, bool delta, bool normalise, bool gated, bool tf32, "
    "bool chunk_states, bool change_norm, bool wide"
)
_TENSORS = len(Inputs._fields)
_SETTINGS = len(Settings._fields)


def flatten(call: Call) -> tuple[Inputs, Settings]:
    """Return a checked call as the flat arguments of an operator."""
    options = call.options
    gates = options.gates or Gates(None, None)
    weight, gate, eps = (call.q is not None and options.output_norm) or (None, None, 0.0)
    inputs = Inputs(
        call.q, call.k, call.v, call.log_decay, call.beta, call.state,
        gates.log_rate, gates.decay_bias, weight, gate, options.valid,
    )  # fmt: skip
    settings = Settings(
        float(options.scale), float(gates.strength), float(eps), call.delta, options.normalise,
        options.gates is not None, options.tf32, options.chunk_states, options.change_norm,
    )  # fmt: skip
    return inputs, settings


def unflatten(call: Call, outputs: tuple[Tensor, ...]) -> RuleResult:
    """Return an operator's flat outputs as the result of a call."""
    output, state, chunks, change = outputs
    return RuleResult(
        None if call.q is None else output,
        state,
        chunks.detach() if call.options.chunk_states else None,
        change.detach() if call.options.change_norm else None,
    )


def heads_packed(x: Tensor) -> bool:
    """Return whether all axes of ``[batch, token, ...]`` after the first two are as if contiguous.

    The stride of an axis of one entry does not matter.
    """
    if x.is_contiguous():
        return True
    expected = 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:]), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def empty_outputs(
    inputs: Inputs, settings: Settings
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Return buffers for output, state and chunk states; None where not asked for."""
    k, v = inputs.k, inputs.v
    batch, tokens, heads, keys = k.shape
    kept, state = state_dtype(v.dtype), (heads, keys, v.shape[-1])
    output = chunks = None
    if inputs.q is not None:  # contiguous, which `torch.empty_like` may not be
        output = v.new_empty(v.shape, dtype=kept if settings.wide else v.dtype)
    if settings.chunk_states:
        chunks = v.new_empty((batch, (tokens + CHUNK - 1) // CHUNK, *state), dtype=kept)
    return output, v.new_empty((batch, *state), dtype=kept), chunks


SUMMED = {"rate": 1, "bias": 1, "weight": 2}
"""Inputs that rows of the batch, or of batch and heads, share: how many axes to add up.

A kernel leaves one gradient of them for each (batch, gdn_head).
"""


def gradient_shape(inputs: Inputs, name: str) -> tuple[int, ...]:
    """Return the shape of an input's gradient as a kernel leaves it."""
    k, x = inputs.k, getattr(inputs, name)
    return *(k.shape[0], k.shape[2])[: SUMMED.get(name, 0)], *x.shape


def gradients(inputs: Inputs, found: dict[str, Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return gradients by input, added up and in the dtype of each input."""
    for name, axes in SUMMED.items():
        x = found[name]
        found[name] = x if x is None else x.sum(tuple(range(axes)))
    return tuple(
        None if x is None else x.to(getattr(inputs, name).dtype) for name, x in found.items()
    )


def operators(
    name: str, forward: Forward, backward: Backward
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Register ``sleep_kernels::name`` and its backward; return it, and an eager form of it.

    Both take the fields of `Inputs` and `Settings` one after the other, and return output, state,
    chunk states and change norm. `torch.compile` sees the first as one opaque node; the second, a
    plain `autograd.Function`, has a third of the overhead.
    """

    def run(*arguments: Any) -> tuple[Tensor, ...]:
        inputs, settings, _ = _split(arguments)
        return tuple(_present(inputs.v, *forward(inputs, settings)))

    def run_backward(*arguments: Any) -> list[Tensor]:
        inputs, settings, gradients = _split(arguments)
        return _present(inputs.v, *backward(inputs, settings, *gradients))

    rule = torch.library.custom_op(
        f"sleep_kernels::{name}", run, mutates_args=(),
        schema=f"({_SCHEMA}) -> (Tensor, Tensor, Tensor, Tensor)",
    )  # fmt: skip
    rule_backward = torch.library.custom_op(
        f"sleep_kernels::{name}_backward", run_backward, mutates_args=(),
        schema=f"({_SCHEMA}, Tensor? d_output, Tensor? d_after) -> Tensor[]",
    )  # fmt: skip
    rule.register_fake(_fake)
    rule_backward.register_fake(_fake_backward)
    rule.register_autograd(
        lambda ctx, *gradients: _gradients(ctx, rule_backward, gradients), setup_context=_setup
    )

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
            outputs = run(*arguments)
            _setup(ctx, arguments, outputs)
            return outputs

        @staticmethod
        @differentiable_once
        def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            return _gradients(ctx, run_backward, gradients)

    return rule, Rule.apply


def _split(arguments: tuple[Any, ...]) -> tuple[Inputs, Settings, tuple[Any, ...]]:
    """Return an operator's flat arguments as inputs, settings and incoming gradients."""
    end = _TENSORS + _SETTINGS
    inputs, gradients = Inputs(*arguments[:_TENSORS]), arguments[end:]
    if gradients and gradients[0] is None:  # no gradient reaches q or the output norm
        inputs = inputs._replace(q=None, weight=None, gate=None)
    return inputs, Settings(*arguments[_TENSORS:end]), gradients


def _present(like: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    """Return tensors with an empty one for every None."""
    return [like.new_empty(0) if x is None else x for x in tensors]


def _fake(*arguments: Any) -> tuple[Tensor, ...]:
    inputs, settings, _ = _split(arguments)
    output, after, chunks = empty_outputs(inputs, settings)
    change = after.new_empty(after.shape[:2]) if settings.change_norm else None
    return tuple(_present(inputs.v, output, after, chunks, change))


def _fake_backward(*arguments: Any) -> list[Tensor]:
    inputs, _, _ = _split(arguments)
    shapes = (None if x is None else x.new_empty(x.shape) for x in inputs[:-1])
    return _present(inputs.v, *shapes)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:_TENSORS])
    ctx.settings = inputs[_TENSORS:]


def _gradients(
    ctx: Any, backward: Callable[..., list[Tensor]], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    inputs = Inputs(*ctx.saved_tensors)
    d_output, d_after = gradients[:2]
    if inputs.q is None:
        d_output = None  # of the empty tensor in its place
    found = backward(*inputs, *ctx.settings, d_output, d_after)
    kept = (
        None if x is None or gradient.shape != x.shape else gradient
        for x, gradient in zip(inputs[:-1], found, strict=True)
    )
    return *kept, None, *(None,) * _SETTINGS
