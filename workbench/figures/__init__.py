"""Figures: pure functions from xarray to a Plotly figure, in one theme.

Imports plotly, numpy, xarray, `workbench.dims` and the tasks' words; neither torch nor Panel. Every
function takes data first and ``theme="light" | "dark"`` by keyword; arrays go in as float32, and no
figure is larger than `workbench.figures.theme.BYTES` as JSON.
"""

from workbench.figures.boundaries import boundary_cursor
from workbench.figures.lab.comparisons import arm_comparison, transfer_matrix
from workbench.figures.lab.experiments import (
    accuracy_against_budget,
    accuracy_against_flops,
    accuracy_against_n,
    latency_against_n,
)
from workbench.figures.lab.learning import learning_curves
from workbench.figures.lab.solved import largest_solved_against_n
from workbench.figures.memory import one_head
from workbench.figures.traces.convergence import (
    change_against_replay,
    cka_matrix,
    convergence_over_passes,
)
from workbench.figures.traces.lens import lens_over_passes
from workbench.figures.traces.provenance import share_matrix, token_contributions
from workbench.figures.traces.readout import crosstalk_matrix, retrieval
from workbench.figures.traces.retention import pass_retention_matrix, retention_by_age
from workbench.figures.traces.spectra import ranks_along, singular_values

__all__ = [
    "accuracy_against_budget",
    "accuracy_against_flops",
    "accuracy_against_n",
    "arm_comparison",
    "boundary_cursor",
    "change_against_replay",
    "cka_matrix",
    "convergence_over_passes",
    "crosstalk_matrix",
    "largest_solved_against_n",
    "latency_against_n",
    "learning_curves",
    "lens_over_passes",
    "one_head",
    "pass_retention_matrix",
    "ranks_along",
    "retention_by_age",
    "retrieval",
    "share_matrix",
    "singular_values",
    "token_contributions",
    "transfer_matrix",
]
