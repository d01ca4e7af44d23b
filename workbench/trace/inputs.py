"""A batch as a trace holds it, window by window, and back again."""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch

FILL = {"tokens": 0, "valid": False, "loss_mask": False, "answer_of": -1}
"""What the end of a shorter last window is filled up with, by the name in batch and trace."""


def inputs_of(batch: Batch, window: int) -> xr.Dataset:
    """Return ``/inputs`` of a trace.

    `batch`: sequences of one length. `window`: L, tokens per window. Where the last window is
    shorter it is filled up at its end, with tokens that are not valid, no targets and part of no
    answer. Returns ``tokens``, ``valid``, ``loss_mask``, ``answer_of`` over
    ``(example, window, token)``, and ``difficulty (example, query)``.
    """
    missing = -batch.tokens.shape[1] % window
    axes = (dims.EXAMPLE, dims.WINDOW, dims.TOKEN)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "difficulty": ((dims.EXAMPLE, dims.QUERY), batch.difficulty)
    }
    for name, fill in FILL.items():
        whole = np.pad(getattr(batch, name), ((0, 0), (0, missing)), constant_values=fill)
        variables[name] = axes, whole.reshape(len(batch), -1, window)
    return xr.Dataset(variables)


def batch_of(trace: xr.DataTree) -> Batch:
    """Return the batch that a trace was recorded from."""
    inputs, length = trace.children["inputs"].dataset, trace.attrs["sequence_length"]
    values = {name: inputs[name].values for name in FILL}
    return Batch(
        **{n: v.reshape(len(v), -1)[:, :length].copy() for n, v in values.items()},
        difficulty=inputs["difficulty"].values.copy(),
        isolated=int(trace.attrs.get("isolated", 0)),
    )
