"""The backends: what each needs, which calls it serves, and why it refuses the others.

To add one, write a class, add an instance to `REGISTRY` and its name to `contract.BACKENDS`.
"""

from __future__ import annotations

import importlib.util
import os
from typing import ClassVar

import torch

from sleep_kernels import cpu, reference
from sleep_kernels.contract import BACKENDS, Call, RuleResult, cannot_serve, check_backend_name
from sleep_kernels.fused_options import Rule, run_plain
from sleep_kernels.native import library


class Backend:
    """One way to run a call; this base class needs nothing and serves every call."""

    name: str
    automatic = "none"
    """The type of device on which "auto" may choose it: one, "any" or "none"."""

    def missing(self, device: torch.device) -> str | None:
        """Return what it needs for tensors on `device` and does not find, or None."""
        return None

    def refused(self, call: Call) -> str | None:
        """Return what it does not serve about a call, or None."""
        return None

    def problem(self, device: torch.device, call: Call | None = None) -> str | None:
        """Return why it cannot serve on `device`, or cannot serve a call there, or None."""
        return self.missing(device) or (None if call is None else self.refused(call))

    def run(self, call: Call) -> RuleResult:
        """Run a checked call that it serves."""
        raise NotImplementedError


class Plain(Backend):
    """A bare rule in PyTorch, with the options around it: serves every call, on any device."""

    def __init__(self, name: str, rule: Rule, automatic: str = "none") -> None:
        self.name, self.rule, self.automatic = name, rule, automatic

    def run(self, call: Call) -> RuleResult:
        """Run the rule."""
        return run_plain(self.rule, call)


class Native(Backend):
    """C++ compiled for this processor: needs a CPU and a compiler, serves every call."""

    name = "native"
    automatic = "cpu"

    def missing(self, device: torch.device) -> str | None:
        """Return why the library is missing; compiles it now if necessary."""
        if device.type != "cpu":
            return f"the tensors are on {device.type}; expected a CPU"
        return library.problem()

    def run(self, call: Call) -> RuleResult:
        """Run the library."""
        from sleep_kernels.native.rule import run_native

        return run_native(call)


class Triton(Backend):
    """Fused kernels: need an NVIDIA GPU, serve the sizes below, and float64 when interpreted."""

    name = "triton"
    automatic = "cuda"  # the interpreter is an oracle for tests, never chosen
    KEYS: ClassVar[tuple[int, ...]] = (16, 32, 64, 96, 128)
    MOST_VALUES: ClassVar[int] = 256
    CAPABILITY: ClassVar[tuple[int, int]] = (8, 0)

    def missing(self, device: torch.device) -> str | None:
        """Return whether Triton is missing, or a GPU that is new enough."""
        if importlib.util.find_spec("triton") is None:
            return "triton is not installed; install the extra 'gpu'"
        if device.type != "cuda":
            if self.interpreted():
                return None
            return f"the tensors are on {device.type}; expected a CUDA device"
        # of this device, not the current one: GPUs of a machine may differ
        found = torch.cuda.get_device_capability(device)
        if found < self.CAPABILITY:
            version = f"{found[0]}.{found[1]}"
            return f"{device} has compute capability {version}; expected 8.0 (A100) or newer"
        return None

    def refused(self, call: Call) -> str | None:
        """Return which size or dtype the kernels are not built for."""
        keys, values = call.k.shape[-1], call.v.shape[-1]
        if call.v.dtype == torch.float64 and not self.interpreted():
            return "float64 inputs; expected float32, bfloat16 or float16"
        if keys not in self.KEYS:
            return f"key = {keys}; expected one of {', '.join(map(str, self.KEYS))}"
        if values % 16 or values > self.MOST_VALUES:
            return f"value = {values}; expected a multiple of 16 up to {self.MOST_VALUES}"
        return None

    @staticmethod
    def interpreted() -> bool:
        """Whether Triton runs kernels in its interpreter, on the CPU (set before its import)."""
        return os.environ.get("TRITON_INTERPRET") == "1"

    def run(self, call: Call) -> RuleResult:
        """Launch the kernels."""
        from sleep_kernels.triton import run_triton

        return run_triton(call)


class Fla(Backend):
    """flash-linear-attention's chunk kernels: need a CUDA device and the package.

    Its delta rules take bfloat16, float16 and keys up to `MOST_KEYS` (its chunk kernels assert
    both); its outer product (simple_gla) has neither limit.
    """

    name = "fla"
    MOST_KEYS: ClassVar[int] = 256

    def missing(self, device: torch.device) -> str | None:
        """Return whether the package or a CUDA device is missing."""
        if importlib.util.find_spec("fla") is None:
            return "flash-linear-attention is not installed; install it"
        if device.type != "cuda":
            return f"the tensors are on {device.type}; expected a CUDA device"
        return None

    def refused(self, call: Call) -> str | None:
        """Return which size or dtype its kernels do not take."""
        keys, dtype = call.k.shape[-1], call.v.dtype
        taken = "bfloat16 or float16" if call.delta else "float32, bfloat16 or float16"
        if dtype == torch.float64 or (call.delta and dtype == torch.float32):
            return f"{str(dtype).removeprefix('torch.')} inputs; expected {taken}"
        if call.delta and keys > self.MOST_KEYS:
            return f"key = {keys}; expected at most {self.MOST_KEYS}"
        return None

    def run(self, call: Call) -> RuleResult:
        """Launch its kernels."""
        from sleep_kernels.fla import run_fla

        return run_fla(call)


REGISTRY: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Triton(), Native(), Plain("cpu", cpu.chunked, automatic="any"),
        Plain("reference", reference.scan), Fla(),
    )
}  # fmt: skip
"""Every backend by name, in the order in which "auto" asks them."""


def backend_status(device: torch.device | str | None = None) -> dict[str, str | None]:
    """Return, for each backend, None if it serves tensors on `device`, else the reason.

    `device`: None means the best device of this machine.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return {name: REGISTRY[name].problem(torch.device(device)) for name in BACKENDS[1:]}


def choose_backend(backend: str, device: torch.device, call: Call | None = None) -> str:
    """Return the backend that serves `backend` on `device`.

    "auto" is the first that serves (the call, if one is given): "triton" on a CUDA device,
    "native" on a CPU where its library can be compiled, and else "cpu", which is plain PyTorch and
    runs on any device.

    Raises ValueError: the name is unknown; RuntimeError: an explicit backend cannot serve; the
    message says why.
    """
    check_backend_name(backend)
    if backend == "auto":
        for name, each in REGISTRY.items():
            if each.automatic in ("any", device.type) and each.problem(device, call) is None:
                return name
    reason = REGISTRY[backend].problem(device, call)
    if reason is not None:
        raise cannot_serve(backend, reason)
    return backend
