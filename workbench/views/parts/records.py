"""Pages of records: what is shown follows the page's theme and address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.views.parts.components import CSS, RECORDS_CSS, Choice, record_html
from workbench.views.parts.html import failure_html
from workbench.views.parts.outbox import Outbox


class RecordsPage(pn.viewable.Viewer):
    """A page whose panes stand in one column. A subclass gives `open`, `draw` and `address`."""

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.location: Any = None
        self._outbox = Outbox()
        self._column = records_column()
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any, **values: Any) -> Self:
        """Return a view that follows the page's theme and address."""
        view = cls(dark=page.dark_theme, **values)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.open(page, query)
        pn.state.onload(view.show_address)  # before that, a change of the address is lost
        return view

    def __panel__(self) -> Any:
        return self._column

    @property
    def theme(self) -> Theme:
        """Ground of the figures."""
        return "dark" if self.dark else "light"

    def open(self, page: Any, query: dict[str, str]) -> None:
        """Show what an address names."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        raise NotImplementedError

    def address(self) -> dict[str, str]:
        """Return what the address says; empty leaves it as it is."""
        raise NotImplementedError

    def show_address(self) -> None:
        """Write into the page's address what is shown."""
        if self.location is not None and (found := self.address()):
            self._outbox.set([(self.location, {"search": f"?{urlencode(found)}"})])


class NamedRecords(RecordsPage):
    """A page of one record at a time, chosen by its name. A subclass gives `sections` as well."""

    name_shown = param.String("", doc="Name of the record that is shown.")

    field: ClassVar[str]
    """What a record is called, here and in the address."""
    empty: ClassVar[str]
    """What stands there without any record, as HTML."""

    def __init__(self, found: dict[str, Path], label: str, width: int, **values: Any) -> None:
        super().__init__(**values)
        self.found, self.note = found, ""
        self.choice = Choice(label, options={name: name for name in found}, width=width)
        self.choice.param.watch(lambda event: setattr(self, "name_shown", event.new), "value")
        self.param.watch(lambda event: self.open_record(), "name_shown")

    def address(self) -> dict[str, str]:
        """Return which record is shown."""
        return {self.field: self.name_shown} if self.name_shown else {}

    def first(self) -> str:
        """Return the name of the record that is shown where none is named."""
        return next(iter(self.found), "")

    def choose(self, name: str) -> None:
        """Show a record; if it does not exist, the first, and the page says so. "" is the first."""
        first = self.first()
        if name and name not in self.found:
            self.note = f"There is no {self.field} named {name!r}; {first!r} is shown."
        self.choice.value = name if name in self.found else first
        if not self.found:
            self.rebuild()

    def open_record(self) -> None:
        """Show the record that was chosen."""
        self.rebuild()

    def choices(self) -> list[Any]:
        """Return what there is to choose from."""
        return [self.choice] if len(self.found) > 1 else []

    def sections(self, path: Path) -> list[Any]:
        """Return the panes of a record; raises where it cannot be read."""
        raise NotImplementedError

    def below(self) -> list[Any]:
        """Return the panes that stay whatever is shown."""
        return []

    def rebuild(self) -> None:
        """Build the page for the record that is chosen."""
        parts = self.choices()
        if self.note:
            parts.append(failure(self.note))
            self.note = ""
        if self.name_shown:
            try:
                parts += self.sections(self.found[self.name_shown])
            except WorkbenchError as error:
                parts.append(failure(error))
            self.show_address()
        else:
            parts.append(record_html(self.empty))
        self._outbox.set([(self._column, {"objects": parts + self.below()})])


def records_column(*objects: Any, classes: Sequence[str] = ("results",)) -> pn.Column:
    """Return a column in the style of records, which ``records.css`` lays out by its class."""
    return pn.Column(
        *objects,
        css_classes=list(classes),
        stylesheets=[CSS, RECORDS_CSS],
        sizing_mode="stretch_width",
        margin=0,
    )


def failure(error: object) -> pn.pane.HTML:
    """Return a pane that says what went wrong."""
    return record_html(failure_html(error))
