"""Fixed block sizes, warps and stages of the kernels, by key, value and dtype: no autotuning.

A fixed choice repeats bit by bit, can be captured in a CUDA graph, and lets a test without a GPU
compile the very kernels that ship (`sleep_kernels.triton.ahead`).
"""

from __future__ import annotations

from typing import NamedTuple


class Configuration(NamedTuple):
    """``BK``, ``BV``: key rows and value columns of S held by a program, powers of two."""

    BK: int
    BV: int
    warps: int
    stages: int


def padded(size: int) -> int:
    """Return the power of two, 16 or more, that holds `size`."""
    return max(16, 1 << (size - 1).bit_length())


def forward_configuration(keys: int, values: int, dtype: str) -> Configuration:
    """Return how the forward kernel runs; `dtype` is "bf16", "tf32" or "fp32".

    IEEE float32 products go without tensor cores and keep whole rows of both factors in registers:
    they get narrow blocks of values.
    """
    if dtype == "fp32":
        if keys <= 32:
            return Configuration(padded(keys), min(padded(values), 32), 8, 1)
        return Configuration(padded(keys), 16, 8 if keys <= 64 else 16, 1)
    return Configuration(padded(keys), min(padded(values), 64), 8, 1)


def backward_configuration(keys: int, values: int, dtype: str) -> Configuration:
    """Return how the backward kernel runs; `dtype` is "bf16", "tf32" or "fp32".

    On tensor cores, S never has fewer than 64 rows (zeros above `keys`): with 32, the products'
    layout copies every right factor into all warps, and half a kilobyte a thread is spilled.
    """
    if dtype == "fp32":
        return forward_configuration(keys, values, dtype)
    return Configuration(max(padded(keys), 64), min(padded(values), 64), 8, 1)


def step_configuration(keys: int, values: int) -> Configuration:
    """Return how the one-token kernel runs."""
    return Configuration(padded(keys), min(padded(values), 64), 4, 1)


def holds_every_value(keys: int, values: int, dtype: str) -> bool:
    """Return whether one block covers all values in every kernel, so that a row is in one place."""
    return all(
        size.BV >= values
        for size in (
            forward_configuration(keys, values, dtype),
            backward_configuration(keys, values, dtype),
            step_configuration(keys, values),
        )
    )
