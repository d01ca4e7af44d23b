"""The cursor that all panes share: which sleep, and where in it. Knows no Panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import param

QUANTITIES: Final = {
    "state": "S",
    "change": "change since the last pass",
    "sleep_change": "change over the sleep",
}
"""What the heatmaps can show: S, S minus the pass before, S minus what the sleep began with."""

EXAMPLES: Final = 16
"""Examples drawn from one seed."""

MOST_PASSES: Final = 12
"""Largest N."""

URL: Final = {
    "checkpoint": "checkpoint",
    "seed": "seed",
    "example": "example",
    "text": "input",
    "queries": "queries",
    "passes": "N",
    "window": "window",
    "sleep_pass": "pass",
    "layer": "layer",
    "gdn_head": "head",
    "quantity": "show",
    "query": "query",
}
"""Parameter -> its name in the page's address."""


class BoundaryIndex(NamedTuple):
    """One boundary of the walk: `sleep_pass` 0 is the state carried into `window`."""

    window: int
    sleep_pass: int


class Extent(NamedTuple):
    """What a cursor ranges over.

    Attributes
    ----------
    passes : tuple of int
        Last pass of each window: N where it is slept on, 1 where it is read awake.
    layers : tuple of int
        Indices of the fast-weight layers.
    heads : int
        Heads of each.
    queries : int
        Queries of the example.
    examples : int
        Examples to choose from.
    """

    passes: tuple[int, ...]
    layers: tuple[int, ...]
    heads: int
    queries: int = 1
    examples: int = EXAMPLES

    @property
    def boundaries(self) -> tuple[BoundaryIndex, ...]:
        """Every boundary, in order."""
        return tuple(
            BoundaryIndex(w, p) for w, last in enumerate(self.passes) for p in range(last + 1)
        )


class Cursor(param.Parameterized):
    """Which sleep is looked at, and where in it.

    Changing `checkpoint`, `seed`, `example`, `text`, `queries` or `passes` makes another sleep;
    the rest moves within one.

    Attributes
    ----------
    url : mapping of str to str
        Parameter -> its name in the address; what is not in it does not stand there.
    given : set of str
        Names in the address whose values were taken from it.
    """

    url: ClassVar[Mapping[str, str]] = URL
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {"quantity": QUANTITIES}
    """Parameter -> what the menu calls each of its values; none where it shows the values."""

    checkpoint = param.String("", doc="Name of the model.")
    seed = param.Integer(0, bounds=(0, 2**32 - 1), doc="Seed that examples are drawn from.")
    example = param.Integer(0, bounds=(0, EXAMPLES - 1), doc="Which of the seed's examples.")
    text = param.String("", doc="The user's own input; empty where the example is drawn.")
    queries = param.String("", doc="Queries that go with `text`; empty lets the task choose.")
    passes = param.Integer(
        None, bounds=(1, MOST_PASSES), allow_None=True, doc="N; None until a model is chosen."
    )
    window = param.Integer(0, bounds=(0, None), doc="Window, from 0.")
    sleep_pass = param.Integer(0, bounds=(0, None), doc="Pass; 0 is what was carried in.")
    layer = param.Integer(0, bounds=(0, None), doc="Fast-weight layer, an index of the stack.")
    gdn_head = param.Integer(0, bounds=(0, None), doc="Head that is enlarged.")
    query = param.Integer(0, bounds=(0, None), doc="Query whose answer is drawn.")
    quantity: Any = param.Selector(default="state", objects=list(QUANTITIES), doc="What is shown.")

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        self.extent = Extent((1,), (0,), 1)
        self.given: set[str] = set()

    @property
    def boundary(self) -> BoundaryIndex:
        """Where the cursor stands."""
        return BoundaryIndex(self.window, self.sleep_pass)

    @property
    def index(self) -> int:
        """Number of the boundary the cursor stands on, from 0."""
        return self.extent.boundaries.index(self.boundary)

    def first(self) -> None:
        """Go to the beginning: nothing has been read."""
        self.go(self.extent.boundaries[0])

    def back(self) -> None:
        """Go one boundary back, if there is one."""
        self.go(self.extent.boundaries[max(self.index - 1, 0)])

    def step(self) -> None:
        """Go one boundary on, if there is one."""
        boundaries = self.extent.boundaries
        self.go(boundaries[min(self.index + 1, len(boundaries) - 1)])

    def last(self) -> None:
        """Go to the end: every window has been read."""
        self.go(self.extent.boundaries[-1])

    @property
    def at_end(self) -> bool:
        """Whether there is no further boundary."""
        return self.boundary == self.extent.boundaries[-1]

    def go(self, boundary: BoundaryIndex) -> None:
        """Move to a boundary.

        Raises
        ------
        ValueError
            There is no such stop.
        """
        if boundary not in self.extent.boundaries:
            ends = self.extent.passes
            raise ValueError(f"no boundary {tuple(boundary)}; the windows end with passes {ends}")
        self.param.update(window=boundary.window, sleep_pass=boundary.sleep_pass)

    def fit(self, extent: Extent) -> list[tuple[str, str]]:
        """Range over `extent` from now on; what lies outside is clamped.

        Returns
        -------
        list of (str, str)
            What had to be changed: its name in the address, and a sentence.
        """
        self.extent = extent
        window = min(self.window, len(extent.passes) - 1)
        layer = self.layer if self.layer in extent.layers else extent.layers[0]
        wanted = {
            "example": min(self.example, extent.examples - 1),
            "window": window,
            "sleep_pass": min(self.sleep_pass, extent.passes[window]),
            "layer": layer,
            "gdn_head": min(self.gdn_head, extent.heads - 1),
            "query": min(self.query, extent.queries - 1),
        }
        changed = {n: value for n, value in wanted.items() if getattr(self, n) != value}
        messages = [
            (
                self.url[name],
                f"{self.url[name]} {getattr(self, name)} does not exist here; {value} is shown",
            )
            for name, value in changed.items()
            if name != "window"
        ]
        if "window" in changed:  # the page counts them from 1, the address from 0
            total = len(extent.passes)
            said = (
                f"window = {self.window} in the address, counted from 0, does not exist here; "
                f"window {window + 1} of {total} is shown"
            )
            messages.insert(0, (self.url["window"], said))
        self.param.update(**changed)
        return messages

    def nearest(self, name: str, value: Any) -> tuple[Any, str | None]:
        """Return the value of a parameter that is closest to `value`, and what was wrong with it.

        Parameters
        ----------
        name : str
            A parameter.
        value : object
            What a field of the page holds.

        Returns
        -------
        (object, str or None)
            A value that may be set, and a sentence where it is another one.
        """
        low, high = getattr(self.param[name], "bounds", None) or (None, None)
        high = self.extent.examples - 1 if name == "example" else high
        nearest = value if low is None else max(low, value)
        nearest = nearest if high is None else min(high, nearest)
        if nearest == value:
            return value, None
        return (
            nearest,
            f"{self.url[name]} goes from {low} to {high}, so {value:,} became {nearest:,}",
        )

    def address(self) -> dict[str, str]:
        """Return what `restore` takes: the name in the address and the text of every value."""
        values = {label: getattr(self, name) for name, label in self.url.items()}
        return {label: str(value) for label, value in values.items() if value not in ("", None)}

    def restore(self, query: Mapping[str, str]) -> list[str]:
        """Take values from a page's address; a wrong one is put right or left out.

        Parameters
        ----------
        query : mapping of str to str
            Names of `url` to text; unknown names are ignored.

        Returns
        -------
        list of str
            What was wrong, one sentence each.
        """
        values: dict[str, object] = {}
        messages = []
        for name, label in self.url.items():
            if label not in query:
                continue
            parameter, text = self.param[name], query[label]
            if isinstance(parameter, param.Selector):
                offered = self.offered(name, values)
                values[name], message = _selected(getattr(self, name), label, text, offered)
                taken = message is None
            else:
                value, message = _read(parameter, label, text)
                taken = value is not None
                if taken:
                    values[name] = value
            if taken:
                self.given.add(label)
            if message:
                messages.append(message)
        self.param.update(**values)
        return messages

    def offered(self, name: str, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what the menu of a parameter offers: each value, and what it is called there.

        Parameters
        ----------
        name : str
            A parameter with a choice.
        values : mapping of str to object
            What the parameters before it will be.
        """
        return self.texts.get(name) or {text: text for text in self.param[name].objects}


class PlacedCursor(Cursor):
    """A cursor that knows whether it was told where to stand."""

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        self.placed = bool({"window", "sleep_pass"} & set(values))

    def restore(self, query: Mapping[str, str]) -> list[str]:
        """Take values from a page's address, as `Cursor.restore`."""
        said = super().restore(query)
        self.placed = self.placed or bool({"window", "pass"} & self.given)
        return said

    def go_once(self, boundary: BoundaryIndex) -> None:
        """Go to a boundary if nobody has said where to stand."""
        if not self.placed:
            self.param.update(window=boundary.window, sleep_pass=boundary.sleep_pass)
        self.placed = True


class TraceCursor(PlacedCursor):
    """A cursor on traces, which have as many examples as were recorded."""

    example = param.Integer(0, bounds=(0, None), doc="Which of the trace's examples.")


def _read(parameter: param.Parameter, label: str, text: str) -> tuple[object, str | None]:
    """Return the value of one text in the address, or None, and what was wrong with it."""
    if isinstance(parameter, param.Integer):
        try:
            number = int(text)
        except ValueError:
            return None, f"{label} = {text!r} in the address is no whole number; it is ignored"
        low, high = parameter.bounds or (None, None)
        if (low is not None and number < low) or (high is not None and number > high):
            nearest = low if low is not None and number < low else high
            return nearest, f"{label} = {number} in the address is out of range; {nearest} is used"
        return number, None
    return text, None


def _selected(
    now: str, label: str, text: str, offered: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return the value that one text in the address chooses, and what was wrong with it."""
    if text in offered:
        return text, None
    used = now if now in offered else next(iter(offered))
    known = ", ".join(v if v == said else f"{v} ({said})" for v, said in offered.items())
    said = f"{label} = {text!r} in the address is unknown here (there are: {known}); "
    return used, f"{said}{offered[used]} is used"
