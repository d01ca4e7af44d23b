"""Triton kernels of the update rules: forward, backward and one-token step, one launch each.

May import triton, torch, and the contract, operators and `fused_options` of `sleep_kernels`; only
`sleep_kernels.backends` imports it, on first use.
"""

from sleep_kernels.triton.run import run_triton

__all__ = ["run_triton"]
