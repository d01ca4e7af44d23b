"""What is chosen on the stepper: checkpoint, example, N, and the user's own input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from workbench.errors import WorkbenchError
from workbench.views import words
from workbench.views.cursor import EXAMPLES, MOST_PASSES, Cursor
from workbench.views.problem import Problem, misfit

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
HINTS = {
    "depo": "edges of one ring, such as 0>3 3>5 5>0",
    "rule110": "strings of bits, separated by blanks",
}


class Controls:
    """The widgets, bound to a cursor in both directions.

    Parameters
    ----------
    cursor : Cursor
        What the widgets show.
    names : list of str
        Checkpoints to choose from.
    choose : callable
        Told a parameter of the cursor and its new value when the user changes it.

    Attributes
    ----------
    setup, own_input : list
        Widgets for the two cards.
    """

    def __init__(
        self, cursor: Cursor, names: list[str], choose: Callable[[str, Any], None]
    ) -> None:
        self.cursor, self._choose = cursor, choose
        self._shown: tuple[str, str] | None = None
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small", "margin": 0}
        self.checkpoint = pmui.Select(label="Checkpoint", options=names, **wide)
        self.seed = pmui.IntInput(label="Seed", start=0, end=2**32 - 1, step=1, **wide)
        self.example = pmui.IntInput(label="Example", start=0, end=EXAMPLES - 1, step=1, **wide)
        self.passes = pmui.IntSlider(
            label="N, sleep passes", start=1, end=MOST_PASSES, step=1, marks=True,
            sizing_mode="stretch_width", margin=(0, 10),
        )  # fmt: skip
        self.note = pn.pane.HTML("", stylesheets=[CSS], margin=0, sizing_mode="stretch_width")
        self.text = pmui.TextAreaInput(label="Your own input", rows=2, max_length=20_000, **wide)
        self.queries = pmui.TextInput(label="Queries (hops:node)", **wide)
        self.use = pmui.Button(label="Use this input", variant="outlined", size="small", margin=0)
        self.reset = pmui.Button(label="Draw again", variant="text", size="small", margin=0)
        bound = {
            "checkpoint": self.checkpoint, "seed": self.seed, "example": self.example,
            "passes": self.passes,
        }  # fmt: skip
        for name, widget in bound.items():
            widget.param.watch(self._setter(name), "value")
        self._bound = bound
        self.use.on_click(lambda event: self.submit())
        self.queries.param.watch(lambda event: self.submit(), "enter_pressed")
        self.reset.on_click(lambda event: self._draw_again())
        line = {"css_classes": ["inline"], "stylesheets": [CSS], "margin": 0,
                "sizing_mode": "stretch_width"}  # fmt: skip
        self.setup = [
            self.checkpoint,
            pn.Column(self.seed, self.example, **line | {"css_classes": ["halves"]}),
            self.passes,
            self.note,
        ]
        self.own_input = [self.text, self.queries, pn.Column(self.use, self.reset, **line)]

    def _setter(self, name: str) -> Any:
        def changed(event: Any) -> None:
            if event.new is not None:  # a number field is empty for a moment while one types
                self._choose(name, event.new)

        return changed

    def submit(self) -> None:
        """Use what was typed; if it does not fit, say so at the field and change nothing else."""
        text = (self.text.value_input or "").strip()
        queries = (self.queries.value_input or "").strip() if self.queries.visible else ""
        wrong = misfit(self._task, text, queries)
        self._complain(wrong)
        if wrong is None:
            self.cursor.param.update(text=text, queries=queries)

    def _draw_again(self) -> None:
        self.cursor.param.update(text="", queries="")

    def _complain(self, wrong: tuple[str, WorkbenchError] | None) -> None:
        for name, widget in (("text", self.text), ("queries", self.queries)):
            here = wrong is not None and wrong[0] == name
            widget.param.update(
                error_state=here,
                helper_text=str(wrong[1]) if here and wrong else self._hints[name],
            )

    def refresh(self, checkpoint: Checkpoint, problem: Problem) -> None:
        """Show what the cursor holds."""
        self._task = checkpoint.task
        self._hints = {"text": HINTS.get(self._task.name, ""), "queries": ""}
        for name, widget in self._bound.items():
            widget.value = getattr(self.cursor, name)
        self.note.object = words.trained_note(self.cursor.passes or 1, checkpoint.sleep)
        self.queries.visible = self._task.name == "depo"
        self.reset.visible = bool(self.cursor.text)
        shown = (problem.context, problem.questions)
        if shown != self._shown:
            self._shown = shown
            self.text.param.update(value=shown[0], value_input=shown[0])
            self.queries.param.update(value=shown[1], value_input=shown[1])
            self._complain(None)
