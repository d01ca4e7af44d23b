"""What each kind of question is answered with: a table over named dims, and its figure.

Pure functions over what `workbench.lab.results` returns. Imports no Panel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from workbench import dims, figures
from workbench.figures.theme import Theme
from workbench.lab import results
from workbench.lab.tables import SOLVED, conditions, with_n_test

if TYPE_CHECKING:
    import plotly.graph_objects as go

Pair = tuple[str, str]
"""Arm, as `results.arm_name` writes it, and its N of training."""

Table = Callable[[xr.Dataset], xr.Dataset]
"""From a sweep's results to mean, low, high, count and chance over named dims."""


def recorded(data: xr.Dataset, pairs: Sequence[Pair]) -> list[Pair]:
    """Return those of `pairs` that have a finished run, in the order given."""
    final = results.final(data)
    finished = final["accuracy"].notnull().any([dims.SEED, dims.N_TEST, dims.DIFFICULTY])
    arms, trained = final[dims.ARM].values.tolist(), final[dims.N_TRAIN].values.tolist()
    return [
        (arm, n)
        for arm, n in pairs
        if arm in arms and n in trained and bool(finished.sel({dims.ARM: arm, dims.N_TRAIN: n}))
    ]


def select(data: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return the finished results of `pairs` over (condition, seed, n_test, difficulty)."""
    final = results.final(data)
    found = conditions(final)
    names = list(zip(found[dims.ARM].values, found[dims.N_TRAIN].values, strict=True))
    return found.isel({dims.CONDITION: [names.index(pair) for pair in recorded(final, pairs)]})


def comparison(pairs: tuple[Pair, ...]) -> Table:
    """Return the table of conditions, each tested at the N of its training: mean and interval."""

    def table(data: xr.Dataset) -> xr.Dataset:
        final = results.final(data)
        tested = with_n_test(select(final, pairs))
        summary = results.over_seeds(tested["accuracy"])
        summary["training_flops"] = tested["training_flops"].mean(dims.SEED)
        for name in ("sleep_flops", "wake_flops"):
            summary[name] = tested[name]
        return _with_chance(summary, final)

    return table


def against_n(pairs: tuple[Pair, ...]) -> Table:
    """Return the table of accuracy over (arm, passes, difficulty)."""

    def table(data: xr.Dataset) -> xr.Dataset:
        final = results.final(data)
        return _with_chance(results.over_seeds(_against_n(final, pairs)), final)

    return table


def transfer(pairs: tuple[Pair, ...]) -> Table:
    """Return the table of accuracy over (condition, n_test, difficulty)."""

    def table(data: xr.Dataset) -> xr.Dataset:
        final = results.final(data)
        summary = results.over_seeds(select(final, pairs)["accuracy"])
        return _with_chance(summary, final)

    return table


def solved(pairs: tuple[Pair, ...]) -> Table:
    """Return the table of the largest difficulty solved over (arm, passes), and of every seed.

    ``by_seed (arm, passes, seed)`` is what mean and interval are made of. Attributes: ``threshold``
    (share from which on a difficulty counts as solved), ``levels`` (the difficulties asked) and
    ``hardest`` (the largest of them), and ``measures``, what the numbers are in words.
    """

    def table(data: xr.Dataset) -> xr.Dataset:
        final = results.final(data)
        by_seed = results.largest_solved(_against_n(final, pairs), SOLVED)
        levels = final[dims.DIFFICULTY].values.tolist()
        name = final.attrs["difficulty"]
        return (
            results.over_seeds(by_seed)
            .assign(by_seed=by_seed)
            .assign_attrs(
                difficulty=name,
                threshold=SOLVED,
                levels=levels,
                hardest=max(levels),
                measures=f"largest {name} solved",
            )
        )

    return table


def _against_n(final: xr.Dataset, pairs: tuple[Pair, ...]) -> xr.DataArray:
    """Return accuracy ``[arm, passes, seed, difficulty]`` up to the largest N that was trained."""
    there = recorded(final, pairs)
    accuracy = final["accuracy"].sel({dims.ARM: list(dict.fromkeys(arm for arm, _ in there))})
    accuracy = accuracy.sel({dims.N_TRAIN: list(dict.fromkeys(n for _, n in there))})
    found = results.against_n(accuracy)
    trained = found[dims.PASSES] <= float(accuracy["passes"].max())
    return found.isel({dims.PASSES: trained.values})  # beyond it is the question of transfer


def _with_chance(summary: xr.Dataset, final: xr.Dataset) -> xr.Dataset:
    return summary.assign(chance=final["chance"]).assign_attrs(difficulty=final.attrs["difficulty"])


def draw_comparison(table: xr.Dataset, theme: Theme) -> go.Figure:
    """Draw conditions as rows."""
    return figures.arm_comparison(
        table,
        difficulty_name=table.attrs["difficulty"],
        equal="(share of answers right)",
        chance=table["chance"],
        theme=theme,
    )


def draw_against_n(table: xr.Dataset, theme: Theme) -> go.Figure:
    """Draw accuracy against N."""
    return figures.accuracy_against_n(
        table, difficulty_name=table.attrs["difficulty"], chance=table["chance"], theme=theme
    )


def draw_solved(table: xr.Dataset, theme: Theme) -> go.Figure:
    """Draw the largest difficulty solved against N."""
    return figures.largest_solved_against_n(
        table, difficulty_name=table.attrs["difficulty"], theme=theme
    )


def draw_transfer(table: xr.Dataset, theme: Theme) -> go.Figure:
    """Draw N of training against N of testing."""
    return figures.transfer_matrix(
        table["mean"], difficulty_name=table.attrs["difficulty"], theme=theme
    )


def draw_flops(table: xr.Dataset, theme: Theme) -> go.Figure:
    """Draw accuracy against the FLOPs of training."""
    return figures.accuracy_against_flops(
        table,
        table["training_flops"],
        difficulty_name=table.attrs["difficulty"],
        chance=table["chance"],
        theme=theme,
    )
