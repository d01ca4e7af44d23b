"""Attribution by Captum to what crosses a boundary: state entries, heads, passes, tokens, windows.

Captum is given the rest of the computation (`workbench.instruments.attributing.continuation`),
never the looped module. Every result comes with its completeness error, the name of its baseline,
and its infidelity. Shapley values of few players are computed here, from every coalition. Sources:
integrated gradients, Sundararajan et al. arXiv 1703.01365; Shapley values, Shapley 1953, sampled
as in Castro et al. 2009; infidelity, Yeh et al. arXiv 1901.09392; Captum, arXiv 2009.07896.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.continuation import (
    Rest,
    answer_target,
    rest_of_changes,
    rest_of_embeddings,
    rest_of_state,
)
from workbench.instruments.boundaries import known_passes, read_boundaries
from workbench.instruments.recorded import check_choice
from workbench.model.arrays import to_numpy
from workbench.sleep import Boundary, SleepingModel, before_window

METHODS = ("integrated gradients", "input x gradient", "feature ablation", "shapley values")
GRADIENT, INPUT_X_GRADIENT, ABLATION, SHAPLEY = METHODS
GRADIENTS = METHODS[:2]
"""These attribute to every entry, and are summed over a feature; the others take features whole."""
EXACT_PLAYERS = 8
"""Shapley values of up to so many features are exact, from all 2^8 coalitions; else sampled."""


def attribute_state(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    start: Boundary,
    *,
    query: int | np.ndarray,
    against: np.ndarray | None = None,
    by: Sequence[str] = (dims.LAYER, dims.GDN_HEAD),
    baseline: str = "before the sleep",
    **options: object,
) -> xr.Dataset:
    """Attribute an answer to the state at a boundary.

    - start: the boundary, as `read_boundaries` gives it; the examples are those of `batch`.
    - query, against: as `workbench.instruments.attributing.continuation.answer_target` takes them.
    - by: axes to keep, among layer, gdn_head, key and value; entries are one feature over the rest.
    - baseline ({"before the sleep", "zero", "mean"}): the first is the state carried into the
      window.
    - **options: as `attribute` takes them: method, steps, samples, seed, ...

    Result: as `attribute` returns it.
    """
    target = answer_target(model, batch, sleep, start, query=query, against=against)
    rest = rest_of_state(model, batch, sleep, start, target)
    return attribute(rest, by=by, baseline=baseline, **options)  # type: ignore[arg-type]


def attribute_passes(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    query: int | np.ndarray,
    window: int = 0,
    against: np.ndarray | None = None,
    by: Sequence[str] = (dims.SLEEP_PASS,),
    **options: object,
) -> xr.Dataset:
    """Attribute an answer to what each pass of one window's sleep changed in S.

    Changes are held as they were in the reading; the baseline is the state before the sleep. `by`
    may keep layers, heads and entries too. The rest is as in `attribute_state`.
    """
    boundaries = read_boundaries(model, batch, sleep)
    start = boundaries.get((window, known_passes(sleep)))
    if start is None:
        raise WorkbenchError(
            f"window {window}", "a window that is slept on", "choose one of the context's windows"
        )
    target = answer_target(model, batch, sleep, start, query=query, against=against)
    rest = rest_of_changes(model, batch, sleep, boundaries, window, target)
    return attribute(rest, by=by, baseline="before the sleep", **options)  # type: ignore[arg-type]


def attribute_tokens(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    query: int | np.ndarray,
    against: np.ndarray | None = None,
    by: Sequence[str] = (dims.TOKEN,),
    method: str = SHAPLEY,
    baseline: str = "mean",
    **options: object,
) -> xr.Dataset:
    """Attribute an answer to the context: tokens, whole windows, or channels of embeddings.

    Every case runs the whole reading, all its passes included. Several passes make the answer so
    rough a function of the embeddings that integrated gradients miss completeness unless they
    take thousands of steps, and from zero embeddings, whose norms are undefined, always: look at
    ``completeness_error``. Shapley values are complete by construction.

    - query, against: as in `attribute_state`.
    - by: among token, channel and window.
    - baseline ({"mean", "zero", "another example"}): the mean embedding over examples and tokens,
      or the context of the example before.
    - **options: as `attribute` takes them.
    """
    start = before_window(0, model.empty_memory(len(batch)))
    target = answer_target(model, batch, sleep, start, query=query, against=against)
    rest = rest_of_embeddings(model, batch, sleep, target)
    return attribute(rest, by=by, baseline=baseline, method=method, **options)  # type: ignore[arg-type]


def attribute(
    rest: Rest,
    *,
    by: Sequence[str],
    baseline: str,
    method: str = GRADIENT,
    steps: int = 64,
    samples: int = 25,
    infidelity_samples: int = 16,
    cases: int = 1024,
    seed: int = 0,
) -> xr.Dataset:
    """Attribute the target of a rest to its input.

    - baseline: a name among ``rest.baselines``.
    - steps: points of the path of integrated gradients (Gauss-Legendre).
    - samples: orders drawn for Shapley values of more than `EXACT_PLAYERS` features, else none.
    - infidelity_samples: random halves of the features, put to the baseline.
    - cases: the most cases computed together.

    Result: ``attribution (example, *by)``, nats; over (example): ``logit_diff`` and
    ``logit_diff_at_baseline``, of the reading and with the baseline, nats;
    ``completeness_error``, how far the attributions' sum is from the difference of the two, as a
    share of it: small for integrated gradients and Shapley values, unbounded for the others;
    ``infidelity``, nats^2, the mean square of what the attributions say a random half of the
    features is worth minus what it is; ``unexplained``, infidelity as a share of the mean square
    of what it is: 0 is perfect, 1 no better than no attribution. Attribute ``samples`` is there
    only where orders were sampled, and ``coalitions`` where all were computed.

    Raises WorkbenchError: method, baseline or axis unknown; or input x gradient with a baseline
    other than zero.
    """
    _check(rest, by, baseline, method)
    inputs, base = rest.input.detach(), rest.baselines[baseline].detach()
    ids, sizes = _features(rest, by)
    example = torch.arange(len(inputs), device=inputs.device)
    work = _Work(rest.run, inputs, base, ids, int(np.prod(sizes)), example, cases)
    exact = method == SHAPLEY and work.count <= EXACT_PLAYERS
    if exact:
        per_feature = work.shapley()
    else:
        with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
            torch.manual_seed(seed)
            entries = work.by_captum(method, steps, samples)
        per_feature = entries.new_zeros(len(inputs), work.count)
        per_feature.index_add_(1, ids.flatten(), entries.flatten(1))
    members = torch.bincount(ids.flatten(), minlength=work.count).to(per_feature)
    if not exact and method not in GRADIENTS:  # every entry was given its whole feature's worth
        per_feature = per_feature / members
    with torch.no_grad():
        target, at_base = rest.run(inputs, example), rest.run(base, example)
    worth = target - at_base
    spread = (per_feature / members)[:, ids.flatten()].reshape(inputs.shape)
    infidelity, unexplained = work.infidelity(spread, infidelity_samples, seed)
    error = (per_feature.sum(1) - worth).abs() / worth.abs()
    shares = to_numpy(per_feature).reshape(-1, *sizes)
    found = xr.Dataset({"attribution": ((dims.EXAMPLE, *by), shares, {"units": "nat"})})
    for name, values, unit in (
        ("logit_diff", target, "nat"),
        ("logit_diff_at_baseline", at_base, "nat"),
        ("completeness_error", error, ""),
        ("infidelity", infidelity, "nat^2"),
        ("unexplained", unexplained, ""),
    ):
        found[name] = dims.EXAMPLE, to_numpy(values), {"units": unit} if unit else {}
    attrs: dict[str, Any] = {"attributed": rest.meaning, "procedure": method, "baseline": baseline}
    attrs |= {"examples": len(inputs), "seed": seed}
    if exact:
        attrs["coalitions"] = 2**work.count
    elif method in (GRADIENT, SHAPLEY):
        attrs |= {"steps": steps} if method == GRADIENT else {"samples": samples}
    return found.assign_coords(_coords(rest, by)).assign_attrs(attrs)


def _coords(rest: Rest, by: Sequence[str]) -> dict[str, Any]:
    coords: dict[str, Any] = {axis: rest.coords[axis] for axis in by if axis in rest.coords}
    if dims.TOKEN in by:
        coords[dims.WINDOW] = (dims.TOKEN, rest.coords[dims.WINDOW])
    elif dims.WINDOW in coords:
        coords[dims.WINDOW] = np.unique(coords[dims.WINDOW])
    return coords


@dataclass(frozen=True)
class _Work:
    """A target to attribute to the features of an input.

    - run: as `Rest.run`; inputs, base: ``[example, *axes]``.
    - ids: each entry's feature, ``[*axes]``, of `count`.
    - example: the examples' numbers; cases carry them, so that Captum may repeat the examples in
      any order.
    - cases: the most computed together.
    """

    run: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    base: Tensor
    ids: Tensor
    count: int
    example: Tensor
    cases: int

    @torch.no_grad()
    def shapley(self) -> Tensor:
        """Return exact Shapley values ``[example, feature]``, from the worth of every coalition.

        A feature's value is the mean of what it adds over all orders: a coalition S without it, of
        n features, comes before it in ``|S|! (n - |S| - 1)! / n!`` of them.
        """
        count, device = self.count, self.inputs.device
        number = torch.arange(2**count, device=device)
        present = number[:, None] >> torch.arange(count, device=device) & 1  # (coalition, n)
        worths = []
        for some in present.bool().split(max(self.cases // len(self.inputs), 1)):
            mask = some[:, self.ids]  # (coalition, *axes)
            given = torch.where(mask[:, None], self.inputs, self.base).flatten(0, 1)
            here = self.run(given, self.example.repeat(len(some)))
            worths.append(here.reshape(len(some), -1))
        worth = torch.cat(worths).double()  # (coalition, example)
        orders = [factorial(n) * factorial(count - n - 1) / factorial(count) for n in range(count)]
        before = torch.tensor([*orders, 0.0], dtype=torch.float64, device=device)[present.sum(1)]
        found = []
        for feature in range(count):
            without = number[present[:, feature] == 0]
            added = worth[without + 2**feature] - worth[without]
            found.append((before[without, None] * added).sum(0))
        return torch.stack(found, dim=1).to(torch.promote_types(self.inputs.dtype, torch.float32))

    def by_captum(self, method: str, steps: int, samples: int) -> Tensor:
        """Return one number for every entry of the input, as Captum gives them."""
        from captum import attr

        inputs, together = self.inputs, max(self.cases // len(self.inputs), 1)
        if method == INPUT_X_GRADIENT:
            return (
                attr.InputXGradient(self.run)
                .attribute(inputs.clone().requires_grad_(), additional_forward_args=self.example)
                .detach()
            )
        options: dict[str, Any] = {"baselines": self.base, "additional_forward_args": self.example}
        if method == GRADIENT:
            options |= {"n_steps": steps, "internal_batch_size": max(self.cases, len(inputs))}
            return attr.IntegratedGradients(self.run).attribute(inputs, **options)
        options |= {"feature_mask": self.ids[None], "perturbations_per_eval": together}
        with torch.no_grad():
            if method == ABLATION:
                return attr.FeatureAblation(self.run).attribute(inputs, **options)
            sampled = attr.ShapleyValueSampling(self.run)
            return sampled.attribute(inputs, n_samples=samples, **options)

    @torch.no_grad()
    def infidelity(self, attributions: Tensor, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return infidelity and its share of the mean square change, over random halves."""
        from captum.metrics import infidelity

        def half_to_baseline(given: Tensor, baselines: Tensor) -> tuple[Tensor, Tensor]:
            chosen = torch.rand(len(given), self.count, generator=generator) < 0.5
            mask = chosen.to(given)[:, self.ids.flatten()].reshape(given.shape)
            # attributions are worths already, input times sensitivity: a perturbation is a share
            return mask, given - mask * (given - baselines)

        most = len(self.inputs)
        errors = []
        for said in (attributions, torch.zeros_like(attributions)):
            generator = torch.Generator().manual_seed(seed)
            errors.append(
                infidelity(
                    self.run,
                    half_to_baseline,
                    self.inputs,
                    said,
                    baselines=self.base,
                    additional_forward_args=self.example,
                    n_perturb_samples=samples,
                    max_examples_per_batch=min(max(self.cases, most), most * samples),
                )
            )
        return errors[0], errors[0] / errors[1]


def _features(rest: Rest, by: Sequence[str]) -> tuple[Tensor, tuple[int, ...]]:
    """Return each entry's feature, numbered without gaps, and how many there are along `by`."""
    shape = dict(zip(rest.axes, rest.input.shape[1:], strict=True))
    ids = torch.zeros(tuple(shape.values()), dtype=torch.long)
    sizes = []
    for axis in by:
        carrier = dims.TOKEN if axis == dims.WINDOW and axis not in shape else axis
        along = np.arange(shape[carrier]) if carrier == axis else rest.coords[axis]
        sizes.append(int(along.max()) + 1)
        spread = [-1 if name == carrier else 1 for name in shape]
        ids = ids * sizes[-1] + torch.as_tensor(along).reshape(spread)
    return ids.to(rest.input.device), tuple(sizes)


def _check(rest: Rest, by: Sequence[str], baseline: str, method: str) -> None:
    check_choice("method", method, METHODS)
    check_choice("baseline", baseline, rest.baselines)
    for axis in by:
        check_choice("axis", axis, {*rest.axes, *(n for n in rest.coords if n == dims.WINDOW)})
    if not by or len(set(by)) < len(by) or {dims.WINDOW, dims.TOKEN} <= set(by):
        raise WorkbenchError(
            f"axes {list(by)}", "at least one, each once, tokens or windows", "change by"
        )
    if method == INPUT_X_GRADIENT and rest.baselines[baseline].any():
        raise WorkbenchError(
            f"input x gradient with the baseline {baseline!r}",
            "a baseline that is zero, which the method has built in",
            "use baseline='zero', or integrated gradients",
        )
