"""Input checks shared by every operator and backend."""

from __future__ import annotations

import torch
from torch import Tensor

from sleep_kernels.contract import Call, Gates, OutputNorm


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which S is kept: float64 for float64 inputs, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def check_shape(name: str, x: Tensor, expected: tuple[int, ...], axes: str, like: Tensor) -> None:
    """Check a tensor's shape, and that it is where `like` is.

    Raises
    ------
    ValueError
        Names the tensor, what it has and what was expected.
    """
    if tuple(x.shape) != expected:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; expected [{axes}] = {expected}; reshape it"
        )
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}; expected {like.device}; move it there")


def check_call(call: Call) -> None:
    """Check shapes, dtypes and devices against k ``[batch, token, gdn_head, key]``.

    Raises
    ------
    ValueError
        Names the tensor, what it has and what was expected.
    TypeError
        What should be a tensor is none.
    """
    k, v = call.k, call.v
    for name in ("q", "k", "v", "log_decay", "beta", "state", "valid"):
        x = getattr(call, name)
        if not isinstance(x, Tensor) and (x is not None or name in ("k", "v")):
            raise TypeError(f"{name} is of type {type(x).__name__}; expected a torch.Tensor")
    for name, kind in (("gates", Gates), ("output_norm", OutputNorm)):
        x = getattr(call, name)
        if x is not None and not isinstance(x, kind):
            raise TypeError(
                f"{name} is of type {type(x).__name__}; expected sleep_kernels.{kind.__name__}"
            )
    if k.ndim != 4 or k.shape[1] < 1:
        raise ValueError(
            f"k has shape {tuple(k.shape)}; expected [batch, token >= 1, gdn_head, key]; reshape k"
        )
    if v.ndim != 4:
        raise ValueError(
            f"v has shape {tuple(v.shape)}; expected [batch, token, gdn_head, value]; reshape v"
        )
    batch, tokens, heads, keys = k.shape
    values = v.shape[-1]
    if not keys or not values:
        raise ValueError(
            f"k has {keys} channels and v {values}; expected at least one each; give them some"
        )
    expected: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {
        "q": (call.q, (batch, tokens, heads, keys)),
        "v": (v, (batch, tokens, heads, values)),
        "log_decay": (call.log_decay, (batch, tokens, heads)),
        "beta": (call.beta, (batch, tokens, heads)),
        "state": (call.state, (batch, heads, keys, values)),
    }
    if call.gates is not None:
        expected["gates.log_rate"] = (call.gates.log_rate, (heads,))
        expected["gates.decay_bias"] = (call.gates.decay_bias, (heads,))
        given = call.gates.log_rate is not None and call.gates.decay_bias is not None
        if given != (call.log_decay is not None):
            raise ValueError(
                "gates.log_rate and gates.decay_bias go with log_decay; expected all three or "
                "none; give what is missing"
            )
    if call.output_norm is not None:
        expected["output_norm.weight"] = (call.output_norm.weight, (values,))
        expected["output_norm.gate"] = (call.output_norm.gate, (batch, tokens, heads, values))
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        _check(name, tensor, shape, call)
        if not tensor.is_floating_point():
            raise ValueError(
                f"{name} has dtype {tensor.dtype}; expected a floating-point dtype; cast it"
            )
    if call.valid is not None:
        _check("valid", call.valid, (batch, tokens), call)
        if call.valid.dtype != torch.bool:
            raise ValueError(f"valid has dtype {call.valid.dtype}; expected torch.bool; cast it")


def _check(name: str, tensor: Tensor, shape: tuple[int, ...], call: Call) -> None:
    k = call.k
    if tuple(tensor.shape) != shape:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; expected {shape} to go with k "
            f"{tuple(k.shape)} [batch, token, gdn_head, key]; reshape one of them"
        )
    if tensor.device != k.device:
        raise ValueError(
            f"{name} is on {tensor.device}; expected {k.device}, where k is; move one of them"
        )
