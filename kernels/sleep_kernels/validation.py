"""Input checks shared by every operator and backend."""

from __future__ import annotations

import torch
from torch import Tensor

from sleep_kernels.contract import Call, Gates, OutputNorm


def check_shape(name: str, x: Tensor, expected: tuple[int, ...], axes: str, like: Tensor) -> None:
    """Check a tensor's shape, and that it is where `like` is.

    Raises ValueError: names the tensor, what it has and what was expected.
    """
    if tuple(x.shape) != expected:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; expected [{axes}] = {expected}; reshape it"
        )
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}; expected {like.device}; move it there")


def check_call(call: Call) -> None:
    """Check shapes, dtypes and devices against k ``[batch, token, gdn_head, key]``.

    Raises ValueError: names the tensor, what it has and what was expected; TypeError: an argument
    is not a tensor, or gates or output norm are not what they should be.
    """
    k, v, options = call.k, call.v, call.options
    gates, norm = options.gates, options.output_norm
    for name in ("q", "k", "v", "log_decay", "beta", "state", "valid"):
        x = options.valid if name == "valid" else getattr(call, name)
        if not isinstance(x, Tensor) and (x is not None or name in ("k", "v")):
            raise TypeError(f"{name} is of type {type(x).__name__}; expected a torch.Tensor")
    for name, x, kind in (("gates", gates, Gates), ("output_norm", norm, OutputNorm)):
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
    if not k.shape[-1] or not v.shape[-1]:
        raise ValueError(
            f"k has {k.shape[-1]} channels and v {v.shape[-1]}; expected at least one each; "
            "give them some"
        )
    sizes = dict(zip(("batch", "token", "gdn_head", "key"), k.shape, strict=True))
    sizes["value"] = v.shape[-1]
    given: dict[str, tuple[Tensor | None, str]] = {
        "q": (call.q, "batch, token, gdn_head, key"),
        "v": (v, "batch, token, gdn_head, value"),
        "log_decay": (call.log_decay, "batch, token, gdn_head"),
        "beta": (call.beta, "batch, token, gdn_head"),
        "state": (call.state, "batch, gdn_head, key, value"),
        "valid": (options.valid, "batch, token"),
    }
    if gates is not None:
        given["gates.log_rate"] = (gates.log_rate, "gdn_head")
        given["gates.decay_bias"] = (gates.decay_bias, "gdn_head")
        both = gates.log_rate is not None and gates.decay_bias is not None
        if both != (call.log_decay is not None):
            raise ValueError(
                "gates.log_rate and gates.decay_bias go with log_decay; expected all three or "
                "none; give what is missing"
            )
    if norm is not None:
        given["output_norm.weight"] = (norm.weight, "value")
        given["output_norm.gate"] = (norm.gate, "batch, token, gdn_head, value")
    for name, (tensor, axes) in given.items():
        if tensor is None:
            continue
        check_shape(name, tensor, tuple(sizes[axis] for axis in axes.split(", ")), axes, k)
        if name != "valid" and not tensor.is_floating_point():
            raise ValueError(
                f"{name} has dtype {tensor.dtype}; expected a floating-point dtype; cast it"
            )
    if options.valid is not None and options.valid.dtype != torch.bool:
        raise ValueError(f"valid has dtype {options.valid.dtype}; expected torch.bool; cast it")
