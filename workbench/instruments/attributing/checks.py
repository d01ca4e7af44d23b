"""Can an attribution be trusted? A check with other weights, and the trap of a looped module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a model whose every parameter has its entries shuffled.

    Sizes and distributions stay; what was learnt is lost.
    """
    if not isinstance(model, nn.Module):
        raise WorkbenchError(
            f"a model of type {type(model).__name__}",
            "a torch module, whose parameters can be shuffled",
            "make a copy with other weights yourself",
        )
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return other


def randomisation_check(
    attributed: Callable[[Any], xr.DataArray], model: nn.Module, *, seeds: Sequence[int] = (0, 1, 2)
) -> xr.Dataset:
    """Compare attributions with those of the same model after its parameters were shuffled.

    An attribution that does not change describes the input, not the model (Adebayo et al. arXiv
    1810.03292).

    - attributed: takes a model and returns the ``attribution (example, ...)`` of one fixed target:
      give `against`, so that both models are asked for the same logit difference.
    - seeds: one shuffled copy for each.

    Result: over (seed, example): ``rank_correlation`` of the attributions (Spearman), and
    ``magnitude_correlation`` of their absolute values, which the input's own sizes keep up. NaN
    where all attributions of an example are alike.
    """
    own = attributed(model)
    found = np.empty((2, len(seeds), own.sizes[dims.EXAMPLE]))
    for number, seed in enumerate(seeds):
        other = attributed(randomised(model, seed)).transpose(*own.dims)
        pair = own.values, other.values
        found[0, number] = _rank_correlations(*pair)
        found[1, number] = _rank_correlations(*map(np.abs, pair))
    axes = (dims.SEED, dims.EXAMPLE)
    return xr.Dataset(
        {"rank_correlation": (axes, found[0]), "magnitude_correlation": (axes, found[1])},
        coords={dims.SEED: list(seeds)},
        attrs={"compared": "attributions of the model, and of copies with shuffled parameters"},
    )


def hooked_completeness(
    forward: Callable[..., Tensor],
    module: nn.Module,
    inputs: Tensor,
    baselines: Tensor,
    *given: Tensor,
    steps: int = 64,
) -> xr.Dataset:
    """Show the trap: integrated gradients of a module that runs more than once, by hooks.

    Captum's layer methods see the module's last call alone and put their path into every call, so
    what they attribute does not add up. Here for a comparison with the rest of the computation as
    a function of its input (`workbench.instruments.attribution.attribute`), which does.

    - forward: ``forward(inputs, *given) -> Tensor [example]``, which runs `module` several times.
    - module: the looped module; its output is one tensor.
    - inputs, baselines: ``[example, ...]``.
    - given: further arguments of `forward`, ``[example, ...]``.

    Result: over (procedure, example): ``completeness_error``, relative, of integrated gradients
    "hooked to the module" and "of the input"; over (example) ``worth``, nats: the target minus its
    value at the baseline.
    """
    from captum.attr import IntegratedGradients, LayerIntegratedGradients

    with torch.no_grad():
        worth = forward(inputs, *given) - forward(baselines, *given)
    options = {"additional_forward_args": given or None, "n_steps": steps}
    hooked = LayerIntegratedGradients(forward, module).attribute(inputs, baselines, **options)
    plain = IntegratedGradients(forward).attribute(inputs, baselines, **options)
    errors = [
        to_numpy((found.flatten(1).sum(1) - worth).abs() / worth.abs()) for found in (hooked, plain)
    ]
    return xr.Dataset(
        {
            "completeness_error": ((dims.PROCEDURE, dims.EXAMPLE), np.stack(errors)),
            "worth": (dims.EXAMPLE, to_numpy(worth), {"units": "nat"}),
        },
        coords={dims.PROCEDURE: ["hooked to the module", "of the input"]},
        attrs={"baseline": "as given", "steps": steps},
    )


def _rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of ``[example, ...]`` with its like, ``[example]``."""
    from scipy.stats import rankdata

    ranks = [rankdata(a.reshape(len(a), -1), axis=1) for a in (one, other)]
    left, right = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.divide(
        (left * right).sum(axis=1), size, out=np.full(len(one), np.nan), where=size > 0
    )
