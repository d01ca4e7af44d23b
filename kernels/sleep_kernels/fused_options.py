"""The options that kernels fuse with a rule, in plain PyTorch: norms, gates, padding, output norm.

Backends without kernels for them run them from here, so that a call means the same on all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sleep_kernels.contract import CHUNK, Call, Options, RuleResult, state_dtype
from sleep_kernels.norms import full_precision, gated_rms_norm, unit_norm

Rule = Callable[..., tuple[Tensor | None, Tensor]]
"""``rule(q, k, v, log_decay, beta, state, scale, delta) -> (output or None, state)``."""


def run_plain(rule: Rule, call: Call) -> RuleResult:
    """Run a bare rule, and all that the options of `call` ask for, in PyTorch.

    The rule sees tensors of the state's dtype: float64 for float64 inputs, else float32.
    """
    options, dtype = call.options, state_dtype(call.v.dtype)
    batch, tokens, heads, keys = call.k.shape
    with full_precision(call.k.device):  # it would round S to bfloat16
        bare = prepare(call, dtype)
        state = before = bare.state
        if state is None:
            state = call.k.new_zeros((batch, heads, keys, call.v.shape[-1]), dtype=dtype)
        given: tuple[Tensor | None, ...] = (bare.q, bare.k, bare.v, bare.log_decay, bare.beta)
        size = CHUNK if options.chunk_states else tokens
        outputs, states = [], []
        for start in range(0, tokens, size):
            part = given
            if size < tokens:
                part = tuple(None if x is None else x[:, start : start + size] for x in given)
            states.append(state.detach())
            output, state = rule(*part, state, options.scale, call.delta)
            if output is not None:
                outputs.append(output)
        output = change = None
        if options.change_norm:
            moved = state if before is None else state - before
            change = torch.linalg.matrix_norm(moved.detach())
        if outputs:
            read = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
            output = finish(options, read).to(call.v.dtype)
    chunks = torch.stack(states, dim=1) if options.chunk_states else None
    return RuleResult(output, state, chunks, change)


def prepare(call: Call, dtype: torch.dtype) -> Call:
    """Return the same call with unit norms, gates and padding applied, all in `dtype`."""
    options = call.options

    def cast(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(dtype)

    q, k, v = cast(call.q), call.k.to(dtype), call.v.to(dtype)
    log_decay, beta = cast(call.log_decay), cast(call.beta)
    padding = None
    if options.valid is not None:  # filled, not multiplied, and first: padding may be inf
        padding = ~options.valid[..., None]
        k, v = (x.masked_fill(padding[..., None], 0) for x in (k, v))
        log_decay, beta = (
            None if x is None else x.masked_fill(padding, 0) for x in (log_decay, beta)
        )
    if options.normalise:
        q = None if q is None else unit_norm(q)
        k = unit_norm(k)
    gates = options.gates
    if gates is not None:
        if log_decay is not None and gates.log_rate is not None and gates.decay_bias is not None:
            step = F.softplus(log_decay + gates.decay_bias.to(dtype))
            log_decay = -gates.log_rate.to(dtype).exp() * step
        if beta is not None:
            beta = beta.sigmoid()
            beta = beta * gates.strength if gates.strength != 1.0 else beta
    if beta is None:
        beta = torch.ones_like(k[..., 0])
    if padding is not None:  # a gate of 0 is not a zero
        beta = beta.masked_fill(padding, 0)
        log_decay = None if log_decay is None else log_decay.masked_fill(padding, 0)
    return replace(
        call,
        q=q,
        k=k,
        v=v,
        log_decay=log_decay,
        beta=beta,
        state=cast(call.state),
        options=replace(options, normalise=False, gates=None, valid=None),
    )


def finish(options: Options, output: Tensor) -> Tensor:
    """Return the output after the gated RMSNorm, if the options have one."""
    if options.output_norm is None:
        return output
    weight, gate, eps = options.output_norm
    return gated_rms_norm(output, weight.to(output.dtype), gate.to(output.dtype), eps)
