"""Compile the kernels without a GPU, and report what they would use of one.

Needs a process in which Triton's interpreter is off. `what_is_used` compiles one kernel as it
ships; the module prints one line a kernel::

    python -m sleep_kernels.triton.ahead 64,64,bf16 128,128,fp32
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sleep_kernels.contract import CHUNK
from sleep_kernels.triton.arguments import INTERPRETED, STRIDES, precision
from sleep_kernels.triton.backward import backward_kernel
from sleep_kernels.triton.configurations import (
    Configuration,
    backward_configuration,
    forward_configuration,
    step_configuration,
)
from sleep_kernels.triton.forward import forward_kernel
from sleep_kernels.triton.step import step_kernel

KERNELS = {"forward": forward_kernel, "backward": backward_kernel, "step": step_kernel}
MOST_SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory a block may use, by compute capability."""


class Used(NamedTuple):
    """What a compiled kernel uses: registers and stack bytes a thread, shared bytes a block."""

    registers: int
    stack: int
    shared: int
    warps: int


class Variant(NamedTuple):
    """A kernel by what it is compiled for; by default the bare gated delta rule."""

    direction: str
    keys: int
    values: int
    dtype: str
    many: bool = True
    delta: bool = True
    decay: bool = True
    fused: bool = False
    """With unit norms, gates, padding, output norm, chunk states and change norm."""


def what_is_used(variant: Variant, capability: int = 90, size: Configuration | None = None) -> Used:
    """Compile a kernel for a GPU of compute capability 80 or 90.

    `variant`: which kernel; ``dtype`` is "bf16", "fp32" or "tf32". `capability`: ten times the
    compute capability. `size`: other block sizes than those that ship. Raises RuntimeError:
    Triton's interpreter is on in this process.
    """
    if INTERPRETED:
        raise RuntimeError("TRITON_INTERPRET=1 is set; compile in a process without it")
    kernel = KERNELS[variant.direction]
    size = size or shipped(variant)
    arguments = _arguments(variant, size)
    source = ASTSource(
        fn=kernel,
        signature={name: _kind(arguments[name]) for name in kernel.arg_names},
        constexprs={n: x for n, x in arguments.items() if _kind(x) == "constexpr"},
        attrs={
            (i,): [["tt.divisibility", 16]]
            for i, name in enumerate(kernel.arg_names)
            if _kind(arguments[name]).startswith("*")
        },
    )
    compiled = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": size.warps, "num_stages": size.stages},
    )
    registers, stack = _resources(compiled.asm["cubin"])
    return Used(registers, stack, compiled.metadata.shared, size.warps)


def shipped(variant: Variant) -> Configuration:
    """Return the configuration that ships for a kernel."""
    keys, values, dtype = variant.keys, variant.values, variant.dtype
    if variant.direction == "step":
        return step_configuration(keys, values)
    if variant.direction == "forward":
        return forward_configuration(keys, values, dtype)
    return backward_configuration(keys, values, dtype)


def _kind(argument: Any) -> str:
    """Return an argument's entry in a kernel's signature."""
    is_type = isinstance(argument, str) and argument.startswith(("*", "i32"))
    return argument if is_type else "constexpr"


def _arguments(variant: Variant, size: Configuration) -> dict[str, Any]:
    """Return a kernel's arguments by name: a type for a pointer or a number, else a constant."""
    data = "*bf16" if variant.dtype == "bf16" else "*fp32"
    dtypes = {torch.bfloat16 if variant.dtype == "bf16" else torch.float32}
    chosen = precision(dtypes, variant.dtype == "tf32")
    if variant.direction == "forward":
        chosen = chosen.in_pieces()
    fused = variant.fused
    normed = fused and size.BV >= variant.values
    decay = "*fp32" if variant.decay else None
    given: dict[str, str | None] = {
        **dict.fromkeys(("q", "k", "v", "beta"), data),
        "g": decay,
        "state": "*fp32",
        **dict.fromkeys(("rate", "bias"), decay if fused else None),
        "weight": "*fp32" if normed else None,
        "gate": data if normed else None,
    }
    asked = "*fp32" if fused else None
    more: dict[str, str | None] = {"valid": "*u8" if fused else None, "o": data, "after": "*fp32"}
    more |= {"chunks": asked, "change": asked, "do": data, "dafter": "*fp32"}
    more["starts"] = "*fp32" if variant.many else None
    found = {f"d{name}": kind for name, kind in given.items()}
    if size.BV < variant.values:  # every block of values adds to these
        found |= {name: found[name] and "*fp32" for name in ("dq", "dk", "dg", "dbeta")}
    arguments = {
        **{f"p_{name}": kind for name, kind in (given | more | found).items()},
        **dict.fromkeys(STRIDES, "i32"),
        "tokens": "i32",
        "heads": "i32",
        "KEYS": variant.keys,
        "VALUES": variant.values,
        "BK": size.BK,
        "BV": size.BV,
        "C": CHUNK,
        "UNIT": 16,
        "SCALE": variant.keys**-0.5,
        "STRENGTH": 1.0,
        "EPS": 1e-6,
        "MANY": variant.many,
        "DELTA": variant.delta,
        "NORMALISE": fused,
        "GATED": fused,
        **chosen._asdict(),
    }
    return {name: arguments[name] for name in KERNELS[variant.direction].arg_names}


def _resources(cubin: bytes) -> tuple[int, int]:
    """Return registers and stack bytes a thread, as cuobjdump reads them from a cubin."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        printed = subprocess.run(
            [str(tool), "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", printed)
    if found is None:
        raise RuntimeError(f"cuobjdump printed {printed!r}; expected REG and STACK; update this")
    return int(found[1]), int(found[2])


def main() -> None:
    """Print one line of JSON a kernel for every ``keys,values,dtype`` on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sizes", nargs="+", metavar="keys,values,dtype")
    parser.add_argument("--capability", type=int, choices=sorted(MOST_SHARED), default=90)
    parser.add_argument("--fused", action="store_true", help="leave the bare kernels out")
    arguments = parser.parse_args()
    for size in arguments.sizes:
        keys, values, dtype = size.split(",")
        for direction, many, fused in product(KERNELS, (True, False), (False, True)):
            if (direction == "step" and many) or (arguments.fused and not fused):
                continue
            kernel = Variant(direction, int(keys), int(values), dtype, many=many, fused=fused)
            used = what_is_used(kernel, arguments.capability)
            line = {"capability": arguments.capability, **kernel._asdict(), **used._asdict()}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
