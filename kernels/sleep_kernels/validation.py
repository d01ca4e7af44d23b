"""Input checks shared by every operator and backend."""

from __future__ import annotations

import torch
from torch import Tensor

from sleep_kernels.contract import Call, Gates, OutputNorm

_HEADS = ("batch", "token", "gdn_head")
AXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("q", "k"), (*_HEADS, "key")),
    **dict.fromkeys(("v", "output_norm.gate"), (*_HEADS, "value")),
    **dict.fromkeys(("log_decay", "beta"), _HEADS),
    **dict.fromkeys(("gates.log_rate", "gates.decay_bias"), ("gdn_head",)),
    "state": ("batch", "gdn_head", "key", "value"),
    "valid": ("batch", "token"),
    "output_norm.weight": ("value",),
}


def check_shape(name: str, x: Tensor, expected: tuple[int, ...], axes: str, like: Tensor) -> None:
    """Raise ValueError if a tensor has another shape, or is on another device than `like`."""
    if tuple(x.shape) != expected:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; expected [{axes}] = {expected}; reshape it"
        )
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}; expected {like.device}; move it there")


def check_call(call: Call) -> None:
    """Check shapes, dtypes and devices against k ``[batch, token, gdn_head, key]``.

    Raises ValueError: they do not fit; TypeError: an argument is not a tensor, or gates or output
    norm are of another type.
    """
    k, v, options = call.k, call.v, call.options
    gates, norm = options.gates, options.output_norm
    tensors = {n: getattr(call, n) for n in ("q", "k", "v", "log_decay", "beta", "state")}
    tensors["valid"] = options.valid
    for name, x in tensors.items():
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
    sizes = dict(zip(AXES["k"], k.shape, strict=True)) | {"value": v.shape[-1]}
    if gates is not None:
        tensors |= {"gates.log_rate": gates.log_rate, "gates.decay_bias": gates.decay_bias}
        both = gates.log_rate is not None and gates.decay_bias is not None
        if both != (call.log_decay is not None):
            raise ValueError(
                "gates.log_rate and gates.decay_bias go with log_decay; expected all three or "
                "none; give what is missing"
            )
    if norm is not None:
        tensors |= {"output_norm.weight": norm.weight, "output_norm.gate": norm.gate}
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        axes = AXES[name]
        check_shape(name, tensor, tuple(sizes[axis] for axis in axes), ", ".join(axes), k)
        if name != "valid" and not tensor.is_floating_point():
            raise ValueError(
                f"{name} has dtype {tensor.dtype}; expected a floating-point dtype; cast it"
            )
    if options.valid is not None and options.valid.dtype != torch.bool:
        raise ValueError(f"valid has dtype {options.valid.dtype}; expected torch.bool; cast it")
