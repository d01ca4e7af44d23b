"""The kernels compiled for an A100 and an H100, without either, against limits on what they use."""

import json
import os
import subprocess
import sys

import pytest

from sleep_kernels.backends import KEY_DIMS

MOST_SHARED = {80: 163 * 1024, 90: 227 * 1024}

# Stack bytes a thread may spill, by capability, dtype and key = value: (forward, backward).
# Measured with triton 3.7.1: the worst of one chunk and many, bare and fused, with some room.
# On tensor cores most of it is addresses, lifted out of the loop over chunks. IEEE float32
# products keep whole rows of both factors in registers, and spill at every size.
MOST_STACK = {
    (90, "bf16", 16): (16, 320),
    (90, "bf16", 32): (16, 384),
    (90, "bf16", 64): (32, 640),
    (90, "bf16", 96): (192, 1280),
    (90, "bf16", 128): (192, 1408),
    (90, "fp32", 16): (16, 64),
    (90, "fp32", 32): (256, 640),
    (90, "fp32", 64): (640, 512),
    (90, "fp32", 96): (3072, 1024),
    (90, "fp32", 128): (3072, 1024),
    (80, "bf16", 16): (32, 448),
    (80, "bf16", 32): (96, 512),
    (80, "bf16", 64): (640, 512),
    (80, "bf16", 96): (2816, 2560),
    (80, "bf16", 128): (2816, 2560),
    (80, "fp32", 16): (16, 64),
    (80, "fp32", 32): (256, 640),
    (80, "fp32", 64): (3072, 640),
    (80, "fp32", 96): (3072, 1024),
    (80, "fp32", 128): (3072, 1024),
}


def compile_ahead(*arguments):
    """Return one dictionary a kernel, compiled in a process without the interpreter."""
    environment = {n: x for n, x in os.environ.items() if n != "TRITON_INTERPRET"}
    command = [sys.executable, "-P", "-m", "sleep_kernels.triton.ahead", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def check_limits(used, most_stack):
    """Check one kernel's registers, shared memory and stack."""
    assert used["registers"] <= 255
    assert used["shared"] <= MOST_SHARED[used["capability"]]
    if used["direction"] == "step":
        assert used["stack"] == 0, used
    else:
        assert used["stack"] <= most_stack[used["direction"] == "backward"], used


@pytest.mark.parametrize("keys", [32, 64])
def test_bfloat16_kernels_for_an_h100(keys):
    """The shipping default: no stack at all for a window of one chunk, forward and backward."""
    kernels = compile_ahead("--capability=90", f"{keys},{keys},bf16")
    assert len(kernels) == 10
    for used in kernels:
        check_limits(used, MOST_STACK[90, "bf16", keys])
        if not used["fused"]:
            assert used["stack"] <= (80 if used["many"] and used["direction"] == "backward" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize("keys", KEY_DIMS)
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_that_ships(dtype, keys, capability):
    for used in compile_ahead(f"--capability={capability}", f"{keys},{keys},{dtype}"):
        check_limits(used, MOST_STACK[capability, dtype, keys])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys_values", "most_stack"),
    [("64,128", (64, 768)), ("128,256", (192, 1408)), ("96,192", (192, 1280)), ("16,48", (64, 512))],
)
def test_more_values_than_keys(keys_values, most_stack):
    for used in compile_ahead("--capability=90", f"{keys_values},bf16"):
        check_limits(used, most_stack)


def test_the_interpreter_cannot_compile_ahead():
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("the interpreter is off")
    from sleep_kernels.triton.ahead import Variant, what_is_used

    with pytest.raises(RuntimeError, match="TRITON_INTERPRET=1 is set; compile in a process"):
        what_is_used(Variant("forward", 64, 64, "bf16"))
