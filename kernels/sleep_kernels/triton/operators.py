"""The Triton kernels as custom operators; see `sleep_kernels.operators`."""

from __future__ import annotations

from sleep_kernels.operators import Inputs, Outputs, Settings, custom_operator
from sleep_kernels.triton.backward import run_backward
from sleep_kernels.triton.forward import run_forward
from sleep_kernels.triton.step import run_step


def _run(
    inputs: Inputs, settings: Settings, wide: bool, chunk_states: bool, change_norm: bool
) -> Outputs:
    run = run_step if inputs.k.shape[1] == 1 else run_forward
    return run(inputs, settings, wide=wide, chunk_states=chunk_states, change_norm=change_norm)


rule = custom_operator("triton_rule", _run, run_backward)
