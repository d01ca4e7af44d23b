"""Triton kernels of the update rules: forward, backward and one-token step, one launch each.

May import triton, torch, and the contract, validation and `around` of `sleep_kernels`; nothing
else does import it but `sleep_kernels.backends`, on first use.
"""

from sleep_kernels.triton.run import run_triton

__all__ = ["run_triton"]
