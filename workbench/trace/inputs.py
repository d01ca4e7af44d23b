"""A batch as a trace holds it, window by window, and back again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch, window_spans
from workbench.sleep.windows import Reading
from workbench.trace.schema import OF_WINDOW

FILL = {"tokens": 0, "valid": False, "loss_mask": False, "answer_of": -1}
"""What the end of a shorter window is filled up with, by the name in batch and trace."""


def inputs_of(batch: Batch, window: int, rows: Sequence[Reading] = ()) -> xr.Dataset:
    """Return ``/inputs`` of a trace.

    `batch`: sequences of one length. `window`: L, tokens per window; isolated queries may have
    more. `rows`: the readings, where they may be more than the windows. A window that is read
    awake has its labels there alone, not where it is slept on afterwards. A window that is shorter
    than others is filled up at its end, with tokens that are not valid, no targets and part of no
    answer. Returns ``tokens``, ``valid``, ``loss_mask``, ``answer_of`` over
    ``(example, window, token)``, and ``difficulty (example, query)``.
    """
    spans = batch.windows(window)
    places = max(window, batch.tokens.shape[1] - batch.context_tokens)
    axes = (dims.EXAMPLE, dims.WINDOW, dims.TOKEN)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "difficulty": ((dims.EXAMPLE, dims.QUERY), batch.difficulty)
    }
    for name, fill in FILL.items():
        whole = getattr(batch, name)
        values = np.full((len(batch), len(spans), places), fill, dtype=whole.dtype)
        for number, (start, stop) in enumerate(spans):
            values[:, number, : stop - start] = whole[:, start:stop]
        if len(rows) > values.shape[1]:
            values = values[:, [row.window for row in rows]]
            if name in ("loss_mask", "answer_of"):
                values[:, [not row.awake for row in rows]] = fill
        variables[name] = axes, values
    return xr.Dataset(variables)


def batch_of(trace: xr.DataTree) -> Batch:
    """Return the batch that a trace was recorded from."""
    inputs, length = trace.children["inputs"].dataset, trace.attrs["sequence_length"]
    isolated, difficulty = int(trace.attrs.get("isolated", 0)), inputs["difficulty"].values
    context = length - isolated * difficulty.shape[1]
    values = {name: inputs[name].values for name in FILL}
    if OF_WINDOW in trace.coords:  # a window's first reading is the one with its labels
        _, first = np.unique(trace.coords[OF_WINDOW].values, return_index=True)
        values = {name: array[:, first] for name, array in values.items()}
    spans = window_spans(context, length, trace.attrs["window_size"])
    kept = [
        np.arange(stop - start) + inputs.sizes[dims.TOKEN] * n
        for n, (start, stop) in enumerate(spans)
    ]
    return Batch(
        **{n: v.reshape(len(v), -1)[:, np.concatenate(kept)] for n, v in values.items()},
        difficulty=difficulty.copy(),
        isolated=isolated,
    )
