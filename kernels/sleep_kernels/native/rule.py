"""The native backend as `sleep_kernels.api` calls it."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from sleep_kernels.contract import CHUNK, Call, RuleResult
from sleep_kernels.native import library
from sleep_kernels.operators import (
    Inputs,
    Outputs,
    Settings,
    custom_operator,
    eager_operator,
    heads_packed,
    put_together,
    taken_apart,
)
from sleep_kernels.validation import state_dtype

_SIZES = ("batch", "tokens", "heads", "keys", "values", "threads")
_STRIDED = ("q", "k", "v", "log_decay", "beta", "gate")
_GRADIENTS = tuple(f"d_{name}" for name in Inputs._fields[:-1])
_OTHERS = ("output", "after", "chunks", "d_output", "d_after", *_GRADIENTS)


class CallStructure(ctypes.Structure):
    """``sleep::Call`` of ``rule.h``, field by field."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_void_p) for name in Inputs._fields),
        *((f"{name}_{axis}", ctypes.c_int64) for name in _STRIDED for axis in ("batch", "token")),
        *((name, ctypes.c_double) for name in Settings._fields[:3]),  # scale, strength, eps
        *((name, ctypes.c_int64) for name in Settings._fields[3:-1]),  # all flags but tf32
        *((name, ctypes.c_void_p) for name in _OTHERS),
    ]


def run_native(call: Call) -> RuleResult:
    """Run a checked call in one pass over memory each way; everything around the rule within it.

    Works in the state's dtype: inputs of other dtypes are cast. Any sizes; q, k, v and gate may be
    slices of wider tensors.
    """
    dtype = state_dtype(call.v.dtype)
    inputs, settings = taken_apart(call)
    cast = (x if x is None or x.dtype in (dtype, torch.bool) else x.to(dtype) for x in inputs)
    arguments = (*cast, *settings, False, call.chunk_states, call.change_norm)
    recorded = torch.compiler.is_compiling() or not library.runs_at_once(*inputs)
    run = _compiled if recorded else _eager
    result = put_together(call, run(*arguments))
    if result.output is None or result.output.dtype == call.v.dtype:
        return result
    return result._replace(output=result.output.to(call.v.dtype))


def _forward(
    inputs: Inputs, settings: Settings, wide: bool, chunk_states: bool, change_norm: bool
) -> Outputs:
    inputs = _indexable(inputs)
    k, v = inputs.k, inputs.v
    batch, tokens, heads, keys = k.shape
    shape = (heads, keys, v.shape[-1])
    after = v.new_empty((batch, *shape))
    output = None if inputs.q is None else v.new_empty(v.shape)
    chunks = None
    if chunk_states:
        chunks = v.new_empty((batch, (tokens + CHUNK - 1) // CHUNK, *shape))
    _run("forward", inputs, settings, output=output, after=after, chunks=chunks)
    change = None
    if change_norm:
        moved = after if inputs.state is None else after - inputs.state
        change = torch.linalg.matrix_norm(moved)
    return output, after, chunks, change


def _backward(
    inputs: Inputs, settings: Settings, d_output: Tensor | None, d_after: Tensor | None
) -> tuple[Tensor | None, ...]:
    if d_output is None:
        inputs = inputs._replace(q=None, weight=None, gate=None)
    inputs = _indexable(inputs)
    batch, _, heads, _ = inputs.k.shape
    found: dict[str, Tensor | None] = {}
    for name, x in zip(Inputs._fields[:-1], inputs[:-1], strict=True):
        shape: tuple[int, ...] = () if x is None else tuple(x.shape)
        if name in ("rate", "bias"):
            shape = (batch, heads)
        elif name == "weight":
            shape = (batch, heads, *shape)
        found[name] = None if x is None else inputs.v.new_empty(shape)
    given = {"d_output": d_output, "d_after": d_after}
    given = {n: None if x is None else x.resolve_neg().contiguous() for n, x in given.items()}
    _run("backward", inputs, settings, **given, **{f"d_{name}": x for name, x in found.items()})
    for name, axes in (("rate", 0), ("bias", 0), ("weight", (0, 1))):
        x = found[name]
        if x is not None:
            found[name] = x.sum(axes)
    return tuple(found.values())


def _indexable(inputs: Inputs) -> Inputs:
    """Return the same with heads and the last axis side by side, which the library relies on."""
    found: dict[str, Tensor | None] = {}
    for name, x in inputs._asdict().items():
        x = None if x is None else x.resolve_neg()  # a pointer knows no negative bit
        whole = x is None or (name in _STRIDED and heads_packed(x))
        found[name] = x if x is None or whole else x.contiguous()
    return Inputs(**found)  # type: ignore[arg-type]


def _run(direction: str, inputs: Inputs, settings: Settings, **others: Tensor | None) -> None:
    k, v = inputs.k, inputs.v
    batch, tokens, heads, keys = k.shape
    values = v.shape[-1]
    threads = library.threads_for(batch * heads * tokens * keys * values)
    strided = (getattr(inputs, name) for name in _STRIDED)
    call = CallStructure(
        *(batch, tokens, heads, keys, values, threads),
        *(None if x is None else x.data_ptr() for x in inputs),
        *(n for x in strided for n in ((0, 0) if x is None else x.stride()[:2])),
        *settings[:-1],
        *(None if x is None else x.data_ptr() for x in map(others.get, _OTHERS)),
    )
    library.call(f"rule_{direction}", call, v.dtype)


_compiled = custom_operator("native_rule", _forward, _backward)
_eager = eager_operator(_forward, _backward)
