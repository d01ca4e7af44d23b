"""The browser component of the pane that measures: form, progress, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.views.parts.components import CSS, FORMS_CSS

HERE = Path(__file__).parent
MEASURING_CSS = (HERE / "measuring.css").read_text(encoding="utf-8")


class MeasureForm(JSComponent):
    """A form whose fields come from a kind of measurement, and the measurements of this machine."""

    kinds = param.List(default=[], doc="(name, title) of each kind to choose from.")
    checkpoints = param.List(default=[], doc="Names of the checkpoints to choose from.")
    fields = param.List(default=[], doc="Fields, as `measuring_words.spec` returns them.")
    values = param.Dict(default={}, doc="What the fields hold when they are filled anew.")
    serial = param.Integer(0, doc="A change builds the form anew and fills it.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    refused = param.Integer(0, doc="A change moves the focus to the first field in trouble.")
    said = param.String("", doc="Where the measurement stands that is chosen.")
    news = param.String("", doc="What has just happened; announced.")
    jobs = param.List(default=[], doc="Rows, as `Measuring.rows` returns them.")

    _esm = HERE / "measuring.js"
    _stylesheets = [CSS, FORMS_CSS, MEASURING_CSS]

    def __init__(self, on_message: Callable[[dict[str, Any]], None], **values: Any) -> None:
        super().__init__(margin=0, sizing_mode="stretch_width", **values)
        self._on_message = on_message

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_message(data)
