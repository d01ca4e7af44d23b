"""The page of probes: what a linear decoder finds in S, beside all it is compared with.

It opens with a bundled measurement, and measures anew below. Torch is not loaded here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.figures.theme import Theme
from workbench.measurements.shelf import measurement_name
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.view import about_html
from workbench.views.parts.components import (
    CSS,
    RECORDS_CSS,
    Choice,
    Download,
    FigurePane,
    record_html,
)
from workbench.views.parts.csv_text import csv_of
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.probes import words
from workbench.views.probes.figures import FIGURES, MAPS, figures_of
from workbench.views.probes.model import PLACES, ProbeModel
from workbench.views.site.services import Services, services

PROBES_CSS = Path(__file__).with_name("probes.css").read_text(encoding="utf-8")


class Probes(pn.viewable.Viewer):
    """The page of probes.

    Parameters
    ----------
    root : Path or None
        Folder of the runs, for measurements made here; None has none.
    shared : Services or None
        The process's services.

    Attributes
    ----------
    model : ProbeModel
        What is shown.
    figures : dict of str to FigurePane
        See `FIGURES`.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    def __init__(
        self, root: Path | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.services = shared or services()
        self.model = ProbeModel(list(self.services.folders()), root)
        self.location: Any = None
        self.measure: MeasurePanel | None = None
        self._outbox, self._queue = Outbox(), SerialQueue(show_error)
        self.figures = {
            name: FigurePane(partial(self._clicked, name), label=label, svg=True)
            for name, label in FIGURES.items()
        }
        self.texts = {
            name: record_html("")
            for name in (
                "about", "accuracy", "selectivity", "gain", "items", "layers", "curves",
                "steering", "omits", "numbers",
            )
        }  # fmt: skip
        for text in self.texts.values():
            text.stylesheets = [CSS, RECORDS_CSS, PROBES_CSS]
        self.choices = {
            "checkpoint": self._choice("Checkpoint", self._choose, 260),
            "measurement": self._choice("Measurement", self._take, 330),
        }
        for name, label in (
            ("window", "Window"), ("layer", "Layer"), ("target", "Target"), ("sleep_pass", "Pass"),
        ):  # fmt: skip
            self.choices[name] = self._choice(label, partial(self._place, name), 160)
        self.downloads = {
            "data": Download(partial(self._save, "data"), label="Data (CSV)"),
            "steering": Download(partial(self._save, "steering"), label="Steering data (CSV)"),
        }
        self._column = _box("results")
        self.param.watch(lambda event: self.take(self.draw), "dark")

    def _choice(self, label: str, act: Callable[[Any], None], width: int) -> Choice:
        choice = Choice(label, width=width)

        def changed(event: Any) -> None:
            if not self._outbox.applying:
                self.take(partial(act, event.new), key=label)

        choice.param.watch(changed, "value")
        return choice

    @classmethod
    def in_page(cls, page: Any) -> Probes:
        """Return the view that follows the page's theme and address, and can measure."""
        root = services().runs
        view = cls(root, dark=page.dark_theme)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        problems = view.model.restore(query)
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.measure = MeasurePanel.in_page(
            page,
            kinds=("probes", "steering"),
            checkpoint=view.model.checkpoint,
            on_done=lambda path: view.take(partial(view._show, path)),
        )
        view.build()
        pn.state.onload(view._address)  # before that, a change of the address is lost
        if problems:
            pn.state.onload(partial(warn, ". ".join(problems) + "."))
        return view

    def __panel__(self) -> Any:
        return self._column

    def take(self, task: Callable[[], None], *, key: Any = None) -> None:
        """Do something when no other thread of this session is at work."""
        self._queue.take(task, key=key)

    # --- what the user does ------------------------------------------------------------------

    def _choose(self, checkpoint: str) -> None:
        self.model.choose(checkpoint)
        if self.measure is not None:
            self.measure.choose(checkpoint=checkpoint)
        self.draw()

    def _take(self, path: str) -> None:
        self.model.take(Path(path))
        self.draw()

    def _place(self, name: str, value: Any) -> None:
        setattr(self.model, name, value)
        self.draw()

    def _clicked(self, name: str, curve: int, custom: Any) -> None:
        if name in MAPS and isinstance(custom, list) and len(custom) == 4:
            self.take(partial(self._at, custom))

    def _at(self, custom: list[Any]) -> None:
        _, target, sleep_pass, layer = custom
        wanted = {"target": str(target), "sleep_pass": int(sleep_pass), "layer": int(layer)}
        if all(value in self.model.options(name) for name, value in wanted.items()):
            self.model.param.update(**wanted)
            self.draw()

    def _show(self, path: Path) -> None:
        """Show what has just been measured."""
        self.model.show(path)
        self.draw()

    def _save(self, which: str) -> None:
        data = self.model.data if which == "data" else self.model.steering
        path = self.model.path if which == "data" else self.model.steering_path
        if data is None or path is None:
            return
        button = self.downloads[which]
        file = {"filename": f"{measurement_name(path)}.csv", "content": csv_of(data)}
        self._outbox.set([(button, file | {"serial": button.serial + 1})])

    # --- what is shown -----------------------------------------------------------------------

    def build(self) -> None:
        """Lay everything out, and show it."""
        figure, text, choice = self.figures, self.texts, self.choices
        heads = [choice[name] for name in ("checkpoint", "measurement", "window", "layer")]
        items = _box("choices", choice["target"], choice["sleep_pass"])
        self._column.objects = [
            _box("choices", *heads),
            text["about"],
            _box("choices", self.downloads["data"]),
            _box(
                "two",
                _box("", text["accuracy"], figure["accuracy"]),
                _box("", text["selectivity"], figure["selectivity"]),
                _box("", text["gain"], figure["gain"]),
                _box("", text["items"], items, figure["items"]),
            ),
            text["layers"],
            figure["layers"],
            text["curves"],
            figure["curves"],
            text["steering"],
            figure["steering"],
            _box("choices", self.downloads["steering"]),
            text["omits"],
            text["numbers"],
            *([self.measure] if self.measure is not None else []),
        ]
        self.draw()

    def draw(self) -> None:
        """Bring every pane up to date."""
        made = figures_of(self.model, self._theme)
        changes: Changes = []
        for name, pane in self.figures.items():
            figure = made.get(name)
            changes.append((pane, {"visible": figure is not None}))
            if figure is not None:
                changes.append((pane, {"figure": json.loads(figure.to_json())}))
        for name, html in self._words().items():
            told = f'<div class="told">{html}</div>' if html else ""
            changes.append((self.texts[name], {"object": told, "visible": bool(html)}))
        model = self.model
        changes += self._options()
        changes += [
            (self.downloads["data"], {"visible": model.data is not None}),
            (self.downloads["steering"], {"visible": "steering" in made}),
        ]
        self._outbox.set(changes)
        self._address()

    def _words(self) -> dict[str, str]:
        model = self.model
        found = dict.fromkeys(self.texts, "")
        if model.problem:
            found["about"] = f'<p class="failure" role="alert">{escape(model.problem)}</p>'
            return found
        steered = model.steering is not None
        found["steering"] = (
            words.STEERED.format(sleep_pass=model.steered_pass) if steered else words.NOT_STEERED
        )
        if model.data is None:
            found["about"] = words.NOT_MEASURED.format(checkpoint=escape(model.checkpoint))
            return found
        data = model.data
        said = {
            "accuracy": ("Accuracy", words.accuracy_words(data)),
            "selectivity": ("Selectivity", words.SELECTIVITY),
            "gain": ("Above the best baseline", words.GAIN),
            "items": ("Item by item", words.ITEMS),
            "curves": ("Beside controls and baselines", words.CURVES),
        }
        if len(model.options("layer")) > 1:
            said["layers"] = ("Layer by layer", words.LAYERS)
        for name, (title, text) in said.items():
            found[name] = f"<h2>{escape(title)}</h2><p>{escape(text)}</p>"
        found["about"] = about_html(data, model.origin)
        found["omits"], found["numbers"] = words.OMITS, words.numbers_html(data)
        return found

    def _options(self) -> Changes:
        """Return what there is to choose from; a choice of one alone is not shown."""
        model = self.model
        names = {name: name for name in model.names}
        paths = {text: str(path) for text, path in model.choices("probes").items()}
        passes, windows = {}, {}
        if model.data is not None:
            passes, windows = words.pass_options(model.data), words.window_options(model.data)
        found: dict[str, tuple[dict[str, Any], Any]] = {
            "checkpoint": (names, model.checkpoint),
            "measurement": (paths, str(model.path) if model.path else None),
            "sleep_pass": (passes, model.sleep_pass),
            "window": (windows, model.window),
        }
        for name in PLACES.keys() - found.keys():
            found[name] = ({str(v): v for v in model.options(name)}, getattr(model, name))
        shown = {"checkpoint"}
        return [
            (
                self.choices[name],
                {"options": options, "value": value, "visible": len(options) > 1 or name in shown},
            )
            for name, (options, value) in found.items()
        ]

    def _address(self) -> None:
        if self.location is not None:
            search = f"?{urlencode(self.model.address())}"
            self._outbox.set([(self.location, {"search": search})])

    @property
    def _theme(self) -> Theme:
        return "dark" if self.dark else "light"


def _box(name: str, *objects: Any) -> pn.Column:
    return pn.Column(
        *objects,
        css_classes=[name] if name else [],
        stylesheets=[CSS, RECORDS_CSS, PROBES_CSS],
        sizing_mode="stretch_width",
        margin=0,
    )
