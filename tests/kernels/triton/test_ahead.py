"""The kernels compiled for an A100 and an H100, without either, against limits on what they use."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from sleep_kernels.triton.ahead import MOST_SHARED, table

# Stack bytes a thread may spill, by capability, (key, value) and dtype: (forward, backward).
# Measured with triton 3.7.1: the worst of one chunk and many, fused, with some room. On tensor
# cores much of it is addresses, lifted out of the loop over chunks. IEEE float32 products at 128
# keys are taken by 16 warps, which have 128 registers a thread. tf32 is what float16 inputs take.
MOST_STACK = {
    (90, (32, 32), "bf16"): (16, 384),
    (90, (64, 64), "bf16"): (32, 448),
    (90, (96, 96), "bf16"): (192, 768),
    (90, (128, 128), "bf16"): (192, 832),
    (90, (16, 48), "bf16"): (64, 512),
    (90, (64, 128), "bf16"): (64, 320),
    (90, (32, 32), "tf32"): (160, 640),
    (90, (64, 64), "tf32"): (128, 576),
    (90, (128, 128), "tf32"): (960, 1408),
    (90, (32, 32), "fp32"): (16, 352),
    (90, (64, 64), "fp32"): (192, 256),
    (90, (128, 128), "fp32"): (2048, 896),
    (80, (64, 64), "bf16"): (640, 512),
    (80, (96, 96), "bf16"): (2304, 1600),
    (80, (128, 128), "bf16"): (2304, 1664),
    (80, (64, 64), "tf32"): (1408, 576),
    (80, (32, 32), "fp32"): (16, 544),
    (80, (64, 64), "fp32"): (192, 320),
}
QUICK = {(90, (32, 32), "bf16"), (90, (64, 64), "bf16")}


@pytest.fixture(scope="module")
def compiled():
    """Return a function that compiles a size, in one process without the interpreter."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:

        def compile_size(*size, **options):
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("TRITON_INTERPRET", raising=False)  # the first call starts the process
                return pool.submit(table, *size, **options).result()

        yield compile_size


def check_limits(used, most_stack):
    """Check one kernel's registers, shared memory and stack."""
    assert used["registers"] <= 255
    assert used["shared"] <= MOST_SHARED[used["capability"]]
    if used["direction"] == "step":
        assert used["stack"] == 0, used
    else:
        assert used["stack"] <= most_stack[used["direction"] == "backward"], used


@pytest.mark.parametrize("size", [(32, 32), (64, 64)])
def test_bfloat16_kernels_for_an_h100(size, compiled):
    """The shipping default: no stack at all for a window of one chunk, forward and backward."""
    kernels = compiled(*size, "bf16", 90)
    assert len(kernels) == 10
    for used in kernels:
        check_limits(used, MOST_STACK[90, size, "bf16"])
        if not used["fused"]:
            many = {"forward": 32, "backward": 80, "step": 0}[used["direction"]]
            assert used["stack"] <= (many if used["many"] else 0)


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "size", "dtype"), [x for x in MOST_STACK if x not in QUICK])
def test_the_largest_kernels_of_a_size(capability, size, dtype, compiled):
    """Fused only, as the model calls them; the bare ones rarely use more."""
    kernels = compiled(*size, dtype, capability, bare=False)
    assert len(kernels) == 5
    for used in kernels:
        check_limits(used, MOST_STACK[capability, size, dtype])


def test_the_interpreter_cannot_compile_ahead():
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("the interpreter is off")
    from sleep_kernels.triton.ahead import Variant, what_is_used

    with pytest.raises(RuntimeError, match="TRITON_INTERPRET=1 is set; compile in a process"):
        what_is_used(Variant("forward", 64, 64, "bf16"))
