"""A batch as a trace holds it, cut into windows, and back again."""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch


def inputs_of(batch: Batch, window: int) -> xr.Dataset:
    """Return ``/inputs`` of a trace.

    Parameters
    ----------
    batch : Batch
        Sequences of one length.
    window : int
        L, tokens per window. Where the last window is shorter it is filled up at its end, with
        tokens that are not valid, no targets and part of no answer.

    Returns
    -------
    Dataset
        ``token_id``, ``valid_mask``, ``is_target``, ``answer_of`` over ``(example, window,
        token)``, and ``difficulty (example, query)``.
    """
    missing = -batch.tokens.shape[1] % window

    def cut(values: np.ndarray, fill: int | bool) -> tuple[tuple[str, ...], np.ndarray]:
        whole = np.pad(values, ((0, 0), (0, missing)), constant_values=fill)
        names = (dims.EXAMPLE, dims.WINDOW, dims.TOKEN)
        return names, whole.reshape(len(batch), -1, window)

    return xr.Dataset(
        {
            "token_id": cut(batch.tokens, 0),
            "valid_mask": cut(batch.valid, False),
            "is_target": cut(batch.loss_mask, False),
            "answer_of": cut(batch.answer_of, -1),
            "difficulty": ((dims.EXAMPLE, dims.QUERY), batch.difficulty),
        }
    )


def batch_of(trace: xr.DataTree) -> Batch:
    """Return the batch that a trace was recorded from."""
    inputs, length = trace.children["inputs"].dataset, trace.attrs["sequence_length"]

    def joined(name: str) -> np.ndarray:
        values: np.ndarray = inputs[name].values
        return values.reshape(len(values), -1)[:, :length].copy()

    return Batch(
        tokens=joined("token_id"),
        loss_mask=joined("is_target"),
        valid=joined("valid_mask"),
        answer_of=joined("answer_of"),
        difficulty=inputs["difficulty"].values.copy(),
    )
