"""The stepper's panes: made once, and what belongs in each for a stop of the walk."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import panel as pn
import panel_material_ui as pmui
import plotly.graph_objects as go

from workbench import dims
from workbench.figures import (
    all_heads,
    answer_table,
    curves_place,
    one_head,
    pass_curves,
    timeline,
    timeline_place,
)
from workbench.figures.theme import Theme
from workbench.views import drawings, words
from workbench.views.components import (
    CSS,
    Choice,
    FigurePane,
    Number,
    OwnInput,
    Transport,
    Where,
)
from workbench.views.cursor import EXAMPLES, MOST_PASSES, QUANTITIES, Cursor
from workbench.views.outbox import Changes
from workbench.views.problem import Problem, hint
from workbench.views.walk import Walk

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

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
        self.checkpoint = Choice("Checkpoint", options={name: name for name in names})
        self.seed = Number("Seed", end=2**32 - 1)
        self.example = Number(f"Example (0-{EXAMPLES - 1})", end=EXAMPLES - 1)
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
        self.query = Choice("Query")
        self.layer = Choice("Layer", width=90)
        self.gdn_head = Choice("Head", width=90)
        self.bound: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "seed": self.seed,
            "example": self.example,
            "passes": self.passes,
            "quantity": self.quantity,
            "layer": self.layer,
            "gdn_head": self.gdn_head,
            "query": self.query,
        }
        for name, widget in self.bound.items():
            # a slider is followed when it is let go, not at every N that it passes
            watched = "value_throttled" if widget is self.passes else "value"
            widget.param.watch(_chosen(name, choose), watched)

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
        self.place = Where()
        self.note, self.tokens = _html("note"), _html("tokens")
        self.picture, self.score = _html("picture"), _html("score")
        self.title = _html("title")
        self.title.object = '<h1 class="unseen">Stepper</h1>'
        self._made: dict[str, tuple[Hashable, dict[str, Any]]] = {}
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
            _box(
                "left",
                self.title,
                setup,
                _card("The example", self.query, self.picture, self.own_input),
            ),
            _box(
                "right",
                _card(None, self.transport, self.place, self.timeline, self.tokens),
                _box("main", memory, _card(None, self.score, self.answers)),
                _card("Along the walk", self.curves),
            ),
        )

    def follow(self, values: Mapping[str, Any], pending: Container[str]) -> None:
        """Set the widgets to the cursor, but for those that the user has just moved again.

        Parameters
        ----------
        values : mapping
            The cursor's values by name, as they were when the other panes were filled: by now
            another thread may be moving it.
        pending : container of str
            Names whose next value is already waiting.
        """
        for name, value in values.items():
            if name not in pending and self.bound[name].value != value:
                self.bound[name].value = value

    def complain(self, field: str, message: str) -> Changes:
        """Say what is wrong with the user's input, at the field."""
        return [(self.own_input, {"wrong_field": field, "message": message})]

    def contents(self, scene: Scene) -> Changes:
        """Return what every pane holds for a scene; the widgets' values are left to `follow`.

        Parameters
        ----------
        scene : Scene
            What is to be shown.

        Returns
        -------
        list of (object, dict)
            Each pane with the parameters to be set on it. A figure is drawn only if something
            that it shows has changed since the last call.
        """
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
            "hint": hint(task),
        }
        shown = (scene.problem.context, scene.problem.questions)
        if shown != self._filled:  # what is being typed is left alone by mere steps
            self._filled, self._fills = shown, self._fills + 1
            own |= {"text": shown[0], "queries": shown[1], "serial": self._fills}
            own |= {"wrong_field": "", "message": ""}
        layers = {str(layer): layer for layer in walk.extent.layers}
        heads = {str(head): head for head in range(walk.extent.heads)}
        note = words.trained_note(walk.passes, scene.checkpoint.sleep)
        return [
            (self.note, {"object": note + words.untrained_note(scene.problem)}),
            (self.query, {"options": _query_options(scene.problem)}),
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
        label = f"Head {cursor.gdn_head}, {QUANTITIES[cursor.quantity]}"
        key = (walk, cursor.place, cursor.layer, cursor.gdn_head, cursor.quantity, scene.theme)

        def every() -> go.Figure:
            return all_heads(states, selected=cursor.gdn_head, **shared)

        def one() -> go.Figure:
            return one_head(states, gdn_head=cursor.gdn_head, **shared)

        return [
            (self.heads, {"figure": self._figure("heads", key, every)}),
            (self.head, {"figure": self._figure("head", key, one), "label": label}),
        ]

    def _figure(self, name: str, key: Hashable, make: Callable[[], go.Figure]) -> dict[str, Any]:
        """Return a figure as JSON, made anew only if `key` differs from the last one's."""
        if name not in self._made or self._made[name][0] != key:
            self._made[name] = (key, make().to_plotly_json())
        return self._made[name][1]

    def _answers(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        answers = walk.answers(cursor.place)
        queries = scene.problem.queries
        here = answers.isel({dims.QUERY: cursor.query})
        draw = drawings.ring if task.name == "depo" else drawings.automaton
        picture = draw(
            scene.problem,
            queries[cursor.query],
            str(here["answer"].item()),
            correct=bool(here["correct"]),
        )

        def table() -> go.Figure:
            return answer_table(
                answers,
                [query.label for query in queries],
                chance=answers["chance"].values if walk.one_symbol else None,
                one_symbol=walk.one_symbol,
                selected=cursor.query,
                theme=scene.theme,
            )

        key = (walk, cursor.place, cursor.query, scene.theme)
        return [
            (self.picture, {"object": picture}),
            (self.score, {"object": words.score(answers, task)}),
            (self.answers, {"figure": self._figure("answers", key, table)}),
        ]

    def _walk(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        place, passes = cursor.place, walk.extent.passes
        answers = walk.answers(place)
        summary = walk.summary()
        change = summary["memory_change"]
        here = float(change[place.window, place.sleep_pass])
        title, sentence = words.where(place, passes, walk.awake, here, walk.sleep)
        told = words.score_sentence(answers)
        stops: dict[str, Any] = {"passes": passes, "place": place, "theme": scene.theme}

        def strip() -> go.Figure:
            return timeline(change, awake=walk.awake, **stops)

        def curves() -> go.Figure:
            one_layer = len(walk.extent.layers) == 1
            return pass_curves(
                summary.sel({dims.LAYER: cursor.layer}, drop=True),
                walk.answer_curves(),
                awake=walk.awake,
                difficulty=answers["difficulty"].values,
                difficulty_name=task.difficulty_name,
                chance=answers["chance"].values if walk.one_symbol else None,
                one_symbol=walk.one_symbol,
                replay=walk.replays(cursor.layer),
                replay_name="replay of pass 1" if one_layer else "replay from the embeddings",
                selected=cursor.gdn_head,
                **stops,
            )

        # where the cursor stands goes to the browser by itself: the strip and the curves stay
        moving = timeline_place(awake=walk.awake, **stops)
        strip_json = self._figure("timeline", (walk, scene.theme), strip)
        key = (walk, cursor.layer, cursor.gdn_head, scene.theme)
        curves_json = self._figure("curves", key, curves)
        tokens = drawings.tokens(
            scene.problem, walk.spans, walk.awake, place, walk.cached_tokens(place)
        )
        return [
            (self.place, {"title": title, "sentence": sentence, "told": told, "busy": ""}),
            (self.tokens, {"object": tokens}),
            (self.timeline, {"figure": strip_json, "moving": moving}),
            (self.curves, {"figure": curves_json, "moving": curves_place(**stops)}),
        ]


def _query_options(problem: Problem) -> dict[str, int]:
    """Return the queries by their labels; those asked twice are numbered."""
    labels = [query.label for query in problem.queries]
    return {
        label if labels.count(label) == 1 else f"{label} (query {number + 1})": number
        for number, label in enumerate(labels)
    }


def _chosen(name: str, choose: Callable[[str, Any], None]) -> Callable[[Any], None]:
    def told(event: Any) -> None:
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
