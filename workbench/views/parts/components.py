"""Small browser components that several pages share, and the style sheets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent
CSS = (HERE / "panes.css").read_text(encoding="utf-8")
"""Style of every pane."""
FORMS_JS = (HERE / "forms.js").read_text(encoding="utf-8")
"""What the scripts of forms and tables share, to stand in front of them."""


class Styled(JSComponent):
    """A component in the page's style that fills its column."""

    _stylesheets = [CSS]

    def __init__(self, **values: Any) -> None:
        sizes = {} if "width" in values else {"sizing_mode": "stretch_width"}
        super().__init__(margin=0, **sizes, **values)


class Messenger(Styled):
    """A component whose messages go to a callback as they come."""

    def __init__(self, on_message: Callable[[dict[str, Any]], None], **values: Any) -> None:
        super().__init__(**values)
        self._on_message = on_message

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_message(data)


class Choice(Styled):
    """One of several options, by mouse or keyboard."""

    label = param.String("", doc="What is chosen.")
    options = param.Dict(default={}, doc="Text -> value.")
    value = param.Parameter(doc="The value that is chosen.")
    labels = param.List(default=[], doc="Texts of the options, for the browser.")
    index = param.Integer(-1, doc="Which of them is shown; -1 for none.")

    _esm = HERE / "choice.js"
    _rename = {"options": None, "value": None}

    def __init__(self, label: str, **values: Any) -> None:
        super().__init__(label=label, **values)
        self._fit()

    @param.depends("options", "value", watch=True)
    def _fit(self) -> None:
        values = list(self.options.values())
        found = values.index(self.value) if self.value in values else -1
        self.param.update(labels=list(self.options), index=found)

    def _handle_msg(self, data: dict[str, Any]) -> None:
        index = int(data["index"])
        if 0 <= index < len(self.options):  # else it was chosen from options that have just gone
            self.value = list(self.options.values())[index]


class ThemeWatch(Messenger):
    """Reports whether the page is dark; draws nothing."""

    dark = param.Boolean(False, doc="Whether it was when the page was made.")

    _esm = HERE / "theme_watch.js"


class Download(Messenger):
    """A button that saves a text; the text is made when it is pressed."""

    label = param.String("", doc="The button's text.")
    filename = param.String("", doc="Name of the file.")
    content = param.String("", doc="What is saved.")
    serial = param.Integer(0, doc="A change saves it.")

    _esm = HERE / "download.js"

    def saving(self, filename: str, content: str) -> dict[str, Any]:
        """Return the changes that make the browser save a file."""
        return {"filename": filename, "content": content, "serial": self.serial + 1}


class FigurePane(Styled):
    """A Plotly figure that is redrawn in place; needs ``pn.extension("plotly")``."""

    figure = param.Dict(default={}, doc="The figure, as Plotly's JSON.")
    label = param.String("", doc="What the figure shows, for screen readers.")
    svg = param.Boolean(False, doc="Whether it can be saved as SVG, too.")

    _esm = HERE / "figure_pane.js"
