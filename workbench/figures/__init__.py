"""Figures: pure functions from xarray to a Plotly figure, in one theme.

Imports plotly, numpy, xarray, `workbench.dims` and the tasks' words; neither torch nor Panel. Every
function takes data first and ``theme="light" | "dark"`` by keyword; arrays go in as float32, and no
figure is larger than `workbench.figures.theme.BYTES` as JSON.
"""

from workbench.figures.answers import answer_table
from workbench.figures.lab.comparisons import arm_comparison, transfer_matrix
from workbench.figures.lab.experiments import (
    accuracy_against_budget,
    accuracy_against_flops,
    accuracy_against_n,
    latency_against_n,
)
from workbench.figures.lab.learning import learning_curves
from workbench.figures.lab.solved import largest_solved_against_n
from workbench.figures.memory import all_heads, one_head, shown_quantity
from workbench.figures.traces.convergence import (
    change_against_replay,
    change_place,
    cka_matrix,
    convergence_over_passes,
    convergence_place,
)
from workbench.figures.traces.lens import lens_over_passes, lens_place
from workbench.figures.traces.provenance import share_matrix, token_contributions
from workbench.figures.traces.readout import crosstalk_matrix, retrieval, retrieval_place
from workbench.figures.traces.retention import pass_retention_matrix, retention_by_age
from workbench.figures.traces.spectra import ranks_along, ranks_place, singular_values

__all__ = [
    "accuracy_against_budget",
    "accuracy_against_flops",
    "accuracy_against_n",
    "all_heads",
    "answer_table",
    "arm_comparison",
    "change_against_replay",
    "change_place",
    "cka_matrix",
    "convergence_over_passes",
    "convergence_place",
    "crosstalk_matrix",
    "largest_solved_against_n",
    "latency_against_n",
    "learning_curves",
    "lens_over_passes",
    "lens_place",
    "one_head",
    "pass_retention_matrix",
    "ranks_along",
    "ranks_place",
    "retention_by_age",
    "retrieval",
    "retrieval_place",
    "share_matrix",
    "shown_quantity",
    "singular_values",
    "token_contributions",
    "transfer_matrix",
]
