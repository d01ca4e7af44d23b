"""Inputs of the update rules: one generator for the tests of every backend."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

NAMES = ("q", "k", "v", "log_decay", "beta", "state")
KINDS = ("random", "identical", "near-collinear")
"""What keys are like. Repeated tokens give identical ones."""


def raw(
    batch: int, tokens: int, *, heads: int = 3, keys: int = 4, values: int = 5,
    dtype: torch.dtype = torch.float64, seed: int | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Return normal numbers for `NAMES`, gates and output norm; none is normalised or gated."""
    row = (batch, tokens, heads)
    shapes = {
        **{"q": (*row, keys), "k": (*row, keys), "v": (*row, values), "log_decay": row},
        **{"beta": row, "state": (batch, heads, keys, values), "log_rate": (heads,)},
        **{"decay_bias": (heads,), "weight": (values,), "gate": (*row, values)},
    }
    seed = tokens * keys + values if seed is None else seed
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for name, shape in shapes.items()
    }


def of_kind(k: Tensor, kind: str, apart: float = 1e-4) -> Tensor:
    """Return keys ``[batch, token, gdn_head, key]`` of unit norm, of one of `KINDS`."""
    if kind != "random":
        k = k[:, :1] + (0.0 if kind == "identical" else apart) * k
    return normalize(k, dim=-1)


def drawn(
    batch: int, tokens: int, *, kind: str = "random", decay: float = 1.0, strongest: float = 1.0,
    dtype: torch.dtype = torch.float64, **sizes: int | None,
) -> dict[str, Tensor]:  # fmt: skip
    """Return `NAMES` as a rule takes them: unit keys, log a from `-decay` to 0, b to `strongest`.

    Float32 numbers whatever the dtype, so that one result serves as the oracle of both precisions.
    """
    x = raw(batch, tokens, **sizes)  # type: ignore[arg-type]
    x["k"] = of_kind(x["k"], kind)
    x["log_decay"] = -decay * x["log_decay"].sigmoid()
    x["beta"] = strongest * x["beta"].sigmoid()
    return {name: x[name].float().to(dtype) for name in NAMES}


def check_budget(
    found: dict[str, Tensor], exact: dict[str, Tensor], plain: dict[str, Tensor], slack: float,
    eps: float | None = 2**-23,
) -> None:  # fmt: skip
    """Compare results by name: at most `slack` x (error of plain PyTorch + eps x largest entry).

    `eps`: None means that of each result's dtype.
    """
    assert found.keys() == exact.keys()
    for name, true in exact.items():
        error, allowed = ((x[name].double() - true).abs().max() for x in (found, plain))
        allowed += (eps or torch.finfo(found[name].dtype).eps) * true.abs().max()
        assert error <= slack * allowed, f"{name}: {error:.1e} > {slack} x {allowed:.1e}"
