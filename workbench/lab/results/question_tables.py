"""The table that answers each kind of question, over named dims.

Pure functions over finished results (`workbench.lab.results.final`); `within` alone needs them with
their steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import xarray as xr

from workbench import dims
from workbench.lab import results
from workbench.lab.results.seeds import Pair, pairs_of
from workbench.lab.results.tables import SOLVED, conditions, with_n_test

Table = Callable[[xr.Dataset, Sequence[Pair]], xr.Dataset]
"""From a sweep's results and conditions to mean, low, high, count and chance over named dims."""

Spent = Literal["seconds", "training_flops"]
"""What training spends, as the results name it."""
UNITS: dict[Spent, str] = {"seconds": "s", "training_flops": "FLOPs"}
BLIND = "the same model without the context"
"""Chance line that is measured on each model (`workbench.training.evaluation.BLIND`)."""
LEAK = 0.25
"""A model without the context that beats the best guess by more reads its answers elsewhere."""
SAME = 1e-9
"""Chance lines closer than this are the same line."""
OTHER_SOLVED = (0.8, 0.95)
"""Further thresholds of the largest difficulty solved, which depends on the threshold."""
SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Where runs are compared on the way: shares of what the longest condition spends."""


def recorded(final: xr.Dataset, pairs: Sequence[Pair]) -> list[Pair]:
    """Return those of `pairs` that have a finished run, in the order given."""
    finished = final["accuracy"].notnull().any([dims.SEED, dims.N_TEST, dims.DIFFICULTY])
    arms, trained = final[dims.ARM].values.tolist(), final[dims.N_TRAIN].values.tolist()
    return [
        (arm, n)
        for arm, n in pairs
        if arm in arms and n in trained and bool(finished.sel({dims.ARM: arm, dims.N_TRAIN: n}))
    ]


def select(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return the finished results of `pairs` over (condition, seed, n_test, difficulty)."""
    return _only(final, recorded(final, pairs))


def _only(moment: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return results of one moment over (condition, ...), those of `pairs` alone."""
    found = conditions(moment)
    known = pairs_of(found)
    return found.isel({dims.CONDITION: [known.index(pair) for pair in pairs]})


def _over_seeds(values: xr.DataArray) -> xr.DataArray:
    """Return the mean over seeds, where there are any."""
    return values.mean(dims.SEED) if dims.SEED in values.dims else values


def comparison(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return conditions, each tested at the N of its training: mean and interval."""
    tested = with_n_test(select(final, pairs))
    summary = results.over_seeds(tested["accuracy"])
    summary["training_flops"] = tested["training_flops"].mean(dims.SEED)
    for name in ("sleep_flops", "wake_flops"):
        summary[name] = tested[name]
    return _with_chance(summary, final, pairs)


def first_queries(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return conditions at the first query of each example alone."""
    summary = results.over_seeds(with_n_test(select(final, pairs))["first"])
    return _with_chance(summary, final, pairs, own="own_first")


def against_n(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return accuracy over (arm, passes, difficulty)."""
    return _with_chance(results.over_seeds(_against_n(final, pairs)), final, pairs)


def transfer(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return accuracy over (condition, n_test, difficulty)."""
    return _with_chance(results.over_seeds(select(final, pairs)["accuracy"]), final, pairs)


def within(data: xr.Dataset, pairs: Sequence[Pair], *, spent: Spent) -> xr.Dataset:
    """Return accuracy over (condition, budget, difficulty): what is learnt by when.

    Each seed stands at its last evaluation within the budget, tested at the N of its training.
    ``spent (condition, budget)`` is what that took, mean over seeds. Needs the results with their
    steps (`workbench.lab.results.dataset`).
    """
    final = results.final(data)
    there = recorded(final, pairs)
    budgets = _budgets(_only(final, there)[spent])
    at = results.at_seconds if spent == "seconds" else results.at_flops
    moments = [with_n_test(_only(at(data, budget), there)) for budget in budgets]
    axis = xr.DataArray(budgets, dims=dims.BUDGET, name=dims.BUDGET)
    accuracy = xr.concat([m["accuracy"] for m in moments], dim=axis, join="exact")
    order = (dims.CONDITION, dims.BUDGET, dims.SEED, dims.DIFFICULTY)
    summary = results.over_seeds(accuracy.transpose(*order))
    cost = _over_seeds(xr.concat([m[spent] for m in moments], dim=axis, join="exact"))
    summary["spent"] = cost.transpose(dims.CONDITION, dims.BUDGET)
    return _with_chance(summary, final, pairs).assign_attrs(unit=UNITS[spent])


def _budgets(spent: xr.DataArray) -> list[float]:
    """Return where to compare: `SHARES` of what the costliest condition spends, in two digits.

    The median seed decides, because a single seed may have been slow for another reason.
    """
    each = spent.median(dims.SEED) if dims.SEED in spent.dims else spent
    most = float(each.max())
    if math.isnan(most):
        return []
    found = []
    for share in SHARES:
        digit = 10.0 ** (math.floor(math.log10(most * share)) - 1)
        found.append(math.ceil(most * share / digit * (1 - 1e-9)) * digit)
    return found


def unlike_seconds(final: xr.Dataset, pairs: Sequence[Pair]) -> str:
    """Return whose seconds these are, and how far they differ for equal work."""
    took = select(final, pairs)["seconds"].values
    known = took[(~np.isnan(took)).sum(axis=1) > 1]
    machines = "; ".join(final.attrs["machines"]) or "a machine that is not recorded"
    said = f"Seconds are those of {machines}, and of what else it did at the time"
    if not known.size:
        return f"{said}."
    factor = float((np.nanmax(known, axis=1) / np.nanmin(known, axis=1)).max())
    return (
        f"{said}: seeds of one arm and N, which do equal work, differ by up to {factor:.1f}-fold."
    )


def unlike_flops(final: xr.Dataset, pairs: Sequence[Pair]) -> str:
    """Return what training cost, as shares of what the costliest of the conditions took."""
    spent = _over_seeds(select(final, pairs)["training_flops"])
    if bool(spent.isnull().all()):
        return ""
    shares = (spent / spent.max()).values
    said = ", ".join(
        f"{words} {share:.2f}"
        for words, share in zip(spent[dims.CONDITION].values, shares, strict=True)
        if not math.isnan(share)
    )
    return f"Training FLOPs, as shares of the largest: {said}."


def solved(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return the largest difficulty solved over (arm, passes), and that of every seed.

    ``by_seed (arm, passes, seed)`` is what mean and interval are made of; ``by_seed_80`` and so on
    are the same at the thresholds `OTHER_SOLVED`, in percent. Attributes: ``threshold`` (share
    from which on a difficulty counts as solved), ``levels`` (the difficulties asked), ``hardest``
    (the largest of them), and ``measures``, what the numbers are in words.
    """
    accuracy = _against_n(final, pairs)
    by_seed = results.largest_solved(accuracy, SOLVED)
    others = {
        f"by_seed_{100 * share:g}": results.largest_solved(accuracy, share)
        for share in OTHER_SOLVED
    }
    levels = final[dims.DIFFICULTY].values.tolist()
    name = final.attrs["difficulty"]
    return (
        results.over_seeds(by_seed)
        .assign({"by_seed": by_seed, **others})
        .assign_attrs(
            difficulty=name,
            threshold=SOLVED,
            levels=levels,
            hardest=max(levels),
            measures=f"largest {name} solved",
        )
    )


def _against_n(final: xr.Dataset, pairs: Sequence[Pair]) -> xr.DataArray:
    """Return accuracy ``[arm, passes, seed, difficulty]`` up to the largest N that was trained."""
    there = recorded(final, pairs)
    accuracy = final["accuracy"].sel({dims.ARM: list(dict.fromkeys(arm for arm, _ in there))})
    accuracy = accuracy.sel({dims.N_TRAIN: list(dict.fromkeys(n for _, n in there))})
    found = results.against_n(accuracy)
    trained = found[dims.PASSES] <= float(accuracy["passes"].max())
    return found.isel({dims.PASSES: trained.values})  # beyond it is the question of transfer


def _with_chance(
    summary: xr.Dataset, final: xr.Dataset, pairs: Sequence[Pair], *, own: str = "own_chance"
) -> xr.Dataset:
    """Add the chance lines of the runs that are shown.

    A line that differs between them is a mean, and its name says of how many; conditions that
    answer without the context (`leaking`) are left out.
    """
    shown = recorded(final, pairs)
    leaks = leaking(final, shown)
    sound = [pair for pair in shown if pair not in leaks]
    lines = _only(final[[own]], sound or shown)[own]
    runs = [dims.CONDITION, dims.SEED]
    spread = (lines.max(runs) - lines.min(runs)).max(dims.DIFFICULTY)
    many = lines.notnull().any(dims.DIFFICULTY).sum(runs)
    names = [
        f"{name} (mean of {int(count)} runs)" if float(differs) > SAME else str(name)
        for name, count, differs in zip(
            lines[dims.CHANCE_LINE].values, many.values, spread.values, strict=True
        )
    ]
    chance = lines.mean(runs).transpose(dims.CHANCE_LINE, dims.DIFFICULTY)
    chance = chance.assign_coords({dims.CHANCE_LINE: np.array(names, dtype=str)})
    about = {name: final.attrs[name] for name in ("difficulty", "measure")}
    return summary.assign(chance=chance).assign_attrs(about)


def leaking(final: xr.Dataset, pairs: Sequence[Pair]) -> dict[Pair, tuple[str, float]]:
    """Return the conditions whose models answer without the context far better than a guess.

    Their accuracy says nothing about what was kept of the context: they read answers elsewhere.
    Each has its words, and the largest share over difficulties that is right without the context,
    mean over seeds.
    """
    there = recorded(final, pairs)
    lines = final[dims.CHANCE_LINE].values.tolist()
    if BLIND not in lines or not there:
        return {}
    own = _only(final[["own_chance"]], there)["own_chance"].mean(dims.SEED)
    blind = own.sel({dims.CHANCE_LINE: BLIND}, drop=True)
    guess = own.isel({dims.CHANCE_LINE: [n for n, line in enumerate(lines) if line != BLIND]})
    over = (blind - guess.max(dims.CHANCE_LINE).fillna(0.0)).max(dims.DIFFICULTY)
    most = blind.max(dims.DIFFICULTY)
    return {
        pair: (str(own[dims.CONDITION].values[n]), float(most[n]))
        for n, pair in enumerate(there)
        if float(over[n]) > LEAK
    }
