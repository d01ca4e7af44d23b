"""The rules through the library, as backend "native" runs them."""

from __future__ import annotations

import torch
from torch import Tensor

from sleep_kernels.contract import Call, RuleResult, state_dtype
from sleep_kernels.native import library, structures
from sleep_kernels.operators import (
    Inputs,
    Outputs,
    Settings,
    empty_outputs,
    flatten,
    gradient_shape,
    gradients,
    heads_packed,
    operators,
    unflatten,
)


def run_native(call: Call) -> RuleResult:
    """Run a checked call in one pass over memory each way, all its options within it.

    Works in the state's dtype: inputs of other dtypes are cast. Any sizes; q, k, v and gate may be
    slices of wider tensors.
    """
    dtype = state_dtype(call.v.dtype)
    inputs, settings = flatten(call)
    cast = (x if x is None or x.dtype in (dtype, torch.bool) else x.to(dtype) for x in inputs)
    recorded = torch.compiler.is_compiling() or not library.runs_at_once(*inputs)
    run = _compiled if recorded else _eager
    result = unflatten(call, run(*cast, *settings))
    if result.output is None or result.output.dtype == call.v.dtype:
        return result
    return result._replace(output=result.output.to(call.v.dtype))


def _forward(inputs: Inputs, settings: Settings) -> Outputs:
    inputs = _indexable(inputs)
    output, after, chunks = empty_outputs(inputs, settings)
    _run("forward", inputs, settings, output=output, after=after, chunks=chunks)
    if not settings.change_norm:
        return output, after, chunks, None
    moved = after if inputs.state is None else after - inputs.state
    return output, after, chunks, torch.linalg.matrix_norm(moved)


def _backward(
    inputs: Inputs, settings: Settings, d_output: Tensor | None, d_after: Tensor | None
) -> tuple[Tensor | None, ...]:
    inputs = _indexable(inputs)
    found = {
        name: None if x is None else x.new_empty(gradient_shape(inputs, name))
        for name, x in inputs._asdict().items()
        if name != "valid"
    }
    given = {"d_output": d_output, "d_after": d_after}
    given = {n: None if x is None else x.resolve_neg().contiguous() for n, x in given.items()}
    _run("backward", inputs, settings, **given, **{f"d_{name}": x for name, x in found.items()})
    return gradients(inputs, found)


def _indexable(inputs: Inputs) -> Inputs:
    """Return the same with heads and the last axis contiguous, which the library relies on."""

    def indexable(name: str, x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        x = x.resolve_neg()  # memory behind a negative bit holds the opposite
        return x if name in structures.STRIDED and heads_packed(x) else x.contiguous()

    return Inputs(*map(indexable, Inputs._fields, inputs))  # type: ignore[arg-type]


def _run(direction: str, inputs: Inputs, settings: Settings, **others: Tensor | None) -> None:
    k, v = inputs.k, inputs.v
    batch, tokens, heads, keys = k.shape
    values = v.shape[-1]
    threads = library.threads_for(batch * heads * tokens * keys * values)
    strided = (getattr(inputs, name) for name in structures.STRIDED)
    call = structures.Call(
        *(batch, tokens, heads, keys, values, threads),
        *(None if x is None else x.data_ptr() for x in inputs),
        *(n for x in strided for n in ((0, 0) if x is None else x.stride()[:2])),
        *(getattr(settings, name) for name in (*structures.NUMBERS, *structures.FLAGS)),
        *(None if x is None else x.data_ptr() for x in map(others.get, structures.BUFFERS)),
    )
    library.call(f"rule_{direction}", call, v.dtype)


_compiled, _eager = operators("native_rule", _forward, _backward)
