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
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sleep_kernels.contract import CHUNK
from sleep_kernels.operators import Inputs, Settings
from sleep_kernels.triton.arguments import INTERPRETED, STRIDES
from sleep_kernels.triton.configurations import holds_every_value
from sleep_kernels.triton.run import Launch, backward_launch, forward_launch

DIRECTIONS = ("forward", "backward", "step")
POINTERS = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.uint8: "*u8"}
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


def what_is_used(variant: Variant, capability: int = 90) -> Used:
    """Compile a kernel as it ships, for a GPU of `capability` (ten times its name): 80 or 90.

    Raises RuntimeError: Triton's interpreter is on in this process.
    """
    if INTERPRETED:
        raise RuntimeError("TRITON_INTERPRET=1 is set; compile in a process without it")
    launch = _launch(variant)
    kernel = launch.kernel
    kinds = {name: _kind(name, launch.arguments[name]) for name in kernel.arg_names}
    source = ASTSource(
        fn=kernel,
        signature=kinds,
        constexprs={n: launch.arguments[n] for n, kind in kinds.items() if kind == "constexpr"},
        attrs={
            (i,): [["tt.divisibility", 16]]
            for i, kind in enumerate(kinds.values())
            if kind.startswith("*")
        },
    )
    compiled = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": launch.size.warps, "num_stages": launch.size.stages},
    )
    registers, stack = _resources(compiled.asm["cubin"])
    return Used(registers, stack, compiled.metadata.shared, launch.size.warps)


def _kind(name: str, argument: Any) -> str:
    """Return an argument's entry in a kernel's signature."""
    if isinstance(argument, Tensor):
        return POINTERS[argument.dtype]
    return "i32" if name in (*STRIDES, "tokens", "heads") else "constexpr"


def _launch(variant: Variant) -> Launch:
    """Return the launch of a kernel on tensors without data."""
    keys, values, fused, decay = variant.keys, variant.values, variant.fused, variant.decay
    dtype = torch.bfloat16 if variant.dtype == "bf16" else torch.float32
    tokens = 1 if variant.direction == "step" else CHUNK * (1 + variant.many)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    q, k = (empty(1, tokens, 1, keys, dtype=dtype) for _ in range(2))
    v, gate = (empty(1, tokens, 1, values, dtype=dtype) for _ in range(2))
    normed = fused and holds_every_value(keys, values, variant.dtype)
    inputs = Inputs(
        q, k, v, empty(1, tokens, 1) if decay else None, empty(1, tokens, 1, dtype=dtype),
        empty(1, 1, keys, values), *((empty(1) if decay and fused else None,) * 2),
        empty(values) if normed else None, gate if normed else None,
        empty(1, tokens, dtype=torch.bool) if fused else None,
    )  # fmt: skip
    tf32 = variant.dtype == "tf32"
    settings = Settings(
        keys**-0.5, 1.0, 1e-6, variant.delta, normalise=fused, gated=fused, tf32=tf32,
        chunk_states=fused, change_norm=fused,
    )  # fmt: skip
    if variant.direction == "backward":
        return backward_launch(inputs, settings, v, empty(1, 1, keys, values))[0]
    return forward_launch(inputs, settings)[0]


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
        for direction, many, fused in product(DIRECTIONS, (True, False), (False, True)):
            if (direction == "step" and many) or (arguments.fused and not fused):
                continue
            kernel = Variant(direction, int(keys), int(values), dtype, many=many, fused=fused)
            used = what_is_used(kernel, arguments.capability)
            line = {"capability": arguments.capability, **kernel._asdict(), **used._asdict()}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
