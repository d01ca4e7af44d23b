"""Browser components of the lab: the form and the table of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.views.parts.components import CSS, FORMS_CSS

HERE = Path(__file__).parent

Told = Callable[[dict[str, Any]], None]


class LabForm(JSComponent):
    """A form whose fields come from a specification."""

    spec = param.Dict(default={}, doc="Tasks, starting points, settings and arms to choose from.")
    values = param.Dict(default={}, doc="What the fields hold when they are filled anew.")
    serial = param.Integer(0, doc="A change builds the form anew and fills it.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    refused = param.Integer(0, doc="A change moves the focus to the first field in trouble.")
    preview = param.String("", doc="How many runs, what they cost, how long they take.")
    busy = param.Boolean(False, doc="Whether that is being counted.")
    starting = param.Boolean(False, doc="Whether runs are being queued.")

    _esm = HERE / "lab_form.js"
    _stylesheets = [CSS, FORMS_CSS]

    def __init__(self, on_message: Told, **values: Any) -> None:
        super().__init__(margin=0, sizing_mode="stretch_width", **values)
        self._on_message = on_message

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_message(data)


class RunTable(JSComponent):
    """Runs with filters, what may be done with those selected, and the trash."""

    rows = param.List(default=[], doc="The rows shown, as `workbench.views.lab.rows.row` returns.")
    states = param.List(default=[], doc="(name, state) of every selected run, shown or not.")
    selected = param.List(default=[], doc="Names of the selected runs.")
    state_options = param.List(default=[], doc="States to filter by.")
    sweep_options = param.List(default=[], doc="Experiments to filter by.")
    text = param.String("", doc="Filter: words in the name.")
    state = param.String("", doc="Filter: a state, empty for all.")
    sweep = param.String("", doc="Filter: an experiment, empty for all.")
    counts = param.String("", doc="How many runs are in each state.")
    said = param.String("", doc="What came of the last action.")
    waiting = param.Boolean(False, doc="Whether runs wait though no queue works.")
    trash = param.List(default=[], doc="Names of deleted runs.")
    now = param.Number(0.0, doc="The server's clock, for ages.")

    _esm = HERE / "run_table.js"
    _stylesheets = [CSS, FORMS_CSS]

    def __init__(self, on_message: Told, **values: Any) -> None:
        super().__init__(margin=0, sizing_mode="stretch_width", **values)
        self._on_message = on_message

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_message(data)
