"""The registry of backends: which serve a call here, and why the others do not."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial

import torch

from sleep_kernels import cpu, reference
from sleep_kernels.around import run_plain
from sleep_kernels.contract import BACKENDS, Call, RuleResult
from sleep_kernels.native import library

KEY_DIMS = (16, 32, 64, 96, 128)
"""Key sizes the Triton kernels are built for."""
MOST_VALUES = 256
"""Largest value size of the Triton kernels, which take every multiple of 16 up to it."""
MOST_FLA_KEYS = 256
"""Largest key size of fla's delta rules; its outer product (simple_gla) has no such limit."""


def interpreted() -> bool:
    """Whether Triton runs kernels in its interpreter, on the CPU (set before it is imported)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def backend_status(device: torch.device | str | None = None) -> dict[str, str | None]:
    """Return, for each backend, None if it serves here, else the reason why it does not.

    Parameters
    ----------
    device : device or None
        Where the tensors are; None means the best device of this machine.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return {name: backend_problem(name, torch.device(device)) for name in BACKENDS[1:]}


def backend_problem(name: str, device: torch.device) -> str | None:
    """Return why one backend, not "auto", does not serve on `device`; None where it does."""
    if name == "native":
        return _native_problem(device.type)
    if name == "triton":
        return _triton_problem(device)
    return _fla_problem(device.type) if name == "fla" else None


def _native_problem(kind: str) -> str | None:
    if kind != "cpu":
        return f"it runs on a CPU; these tensors are on {kind}"
    return library.problem()


def _triton_problem(device: torch.device) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (extra 'gpu')"
    if device.type != "cuda":
        if interpreted():
            return None
        return f"Triton kernels need a CUDA device; these tensors are on {device.type}"
    found = torch.cuda.get_device_capability(device)  # not of the current device: a machine may mix
    if found < (8, 0):
        return (
            "Triton kernels need compute capability 8.0 (A100) or newer; "
            f"{device} has {found[0]}.{found[1]}"
        )
    return None


def _fla_problem(kind: str) -> str | None:
    if importlib.util.find_spec("fla") is None:
        return "flash-linear-attention is not installed"
    if kind != "cuda":
        return f"flash-linear-attention needs a CUDA device; these tensors are on {kind}"
    return None


def shape_problem(backend: str, call: Call) -> str | None:
    """Return why a backend that serves on this device cannot serve this very call."""
    if backend not in ("triton", "fla"):
        return None
    keys, values = call.k.shape[-1], call.v.shape[-1]
    if call.v.dtype == torch.float64 and not (backend == "triton" and interpreted()):
        return "float64 inputs"
    if backend == "fla" and call.delta:  # what the asserts in its chunk kernels let through
        if call.v.dtype == torch.float32:
            return "float32 inputs; its delta rules take bfloat16 and float16"
        if keys > MOST_FLA_KEYS:
            return f"key = {keys}; its delta rules take keys up to {MOST_FLA_KEYS}"
    if backend == "triton" and keys not in KEY_DIMS:
        return f"key = {keys}; its kernels take {', '.join(map(str, KEY_DIMS))}"
    if backend == "triton" and (values % 16 or values > MOST_VALUES):
        return f"value = {values}; its kernels take multiples of 16 up to {MOST_VALUES}"
    return None


def choose_backend(backend: str, device: torch.device, call: Call | None = None) -> str:
    """Return the backend that serves `backend` on `device`.

    ``auto`` takes "triton" on a CUDA device where it can serve (the call, if one is given),
    "native" on a CPU where its library could be built, and else "cpu", the chunked form, which is
    plain PyTorch and runs on any device.

    Raises
    ------
    ValueError
        The name is unknown.
    RuntimeError
        An explicit backend cannot serve; the message says why.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; expected one of {', '.join(BACKENDS)}")
    if backend == "auto":
        # the interpreter is an oracle for tests, never a choice
        wanted = device.type == "cuda" and _triton_problem(device) is None
        if wanted and (call is None or shape_problem("triton", call) is None):
            return "triton"
        return "native" if _native_problem(device.type) is None else "cpu"
    reason = backend_problem(backend, device)
    if reason is None and call is not None:
        reason = shape_problem(backend, call)
    if reason is not None:
        raise RuntimeError(f"backend {backend!r} cannot serve: {reason}; use backend='auto'")
    return backend


def load_backend(name: str) -> Callable[[Call], RuleResult]:
    """Return the function that runs a call on a backend; imports what it needs."""
    if name == "native":
        from sleep_kernels.native.rule import run_native

        return run_native
    if name == "triton":
        from sleep_kernels.triton import run_triton

        return run_triton
    if name == "fla":
        from sleep_kernels.fla import run_fla

        return run_fla
    return partial(run_plain, {"reference": reference.scan, "cpu": cpu.chunked}[name])
