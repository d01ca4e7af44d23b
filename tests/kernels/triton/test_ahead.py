"""The kernels compiled for an A100 and an H100, without either, against limits on what they use.

A size that ships takes half a minute to two minutes to compile; here are the default and the
extremes. `python -m sleep_kernels.triton.ahead` prints the same of any other.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from sleep_kernels.triton.ahead import MOST_SHARED, Variant, what_is_used

# Kernels, and the stack bytes a thread may spill. Measured with triton 3.7.1, with some room. On
# tensor cores much of it is addresses, lifted out of the loop over chunks. IEEE float32 products at
# 128 keys are taken by 16 warps, which have 128 registers a thread. tf32 is what float16 inputs
# take. Shared memory is the same on both GPUs: the largest is at 128.
KERNELS = [
    # the shipping default: no stack at all for a window of one chunk
    (90, Variant("forward", 64, 64, "bf16", many=False), 0),
    (90, Variant("backward", 64, 64, "bf16", many=False), 0),
    (90, Variant("backward", 64, 64, "bf16"), 80),
    (90, Variant("step", 64, 64, "bf16", many=False), 0),
    # with all options
    (90, Variant("forward", 64, 64, "bf16", fused=True), 32),
    (90, Variant("forward", 128, 128, "bf16", many=False, fused=True), 192),
    (90, Variant("backward", 128, 128, "bf16", fused=True), 832),
    (90, Variant("forward", 128, 128, "fp32", fused=True), 2048),
    (90, Variant("backward", 128, 128, "fp32", many=False, fused=True), 896),
    (90, Variant("forward", 64, 64, "tf32", fused=True), 128),
    (80, Variant("forward", 32, 32, "fp32", fused=True), 16),
]


@pytest.fixture(scope="module")
def compiled():
    """Return a function that compiles a kernel, in one process without the interpreter."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:

        def compile_one(variant, capability):
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("TRITON_INTERPRET", raising=False)  # the first call starts the process
                return pool.submit(what_is_used, variant, capability).result()

        yield compile_one


@pytest.mark.parametrize(("capability", "variant", "most_stack"), KERNELS)
def test_kernels_fit_what_a_gpu_has(capability, variant, most_stack, compiled):
    used = compiled(variant, capability)
    assert used.stack <= most_stack
    assert used.registers <= 255 and used.shared <= min(MOST_SHARED.values())


def test_the_interpreter_cannot_compile_ahead():
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("the interpreter is off")
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET=1"):
        what_is_used(Variant("forward", 64, 64, "bf16"))
