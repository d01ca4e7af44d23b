"""Spectra: how many directions a memory uses, and how evenly.

Only measures that change smoothly with S are given. Numerical rank is not among them: a matrix
of rank 4 that was stored in bf16 has numerical rank 63.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.recorded import MATRIX, UNITS_OF_S, norms, result_of, states_of


def spectra(trace: xr.DataTree) -> xr.Dataset:
    """Return the spectrum of S at every pass of a trace; see `spectra_of`.

    Raises WorkbenchError: the trace keeps no states.
    """
    return spectra_of(states_of(trace))


def spectra_of(states: xr.DataArray) -> xr.Dataset:
    """Return singular values, and three measures of how many of them count.

    - states: matrices ``(..., key, value)``: those of a trace, of a replay, or a contribution.

    Result: all dimensionless but the first two, which are in units of S, and all ``(...)``:

    - ``singular_value`` ``(..., mode)``, largest first;
    - ``norm``: Frobenius;
    - ``effective_rank``: exp of the entropy of s / sum(s) (Roy and Vetterli, 2007);
    - ``stable_rank``: sum(s^2) / max(s)^2 (Rudelson and Vershynin, 2007);
    - ``participation_ratio``: sum(s^2)^2 / sum(s^4).

    The three ranks lie between 1 and the number of modes. Where S = 0 they are NaN; where S
    is NaN (no such pass), everything is.
    """
    states = states.transpose(..., *MATRIX)
    values = states.values.astype(np.float64)
    missing = np.asarray(np.isnan(values).any(axis=(-2, -1)))
    singular = np.linalg.svd(np.where(missing[..., None, None], 0.0, values), compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = singular / singular[..., :1]  # neither squares nor fourth powers underflow
        share = scaled / scaled.sum(-1, keepdims=True)
        logs = np.log(np.where(share > 0, share, 1.0))
        square = (scaled**2).sum(-1)
        ranks = {
            "effective_rank": np.exp(-(share * logs).sum(-1)),
            "stable_rank": square,
            "participation_ratio": square**2 / (scaled**4).sum(-1),
        }
    singular[missing] = np.nan
    over = states.dims[:-2]
    found = {name: (over, values) for name, values in {"norm": norms(values), **ranks}.items()}
    return result_of(
        states,
        {"singular_value": ((*over, dims.MODE), singular), **found},
        {dims.MODE: np.arange(singular.shape[-1])},
        units={UNITS_OF_S: ("singular_value", "norm"), "directions": tuple(ranks)},
        compared="singular values of S at each pass",
        zero_state="ranks are NaN",
    )
