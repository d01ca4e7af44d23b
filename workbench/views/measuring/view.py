"""One measurement as a page shows it: what was measured on what, its figures, tables and data."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.measurements.base import Chart
from workbench.measurements.catalogue import measurement, tables
from workbench.measurements.records import damage_reported, read_measurement
from workbench.measurements.shelf import title_of
from workbench.theatre.csv_text import csv_of
from workbench.views.parts.components import Download, FigurePane, record_html
from workbench.views.parts.html import grid
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.records import failure


class MeasurementView:
    """Figures, tables and data of one measurement, its `data`; another may take its place."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.name = ""
        self.data = xr.Dataset()
        self.figures: list[tuple[Chart, FigurePane]] = []
        self.button: Download | None = None

    def parts(self, path: Path, name: str, theme: Theme, *, level: int = 1) -> list[Any]:
        """Return the panes of a measurement; if it cannot be read, they say why.

        `name` is that of the file of its data; `level` that of its heading, and headings inside
        are one level lower.
        """
        self.name, self.data, self.figures, self.button = name, xr.Dataset(), [], None
        try:
            self.data, origin = read_measurement(path)
            with damage_reported(str(path)):
                about = about_html(self.data, origin, level=level)
                numbers = tables_html(self.data, f"h{level + 1}")
                charts = measurement(str(self.data.attrs["kind"])).charts(self.data)
                drawn = [json.loads(one.draw(theme=theme).to_json()) for one in charts]
        except WorkbenchError as error:
            return [failure(error)]
        self.button = Download(self.save, label="Data (CSV)")
        inner = f"h{level + 1}"
        parts: list[Any] = [record_html(about), pn.Row(self.button, margin=0)]
        for one, figure in zip(charts, drawn, strict=True):
            pane = FigurePane(figure=figure, label=one.title, svg=True)
            self.figures.append((one, pane))
            heading = f"<{inner}>{escape(one.title)}</{inner}><p>{escape(one.says)}</p>"
            parts += [record_html(heading), pane]
        return [*parts, record_html(numbers)]

    def draw(self, theme: Theme) -> None:
        """Draw every figure in a theme."""
        self._outbox.set(
            [
                (pane, {"figure": json.loads(one.draw(theme=theme).to_json())})
                for one, pane in self.figures
            ]
        )

    def save(self) -> None:
        """Let the browser save the numbers."""
        assert self.button is not None
        file = self.button.saving(f"{self.name}.csv", csv_of(self.data))
        self._outbox.set([(self.button, file)])


def tables_html(data: xr.Dataset, heading: str) -> str:
    """Return the tables of a measurement, each below a heading such as "h2"."""
    return "".join(
        f"<{heading}>{escape(title[:1].upper() + title[1:])}</{heading}>"
        f"{grid(rows[0], rows[1:], title)}"
        for title, rows in tables(data).items()
    )


def about_html(data: xr.Dataset, origin: dict[str, Any], *, level: int = 1) -> str:
    """Return what was measured on what, what it shows, and the command that measures it again."""
    kind, model = str(data.attrs["kind"]), str(data.attrs["checkpoint"])
    settings = {k: v for k, v in origin["settings"].items() if v is not None}
    again = " ".join(f"--set {k}={json.dumps(v)}" for k, v in settings.items())
    commit = (origin.get("commit") or {}).get("hash", "unknown")[:10]
    machine = origin["machine"].get("processor")
    return (
        f"<h{level}>{escape(title_of(kind, model))}</h{level}>"
        f"<p>{escape(measurement(kind).says)}</p>"
        f'<p class="small">{data.attrs["examples"]} evaluation examples of seed '
        f"{data.attrs['seed']}, N = {data.attrs['n_sleep']}; one trained model, so intervals say "
        f"nothing about other training seeds. Measured {escape(str(origin['created_at'])[:10])}, "
        f"commit {escape(commit)}, {escape(str(machine))}. Again: <code>workbench measure "
        f"{escape(kind)} {escape(model)} {escape(again)}</code></p>"
    )
