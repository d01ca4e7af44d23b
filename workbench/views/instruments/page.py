"""The page of measurements: what instruments found, as figures and tables, and measuring again.

Bundled measurements are drawn from committed files, and those made here from the folder of runs;
nothing is computed in this process and torch is not loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from workbench.measurements.shelf import bundled_records, finished, menu_text, plain_title
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.outbox import Changes
from workbench.views.parts.records import NamedRecords
from workbench.views.site.services import services


class Measured(NamedRecords):
    """The page of measurements.

    `given` are measurements by name; None takes the bundled ones, and those of the folder of runs
    `root`, if there is one.
    """

    field = "measurement"
    empty = (
        "<h1>Instruments</h1><p>Nothing is measured yet. Measure below, or all of it with "
        "<code>data/instruments.py</code>.</p>"
    )

    def __init__(
        self, given: dict[str, Path] | None = None, *, root: Path | None = None, **values: Any
    ) -> None:
        super().__init__({}, "Measurement", 420, **values)
        self._given, self.root = given, root
        self.view = MeasurementView(self._outbox)
        self.measure: MeasurePanel | None = None
        self._outbox.set(self._look())

    @classmethod
    def in_page(cls, page: Any, **values: Any) -> Self:
        """Return the view that follows the page's theme and address, and can measure."""
        return super().in_page(page, root=services().runs, **values)

    def open(self, page: Any, query: dict[str, str]) -> None:
        """Show what an address names, with the form below it."""
        self.measure = MeasurePanel.in_page(page, on_done=self.display)
        self.choose(query.get(self.field, ""))

    def _look(self) -> Changes:
        """List the measurements: bundled ones, then those made here."""
        named = bundled_records() if self._given is None else dict(self._given)
        texts = {menu_text(name, path): name for name, path in named.items()}
        for one in finished(self.root):
            named[one.key] = one.result
            title = plain_title(one.kind, one.checkpoint)
            texts[f"here: {title}, {one.words} ({one.key[-6:]})"] = one.key
        self.found = named
        return [(self.choice, {"options": texts})]

    def first(self) -> str:
        """Return the name of the first lens, else of the first measurement."""
        return next(iter(sorted(self.found, key=lambda n: not n.startswith("lens-"))), "")

    def display(self, path: Path) -> None:
        """Show a measurement that was just made, or chosen again."""
        changes = self._look()
        name = next((n for n, p in self.found.items() if p.resolve() == path.resolve()), "")
        if name and name == self.name_shown:  # measured again
            self._outbox.set(changes)
            self.rebuild()
        elif name:
            self._outbox.set([*changes, (self.choice, {"value": name})])

    def sections(self, path: Path) -> list[Any]:
        """Return the panes of a measurement."""
        return self.view.parts(path, self.name_shown, self.theme)

    def below(self) -> list[Any]:
        """Return the form that measures."""
        return [] if self.measure is None else [self.measure]

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        self.view.draw(self.theme)
