"""What notebook 4 compares the memory of a trace with: rounding, a replay, toy courses, noise.

Its exercises are in `sleep_course.exercises.changing`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.convergence import debiased_cka


def two_courses(passes: int, *, shrink: float = 0.6, seed: int = 0) -> dict[str, np.ndarray]:
    """Return two made-up sleeps whose steps are equally large, pass for pass.

    S ``[sleep_pass, key, value]``: one goes straight to where it ends, the other jumps from one
    side of it to the other.
    """
    generator = np.random.default_rng(seed)
    end, off = generator.standard_normal((2, 4, 4))
    powers = np.arange(passes + 1)[:, None, None]
    return {
        "straight": end + off * shrink**powers / (1 - shrink),
        "to and fro": end + off * (-shrink) ** powers / (1 + shrink),
    }


def relative_steps(states: np.ndarray) -> np.ndarray:
    """Return ``|S_n - S_(n-1)| / |S_n|`` ``[sleep_pass 1..]`` of ``[sleep_pass, key, value]``."""
    steps = np.linalg.norm(np.diff(states, axis=0), axis=(1, 2))
    return steps / np.linalg.norm(states[1:], axis=(1, 2))


def share_right(trace: xr.DataTree) -> np.ndarray:
    """Return the share of answers right if woken after each pass over the first window."""
    correct = trace["readout"]["correct"].isel({dims.WINDOW: 0})
    return np.asarray(correct.mean((dims.EXAMPLE, dims.QUERY)).values)


def cka_of_passes(
    cka: Callable[[np.ndarray, np.ndarray], float], trace: xr.DataTree, *, first: int, second: int
) -> str:
    """Return, head by head, how alike two passes are by both estimators, and with other rings.

    The last two columns have the rings of the second pass shuffled: nothing is shared there but
    what all rings have in common, which CKA takes away.
    """
    found = trace["states"]["fast_weight"].isel({dims.WINDOW: 0, dims.LAYER: 0})
    values = found.transpose(dims.GDN_HEAD, dims.SLEEP_PASS, dims.EXAMPLE, ...).values
    states = values.reshape(*values.shape[:3], -1).astype(np.float64)
    generator = np.random.default_rng(0)
    others = [generator.permutation(states.shape[2]) for _ in range(20)]
    lines = [f"pass {first} with pass {second}:  same ring          rings shuffled"]
    lines.append("head             usual  debiased    usual  debiased")
    for head, passes in enumerate(states):
        x, y = passes[first], passes[second]
        numbers = [cka(x, y), debiased_cka(x, y)]
        numbers += [float(np.mean([f(x, y[o]) for o in others])) for f in (cka, debiased_cka)]
        one, two, three, four = numbers
        lines.append(f"{head:>4}  {one:>16.2f}  {two:>8.2f}  {three:>7.2f}  {four:>8.2f}")
    return "\n".join(lines)


def likeness(vectors: np.ndarray) -> float:
    """Return the mean cosine of different vectors, ``[example, token, entry]``, of one example."""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosines = unit @ np.swapaxes(unit, -1, -2)
    return float(cosines[:, ~np.eye(vectors.shape[1], dtype=bool)].mean())


def symbols_of(trace: xr.DataTree) -> tuple[tuple[str, ...], ...]:
    """Return the text of each token of the first example, window by window; "" for padding."""
    vocabulary: Sequence[str] = json.loads(trace.attrs["vocabulary_json"])
    inputs = trace["inputs"].to_dataset().isel({dims.EXAMPLE: 0})
    order = (dims.WINDOW, dims.TOKEN)
    tokens = inputs["tokens"].transpose(*order).values
    valid = inputs["valid"].transpose(*order).values
    return tuple(
        tuple(vocabulary[t] if real else "" for t, real in zip(row, mask, strict=True))
        for row, mask in zip(tokens, valid, strict=True)
    )
