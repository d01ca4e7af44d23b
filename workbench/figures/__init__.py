"""Figures: pure functions from xarray to a Plotly figure, in one theme.

Imports plotly, numpy, xarray, `workbench.dims` and the tasks' words; neither torch nor Panel. Every
function takes data first and ``theme="light" | "dark"`` by keyword; arrays go in as float32, and no
figure is larger than `workbench.figures.theme.BYTES` as JSON.
"""

from workbench.figures.answers import answer_table
from workbench.figures.comparisons import arm_comparison, transfer_matrix
from workbench.figures.curves import curves_place, pass_curves
from workbench.figures.experiments import (
    accuracy_against_budget,
    accuracy_against_flops,
    accuracy_against_n,
)
from workbench.figures.latency import latency_against_n
from workbench.figures.learning import learning_curves
from workbench.figures.memory import all_heads, one_head, shown_quantity
from workbench.figures.solved import largest_solved_against_n
from workbench.figures.timeline import change_words, timeline, timeline_place

__all__ = [
    "accuracy_against_budget",
    "accuracy_against_flops",
    "accuracy_against_n",
    "all_heads",
    "answer_table",
    "arm_comparison",
    "change_words",
    "curves_place",
    "largest_solved_against_n",
    "latency_against_n",
    "learning_curves",
    "one_head",
    "pass_curves",
    "shown_quantity",
    "timeline",
    "timeline_place",
    "transfer_matrix",
]
