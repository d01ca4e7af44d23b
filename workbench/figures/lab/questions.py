"""The figure of each question that recorded sweeps answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import plotly.graph_objects as go
import xarray as xr

from workbench.figures.lab import comparisons, experiments, solved
from workbench.figures.theme import Theme

Drawn = tuple[Callable[..., go.Figure], Callable[[xr.Dataset], dict[str, Any]]]

FIGURES: Final[dict[str, Drawn]] = {
    "arm_comparison": (comparisons.arm_comparison, lambda t: {"chance": t["chance"]}),
    "accuracy_against_n": (experiments.accuracy_against_n, lambda t: {"chance": t["chance"]}),
    "accuracy_against_budget": (
        experiments.accuracy_against_budget,
        lambda t: {"unit": t.attrs["unit"], "chance": t["chance"]},
    ),
    "accuracy_against_flops": (
        experiments.accuracy_against_flops,
        lambda t: {"flops": t["training_flops"], "chance": t["chance"]},
    ),
    "largest_solved_against_n": (solved.largest_solved_against_n, lambda t: {}),
    "transfer_matrix": (comparisons.transfer_matrix, lambda t: {}),
}
"""Name -> function, and what it takes of a table in addition."""


def question_figure(figure: str, table: xr.Dataset, *, theme: Theme = "light") -> go.Figure:
    """Draw the table of a question, `workbench.lab.results.questions.Question`, as its figure."""
    draw, more = FIGURES[figure]
    shown = table["mean"] if figure == "transfer_matrix" else table
    given: dict[str, Any] = {"difficulty_name": table.attrs["difficulty"], "theme": theme}
    if figure != "largest_solved_against_n":
        given["measure"] = table.attrs.get("measure", "")
    return draw(shown, **given, **more(table))
