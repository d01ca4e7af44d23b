"""A rule as custom operators: one for a call's forward, one for its backward.

`torch.compile` sees each as one opaque node, with shapes from ``register_fake``. Neither mutates
anything, and the backward saves nothing but the call's own inputs. An operator cannot return None,
so what is absent comes back as an empty tensor. Shared by the backends that have kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sleep_kernels.contract import CHUNK, Call, RuleResult, state_dtype
from sleep_kernels.once import differentiable_once


class Inputs(NamedTuple):
    """Tensors of a call; shapes as in `sleep_kernels.contract`.

    ``rate`` and ``bias`` are `Gates.log_rate` and `Gates.decay_bias`; ``weight`` and ``gate``
    those of the output norm.
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
    """Numbers and flags of a call, its `Options` among them.

    ``strength`` and ``eps`` are those of gates and output norm; ``wide``: the output in the state's
    dtype instead of v's, for work that follows outside.
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
"""``forward(inputs, settings)``."""

Backward = Callable[[Inputs, Settings, Tensor | None, Tensor | None], "tuple[Tensor | None, ...]"]
"""``backward(inputs, settings, d_output, d_after)``: a gradient for each input but `valid`."""

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
    gates, norm = options.gates, options.output_norm
    if call.q is None:
        norm = None
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
        valid=options.valid,
    )
    settings = Settings(
        scale=float(options.scale),
        strength=1.0 if gates is None else float(gates.strength),
        eps=0.0 if norm is None else float(norm.eps),
        delta=call.delta,
        normalise=options.normalise,
        gated=gates is not None,
        tf32=options.tf32,
        chunk_states=options.chunk_states,
        change_norm=options.change_norm,
    )
    return inputs, settings


def heads_packed(x: Tensor) -> bool:
    """Return whether all axes of ``[batch, token, ...]`` after the first two are as if contiguous.

    An axis of one entry has no stride that matters.
    """
    if x.is_contiguous():
        return True
    expected = 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:]), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def unflatten(call: Call, outputs: tuple[Tensor, ...]) -> RuleResult:
    """Return an operator's flat outputs as the result of a call."""
    output, state, chunks, change = outputs
    return RuleResult(
        None if call.q is None else output,
        state,
        chunks.detach() if call.options.chunk_states else None,
        change.detach() if call.options.change_norm else None,
    )


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


def custom_operator(name: str, forward: Forward, backward: Backward) -> Callable[..., Any]:
    """Register ``sleep_kernels::name`` and its backward; return the operator.

    It takes the fields of `Inputs` and `Settings` one after the other, and returns output, state,
    chunk states and change norm, empty where not asked for.
    """

    @torch.library.custom_op(
        f"sleep_kernels::{name}",
        mutates_args=(),
        schema=f"({_SCHEMA}) -> (Tensor, Tensor, Tensor, Tensor)",
    )
    def rule(*arguments: Any) -> tuple[Tensor, ...]:
        return _run(forward, arguments)

    @torch.library.custom_op(
        f"sleep_kernels::{name}_backward",
        mutates_args=(),
        schema=f"({_SCHEMA}, Tensor? d_output, Tensor? d_after) -> Tensor[]",
    )
    def rule_backward(*arguments: Any) -> list[Tensor]:
        return _run_backward(backward, arguments)

    rule.register_fake(_fake)
    rule_backward.register_fake(_fake_backward)
    rule.register_autograd(
        lambda ctx, *gradients: _gradients(ctx, rule_backward, gradients), setup_context=_setup
    )
    return rule


def eager_operator(forward: Forward, backward: Backward) -> Callable[..., Any]:
    """Return the same as a plain `autograd.Function`, which costs a third of the overhead."""

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
            outputs = _run(forward, arguments)
            _setup(ctx, arguments, outputs)
            return outputs

        @staticmethod
        @differentiable_once
        def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            def run(*arguments: Any) -> list[Tensor]:
                return _run_backward(backward, arguments)

            return _gradients(ctx, run, gradients)

    return Rule.apply


def _split(arguments: tuple[Any, ...]) -> tuple[Inputs, Settings, tuple[Any, ...]]:
    """Return an operator's flat arguments as inputs, settings and the rest."""
    end = _TENSORS + _SETTINGS
    return Inputs(*arguments[:_TENSORS]), Settings(*arguments[_TENSORS:end]), arguments[end:]


def _present(like: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    """Return tensors with an empty one for every None."""
    return [like.new_empty(0) if x is None else x for x in tensors]


def _run(forward: Forward, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    inputs, settings, _ = _split(arguments)
    return tuple(_present(inputs.v, *forward(inputs, settings)))


def _run_backward(backward: Backward, arguments: tuple[Any, ...]) -> list[Tensor]:
    inputs, settings, (d_output, d_after) = _split(arguments)
    return _present(inputs.v, *backward(inputs, settings, d_output, d_after))


def _fake(*arguments: Any) -> tuple[Tensor, ...]:
    inputs, settings, _ = _split(arguments)
    output, after, chunks = empty_outputs(inputs, settings)
    change = None
    if settings.change_norm:
        change = after.new_empty(after.shape[:2])
    return tuple(_present(inputs.v, output, after, chunks, change))


def _fake_backward(*arguments: Any) -> list[Tensor]:
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
