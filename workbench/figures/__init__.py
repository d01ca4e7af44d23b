"""Figures: pure functions from xarray to a Plotly figure, in one theme.

Imports plotly, numpy, xarray, `workbench.dims` and the tasks' words; neither torch nor Panel. Every
function takes data first and ``theme="light" | "dark"`` by keyword; arrays go in as float32, and no
figure is larger than `workbench.figures.theme.BYTES` as JSON.
"""

from workbench.figures.answers import answer_table
from workbench.figures.curves import curves_place, pass_curves
from workbench.figures.memory import all_heads, one_head, shown_quantity
from workbench.figures.timeline import change_words, timeline, timeline_place

__all__ = [
    "all_heads",
    "answer_table",
    "change_words",
    "curves_place",
    "one_head",
    "pass_curves",
    "shown_quantity",
    "timeline",
    "timeline_place",
]
