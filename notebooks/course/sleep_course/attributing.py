"""Attribution by hand and by Captum: a looped module, the rest of a reading, passes as players.

Called by notebook 7; its exercises are in `sleep_course.exercises.attributing`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.attributing.checks import hooked_completeness, randomisation_check
from workbench.instruments.attributing.continuation import (
    Target,
    answer_target,
    rest_of_changes,
    rest_of_embeddings,
    rest_of_state,
)
from workbench.instruments.attribution import attribute_state
from workbench.instruments.boundaries import known_passes, read_boundaries
from workbench.model import HybridModel
from workbench.sleep import Boundary, before_window

STEEP = 6.0
"""Slope of the step in `steep`."""


class Asked(NamedTuple):
    """Examples that have a query of some difficulty, and the first such one of each.

    `query` is int64 ``[example]``.
    """

    batch: Batch
    query: np.ndarray


def asked(batch: Batch, difficulty: int, *, most: int) -> Asked:
    """Return the first `most` examples that have a query of this difficulty."""
    has = np.flatnonzero((batch.difficulty == difficulty).any(1))[:most]
    chosen = batch.examples(has)
    return Asked(chosen, (chosen.difficulty == difficulty).argmax(1))


def steep(x: np.ndarray) -> float:
    """Return a step, a product and a square of ``x [feature = 3]``: hard to integrate coarsely."""
    return float(np.tanh(STEEP * (x[0] - 0.5)) + x[0] * x[1] + x[2] ** 2)


def steep_gradient(x: np.ndarray) -> np.ndarray:
    """Return the gradient of `steep` at ``x [feature = 3]``."""
    step = STEEP / np.cosh(STEEP * (x[0] - 0.5)) ** 2
    return np.array([step + x[1], x[0], 2 * x[2]])


class Looped(nn.Module):
    """A sleep in three lines: a block writes into a memory `times` times and reads its features."""

    def __init__(self, times: int, *, width: int = 3) -> None:
        super().__init__()
        self.times = times
        self.block = nn.Linear(width, width, bias=False, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = torch.randn(width, width, generator=generator, dtype=torch.float32)
            self.block.weight.copy_(drawn.double())

    def forward(self, given: Tensor) -> Tensor:
        """Return one number for each of ``given [example, feature]``."""
        memory, features = torch.zeros_like(given), given
        for _ in range(self.times):
            written = self.block(features)
            memory, features = memory + written, torch.tanh(features + written)
        return torch.tanh(memory).sum(1)


def looped_errors(times: int) -> dict[str, float]:
    """Return how far integrated gradients miss completeness on `Looped`, median of 20 inputs.

    By procedure: "hooked to the module" is Captum given the module to attribute to, "of the
    input" is Captum given a function of the input.
    """
    generator = torch.Generator().manual_seed(1)
    given = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    model = Looped(times)
    return _errors(hooked_completeness(model, model.block, given, torch.zeros_like(given)))


def model_errors(
    model: HybridModel, batch: Batch, sleep: SleepConfig, query: np.ndarray, *, block: int
) -> dict[str, float]:
    """Return the same for a block's MLP in a whole reading.

    The input is the context's embeddings, the baseline those of another example.
    """
    start = before_window(0, model.empty_memory(len(batch)))
    target = answer_target(model, batch, sleep, start, query=query)
    rest = rest_of_embeddings(model, batch, sleep, target)
    module = model.stack[block].mlp
    assert isinstance(module, nn.Module)
    found = hooked_completeness(
        rest.run,
        module,
        rest.input,
        rest.baselines["another example"],
        torch.arange(len(batch)),
        steps=32,
    )
    return _errors(found)


def answer_of(
    model: HybridModel, batch: Batch, sleep: SleepConfig, query: np.ndarray
) -> tuple[Boundary, Callable[[Boundary], Tensor]]:
    """Return the boundary after the sleep of one example, and what is answered from any boundary.

    The boundary lies before the first window that is read awake: S alone has crossed.
    ``answer(boundary)`` reads on from there and returns the right answer's logit minus that of the
    strongest other symbol in the undisturbed reading, ``[case]``. The boundary may hold S of any
    number of cases: each is the same text, read with another memory.
    """
    if len(batch) != 1:
        raise ValueError(f"a batch of {len(batch)} examples; expected one")
    boundaries = read_boundaries(model, batch, sleep)
    start = boundaries[max(window for window, n in boundaries if n) + 1, 0]
    target = answer_target(model, batch, sleep, start, query=query)

    def answer(boundary: Boundary) -> Tensor:
        states = torch.stack([boundary.memory.fast_weights[i] for i in model.fast_weight_layers], 1)
        index = np.zeros(len(states), dtype=np.int64)
        same = Target(*(values[index] for values in (target.at, target.answer, target.against)))
        rest = rest_of_state(model, batch.examples(index), sleep, boundary, same)
        return rest.run(states, torch.arange(len(states)))

    return start, answer


def runs_needed(mask: np.ndarray) -> int:
    """Return how often Captum's Shapley sampling runs a function for one order of the features.

    `mask`, int, has the feature of every entry.
    """
    from captum.attr import ShapleyValueSampling

    runs = 0

    def counted(given: Tensor) -> Tensor:
        nonlocal runs
        runs += len(given)
        return given.flatten(1).sum(1)

    features = torch.as_tensor(np.ascontiguousarray(mask), dtype=torch.long)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Feature mask is missing some integers"
        ShapleyValueSampling(counted).attribute(
            torch.ones(features.shape), feature_mask=features, n_samples=1
        )
    return runs


def passes_as_players(
    model: HybridModel, batch: Batch, sleep: SleepConfig, query: np.ndarray
) -> Callable[[Collection[int]], float]:
    """Return ``worth(passes)``: the mean logit difference if only these passes had changed S.

    Each pass's change is held as it was in the whole sleep; with all of them S is what it was.
    """
    boundaries = read_boundaries(model, batch, sleep)
    start = boundaries[0, known_passes(sleep)]
    target = answer_target(model, batch, sleep, start, query=query)
    rest = rest_of_changes(model, batch, sleep, boundaries, 0, target)
    example = torch.arange(len(batch))

    @cache
    @torch.no_grad()
    def of(passes: frozenset[int]) -> float:
        kept = torch.tensor([n + 1 in passes for n in range(rest.input.shape[1])])
        changes = rest.input * kept.reshape(1, -1, *[1] * (rest.input.ndim - 2))
        return float(rest.run(changes, example).mean())

    return lambda passes: of(frozenset(passes))


def against_shuffled_weights(
    model: HybridModel, batch: Batch, sleep: SleepConfig, query: np.ndarray
) -> xr.Dataset:
    """Compare integrated gradients of S by head and key with those of shuffled parameters.

    Both models are asked for the same logit difference, from their own memory; baseline "mean".
    Returns what `workbench.instruments.attributing.checks.randomisation_check` does.
    """
    last = known_passes(sleep)
    start = read_boundaries(model, batch, sleep)[0, last]
    against = answer_target(model, batch, sleep, start, query=query).against.numpy()

    def attributed(other: HybridModel) -> xr.DataArray:
        found = attribute_state(
            other,
            batch,
            sleep,
            read_boundaries(other, batch, sleep)[0, last],
            query=query,
            against=against,
            baseline="mean",
            by=(dims.GDN_HEAD, dims.KEY),
            steps=16,
            infidelity_samples=2,
        )
        return found["attribution"]

    return randomisation_check(attributed, model, seeds=(0, 1))


def _errors(found: xr.Dataset) -> dict[str, float]:
    errors = found["completeness_error"].median(dims.EXAMPLE)
    return dict(zip(errors[dims.PROCEDURE].values.tolist(), errors.values.tolist(), strict=True))
