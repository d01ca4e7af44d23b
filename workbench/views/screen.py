"""The stepper's panes: made once, and what belongs in each for a stop of the walk."""

from __future__ import annotations

from collections.abc import Callable, Collection
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import panel as pn
import panel_material_ui as pmui

from workbench import dims
from workbench.figures import all_heads, answer_table, one_head, pass_curves, timeline
from workbench.figures.theme import Theme
from workbench.views import drawings, words
from workbench.views.components import FigurePane, OwnInput, Transport
from workbench.views.cursor import EXAMPLES, MOST_PASSES, QUANTITIES, Cursor
from workbench.views.outbox import Changes
from workbench.views.problem import Problem
from workbench.views.walk import Walk

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
HINTS = {
    "depo": "Edges that form one ring, such as 0>3 3>5 5>0.",
    "rule110": "Strings of bits, separated by blanks.",
}
QUIET_TOGGLE = {
    "& .MuiToggleButton-root": {
        "textTransform": "none",
        "whiteSpace": "nowrap",
        "py": "5px",
        "px": "9px",
    }
}


class Scene(NamedTuple):
    """All that the screen shows.

    Attributes
    ----------
    cursor : Cursor
        Where we are.
    checkpoint, problem, walk
        The model, the example and the sleep.
    theme : {"light", "dark"}
        Ground of the figures.
    """

    cursor: Cursor
    checkpoint: Checkpoint
    problem: Problem
    walk: Walk
    theme: Theme


class Screen:
    """Every pane and widget of the stepper.

    Parameters
    ----------
    names : list of str
        Checkpoints to choose from.
    choose : callable
        Told a parameter of the cursor and the value that the user chose.
    act : callable
        Told a transport action.
    submit : callable
        Told text and queries that the user typed, and whether to draw an example instead.
    jump : callable
        Told window and pass clicked in the timeline.
    """

    def __init__(
        self,
        names: list[str],
        *,
        choose: Callable[[str, Any], None],
        act: Callable[[str], None],
        submit: Callable[[str, str, bool], None],
        jump: Callable[[int, int], None],
    ) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small", "margin": 0}
        narrow: dict[str, Any] = {"size": "small", "width": 90, "margin": 0, "options": [0]}
        self.checkpoint = pmui.Select(label="Checkpoint", options=names, **wide)
        self.seed = pmui.IntInput(label="Seed", start=0, end=2**32 - 1, step=1, **wide)
        self.example = pmui.IntInput(label="Example", start=0, end=EXAMPLES - 1, step=1, **wide)
        self.passes = pmui.IntSlider(
            label="N, sleep passes",
            start=1,
            end=MOST_PASSES,
            step=1,
            marks=True,
            sizing_mode="stretch_width",
            margin=(0, 10),
        )
        self.quantity = pmui.RadioButtonGroup(
            label="Show",
            options={"S": "state", "change: pass": "change", "change: sleep": "sleep_change"},
            size="small",
            color="primary",
            margin=0,
            stylesheets=[".MuiFormLabel-root { display: none; }"],
            sx=QUIET_TOGGLE,
        )
        self.layer = pmui.Select(label="Layer", **narrow)
        self.gdn_head = pmui.Select(label="Head", **narrow)
        self.bound = {
            "checkpoint": self.checkpoint,
            "seed": self.seed,
            "example": self.example,
            "passes": self.passes,
            "quantity": self.quantity,
            "layer": self.layer,
            "gdn_head": self.gdn_head,
        }
        for name, widget in self.bound.items():
            widget.param.watch(_chosen(name, choose), "value")

        self.own_input = OwnInput(submit)
        self.transport = Transport(act)
        self.timeline = FigurePane(
            lambda curve, custom: jump(int(custom[0]), int(custom[1])),
            label="Timeline of the sleep",
        )
        self.heads = FigurePane(
            lambda curve, custom: choose("gdn_head", curve), label="Fast weights, all heads"
        )
        self.head = FigurePane()
        self.answers = FigurePane(_query_chosen(choose), label="Answers if the model woke now")
        self.curves = FigurePane(label="Curves along the walk")
        self.note, self.place, self.tokens = _html("note"), _html("where"), _html("tokens")
        self.picture, self.score = _html("picture"), _html("score")
        self._filled: tuple[str, str] | None = None
        self._fills = 0

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        setup = _card(
            "Setup",
            self.checkpoint,
            _box("halves", self.seed, self.example),
            self.passes,
            self.note,
        )
        memory = _card(
            None,
            _box("bar", _heading("Fast weights S"), self.quantity, self.layer, self.gdn_head),
            _box("pair", self.heads, self.head),
        )
        return _box(
            "stepper",
            _box("left", setup, _card("The example", self.picture, self.own_input)),
            _box(
                "right",
                _card(None, self.transport, self.place, self.timeline, self.tokens),
                _box("main", memory, _card(None, self.score, self.answers)),
                _card("Along the walk", self.curves),
            ),
        )

    def follow(self, cursor: Cursor, pending: Collection[str]) -> None:
        """Set the widgets to the cursor, but for those that the user has just moved again."""
        for name, widget in self.bound.items():
            if name not in pending and widget.value != getattr(cursor, name):
                widget.value = getattr(cursor, name)

    def complain(self, field: str, message: str) -> Changes:
        """Say what is wrong with the user's input, at the field."""
        return [(self.own_input, {"wrong_field": field, "message": message})]

    def contents(self, scene: Scene) -> Changes:
        """Return what every pane holds for a scene; the widgets' values are left to `follow`."""
        return [
            *self._controls(scene),
            *self._memory(scene),
            *self._answers(scene),
            *self._walk(scene),
        ]

    def _controls(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        places = walk.extent.places
        own: dict[str, Any] = {
            "has_queries": task.name == "depo",
            "typed": bool(cursor.text),
            "hint": HINTS.get(task.name, ""),
        }
        shown = (scene.problem.context, scene.problem.questions)
        if shown != self._filled:  # what is being typed is left alone by mere steps
            self._filled, self._fills = shown, self._fills + 1
            own |= {"text": shown[0], "queries": shown[1], "serial": self._fills}
            own |= {"wrong_field": "", "message": ""}
        layers, heads = list(walk.extent.layers), list(range(walk.extent.heads))
        return [
            (self.note, {"object": words.trained_note(walk.passes, scene.checkpoint.sleep)}),
            (self.layer, {"options": layers, "visible": len(layers) > 1}),
            (self.gdn_head, {"options": heads}),
            (self.own_input, own),
            (self.transport, {"index": places.index(cursor.place), "count": len(places)}),
        ]

    def _memory(self, scene: Scene) -> Changes:
        cursor, walk = scene.cursor, scene.walk
        states = walk.states(cursor.window).sel({dims.LAYER: cursor.layer}, drop=True)
        shared: dict[str, Any] = {
            "sleep_pass": cursor.sleep_pass,
            "quantity": cursor.quantity,
            "limit": walk.scale(cursor.quantity, cursor.layer),
            "awake": walk.awake[cursor.window],
            "theme": scene.theme,
        }
        every = all_heads(states, selected=cursor.gdn_head, **shared)
        one = one_head(states, gdn_head=cursor.gdn_head, **shared)
        label = f"Head {cursor.gdn_head}, {QUANTITIES[cursor.quantity]}"
        return [
            (self.heads, {"figure": every.to_plotly_json()}),
            (self.head, {"figure": one.to_plotly_json(), "label": label}),
        ]

    def _answers(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        answers = walk.answers(cursor.place)
        queries = scene.problem.queries
        best = answers["probability"].isel({dims.QUERY: cursor.query}).argmax(dims.SYMBOL)
        answer = str(answers[dims.SYMBOL].values[int(best)])
        draw = drawings.ring if task.name == "depo" else drawings.automaton
        table = answer_table(
            answers,
            [query.label for query in queries],
            chance=words.guess(task),
            title="",
            selected=cursor.query,
            theme=scene.theme,
        )
        awake = walk.awake[cursor.window]
        return [
            (self.picture, {"object": draw(scene.problem, queries[cursor.query], answer)}),
            (self.score, {"object": words.score(answers, task, awake=awake)}),
            (self.answers, {"figure": table.to_plotly_json()}),
        ]

    def _walk(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        place, passes = cursor.place, walk.extent.passes
        summary = walk.summary()
        change = summary["memory_change"]
        here = float(change[place.window, place.sleep_pass])
        name, sentence = words.where(place, passes, walk.awake, here, walk.sleep)
        strip = timeline(change, passes=passes, awake=walk.awake, place=place, theme=scene.theme)
        curves = pass_curves(
            summary.sel({dims.LAYER: cursor.layer}, drop=True),
            walk.answer_curves(),
            passes=passes,
            awake=walk.awake,
            place=place,
            difficulty=walk.answers(place)["difficulty"].values,
            difficulty_name=task.difficulty_name,
            chance=words.guess(task),
            replay=walk.replays(cursor.layer),
            selected=cursor.gdn_head,
            theme=scene.theme,
        )
        told = (
            f'<h1 class="unseen">Stepper</h1><div class="where" aria-live="polite">'
            f"<b>{escape(name)}</b><span>{escape(sentence)}</span></div>"
        )
        tokens = drawings.tokens(
            scene.problem, walk.spans, walk.awake, place, walk.cached_tokens(place)
        )
        return [
            (self.place, {"object": told}),
            (self.tokens, {"object": tokens}),
            (self.timeline, {"figure": strip.to_plotly_json()}),
            (self.curves, {"figure": curves.to_plotly_json()}),
        ]


def _chosen(name: str, choose: Callable[[str, Any], None]) -> Callable[[Any], None]:
    def told(event: Any) -> None:
        if event.new is not None:  # a number field is empty for a moment while one types
            choose(name, event.new)

    return told


def _query_chosen(choose: Callable[[str, Any], None]) -> Callable[[int, Any], None]:
    def told(curve: int, custom: Any) -> None:
        if custom is not None:
            choose("query", int(custom))

    return told


def _html(name: str) -> pn.pane.HTML:
    return pn.pane.HTML(
        "", css_classes=[f"{name}-pane"], stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def _heading(text: str) -> pn.pane.HTML:
    return pn.pane.HTML(f"<h2>{escape(text)}</h2>", stylesheets=[CSS], margin=0)


def _box(name: str, *objects: Any) -> pn.Column:
    """Return a column that ``style.css`` lays out by its class."""
    return pn.Column(
        *objects, css_classes=[name], stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def _card(title: str | None, *objects: Any) -> pn.Column:
    return _box("panel", *([_heading(title)] if title else []), *objects)
