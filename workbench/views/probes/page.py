"""The page of probes: what a linear decoder finds in S, compared with controls and baselines.

It opens with a bundled measurement; more can be measured below. Torch is not loaded here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Self

import panel as pn

from workbench.measurements.shelf import measurement_name
from workbench.theatre.csv_text import csv_of
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.view import about_html, tables_html
from workbench.views.parts.components import Choice, Download, FigurePane, record_html
from workbench.views.parts.html import failure_html
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes
from workbench.views.parts.records import RecordsPage, records_column
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.probes import words
from workbench.views.probes.figures import FIGURES, MAPS, figures_of
from workbench.views.probes.model import PLACES, ProbeModel
from workbench.views.site.services import Services, services

PROBES_CSS = Path(__file__).with_name("probes.css").read_text(encoding="utf-8")
NUMBERS = "<details><summary>Numbers</summary>{}</details>"
TEXTS = (
    "about", "accuracy", "selectivity", "gain", "items", "layers", "curves", "steering", "omits",
    "numbers",
)  # fmt: skip
CHOICES = {
    "checkpoint": ("Checkpoint", 260),
    "measurement": ("Measurement", 330),
    "window": ("Window", 160),
    "layer": ("Layer", 160),
    "target": ("Target", 160),
    "sleep_pass": ("Pass", 160),
}
"""Label and width, pixels, of what is chosen."""


class Probes(RecordsPage):
    """The page of probes. Without `root`, a folder of runs, it shows nothing measured here."""

    def __init__(
        self, root: Path | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.model = ProbeModel(list((shared or services()).folders()), root)
        self.measure: MeasurePanel | None = None
        self._queue = SerialQueue(show_error)
        self.figures = {
            name: FigurePane(partial(self._clicked, name), label=label, svg=True)
            for name, label in FIGURES.items()
        }
        self.texts = {name: record_html("") for name in TEXTS}
        for text in self.texts.values():
            text.stylesheets = [*text.stylesheets, PROBES_CSS]
        self.choices = {name: self._choice(name, *look) for name, look in CHOICES.items()}
        self.downloads = {
            name: Download(partial(self.save, name), label=label)
            for name, label in (("data", "Data (CSV)"), ("steering", "Steering data (CSV)"))
        }

    def _choice(self, name: str, label: str, width: int) -> Choice:
        choice = Choice(label, width=width)

        def changed(event: Any) -> None:
            if not self._outbox.applying:
                self.take(partial(self._chosen, name, event.new), key=name)

        choice.param.watch(changed, "value")
        return choice

    @classmethod
    def in_page(cls, page: Any, **values: Any) -> Self:
        """Return the view that follows the page's theme and address, and can measure."""
        return super().in_page(page, root=services().runs, **values)

    def open(self, page: Any, query: dict[str, str]) -> None:
        """Show what an address names, with the form below it."""
        problems = self.model.restore(query)
        self.measure = MeasurePanel.in_page(
            page,
            kinds=("probes", "steering"),
            checkpoint=self.model.checkpoint,
            on_done=lambda path: self.take(partial(self.display, path)),
        )
        self.build()
        if problems:
            pn.state.onload(partial(warn, ". ".join(problems) + "."))

    def take(self, task: Callable[[], None], *, key: Any = None) -> None:
        """Do something when no other thread of this session is at work."""
        self._queue.take(task, key=key)

    # --- what the user does ------------------------------------------------------------------

    def _chosen(self, name: str, value: Any) -> None:
        if name == "checkpoint":
            self.model.choose(value)
            if self.measure is not None:
                self.measure.choose(checkpoint=value)
        elif name == "measurement":
            self.model.take(Path(value))
        else:
            setattr(self.model, name, value)
        self._redraw()

    def _clicked(self, name: str, curve: int, custom: Any) -> None:
        if name in MAPS and isinstance(custom, list) and len(custom) == 4:
            self.take(partial(self._at, custom))

    def _at(self, custom: list[Any]) -> None:
        _, target, sleep_pass, layer = custom
        wanted = {"target": str(target), "sleep_pass": int(sleep_pass), "layer": int(layer)}
        if all(value in self.model.options(name) for name, value in wanted.items()):
            self.model.param.update(**wanted)
            self._redraw()

    def display(self, path: Path) -> None:
        """Show what has just been measured."""
        self.model.show(path)
        self._redraw()

    def save(self, which: str) -> None:
        """Let the browser save the numbers: "data" or "steering"."""
        model = self.model
        data, path = {
            "data": (model.data, model.path),
            "steering": (model.steering, model.steering_path),
        }[which]
        if data is not None and path is not None:
            file = f"{measurement_name(path)}.csv"
            button = self.downloads[which]
            self._outbox.set([(button, button.saving(file, csv_of(data)))])

    # --- what is shown -----------------------------------------------------------------------

    def build(self) -> None:
        """Lay everything out, and show it."""
        figure, text = self.figures, self.texts
        *heads, target, sleep_pass = self.choices.values()
        items = _box("choices", target, sleep_pass)
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
        self._redraw()

    def draw(self) -> None:
        """Bring every pane up to date, when no other thread of this session is at work."""
        self.take(self._redraw)

    def _redraw(self) -> None:
        made = figures_of(self.model, self.theme)
        changes: Changes = []
        for name, pane in self.figures.items():
            figure = made.get(name)
            changes.append((pane, {"visible": figure is not None}))
            if figure is not None:
                changes.append((pane, {"figure": json.loads(figure.to_json())}))
        for name, html in self._words().items():
            shown = f'<div class="told">{html}</div>' if html else ""
            changes.append((self.texts[name], {"object": shown, "visible": bool(html)}))
        model = self.model
        changes += self._options()
        changes += [
            (self.downloads["data"], {"visible": model.data is not None}),
            (self.downloads["steering"], {"visible": "steering" in made}),
        ]
        self._outbox.set(changes)
        self.show_address()

    def _words(self) -> dict[str, str]:
        model = self.model
        found = dict.fromkeys(self.texts, "")
        if model.problem:
            found["about"] = failure_html(model.problem)
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
            "curves": ("Next to controls and baselines", words.CURVES),
        }
        if len(model.options("layer")) > 1:
            said["layers"] = ("Layer by layer", words.LAYERS)
        for name, (title, text) in said.items():
            found[name] = f"<h2>{escape(title)}</h2><p>{escape(text)}</p>"
        found["about"] = about_html(data, model.origin)
        found["omits"], found["numbers"] = words.OMITS, NUMBERS.format(tables_html(data, "h3"))
        return found

    def _options(self) -> Changes:
        """Return what there is to choose from; a choice of one is hidden."""
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
        return [
            (
                self.choices[name],
                {
                    "options": options,
                    "value": value,
                    "visible": len(options) > 1 or name == "checkpoint",
                },
            )
            for name, (options, value) in found.items()
        ]

    def address(self) -> dict[str, str]:
        """Return what the address says."""
        return self.model.address()


def _box(name: str, *objects: Any) -> pn.Column:
    column = records_column(*objects, classes=[name] if name else [])
    column.stylesheets = [*column.stylesheets, PROBES_CSS]
    return column
