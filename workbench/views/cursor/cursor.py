"""The cursor that all panes share: which sleep, and where in it. Knows no Panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import param

from workbench.theatre.problem import EXAMPLES, MOST_PASSES

QUANTITIES: Final = {
    "state": "S",
    "change": "change since the last pass",
    "sleep_change": "change over the sleep",
}
"""What the heatmaps can show: S, S minus the pass before, S minus what the sleep began with."""

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
    """What a cursor ranges over: the windows of one sleep, its layers, heads and questions."""

    passes: tuple[int, ...]
    """Last pass of each window: N where the model sleeps, 1 where it reads awake."""
    awake: tuple[bool, ...]
    """Which windows are read awake."""
    layers: tuple[int, ...]
    """Fast-weight layers, as indices of the stack."""
    heads: int
    queries: int = 1
    examples: int = EXAMPLES
    of_window: tuple[int, ...] = ()
    """Window of the text that each entry reads; empty where every window has one entry. With
    predict_then_sleep it has two, awake and asleep."""

    @property
    def boundaries(self) -> tuple[BoundaryIndex, ...]:
        """Every boundary, in order."""
        return tuple(
            BoundaryIndex(w, p) for w, last in enumerate(self.passes) for p in range(last + 1)
        )

    def slept(self, window: int) -> int:
        """Return the newest window up to `window` with a sleep; without one, the first sleep."""
        asleep = [w for w, awake in enumerate(self.awake) if not awake]
        return max((w for w in asleep if w <= window), default=asleep[0] if asleep else 0)

    @property
    def last_sleep(self) -> BoundaryIndex:
        """The boundary after the last sleep, where S holds everything that was learnt."""
        window = self.slept(len(self.passes) - 1)
        return BoundaryIndex(window, self.passes[window])


class Cursor(param.Parameterized):
    """Which sleep a page shows, and where in it.

    Changing `checkpoint`, `seed`, `example`, `text`, `queries` or `passes` makes another sleep;
    the others move within one. `given` names what was taken from an address, and `placed` says
    whether a window or pass was among the values given.
    """

    url: ClassVar[Mapping[str, str]] = URL
    """Parameter -> its name in the address; parameters not listed do not appear there."""
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {"quantity": QUANTITIES}
    """Parameter -> the menu's text for each value, where it differs from the value."""

    checkpoint = param.String("", doc="Name of the model.")
    seed = param.Integer(0, bounds=(0, 2**32 - 1), doc="Seed that examples are drawn from.")
    example = param.Integer(0, bounds=(0, EXAMPLES - 1), doc="Which of the seed's examples.")
    text = param.String("", doc="The user's own input; empty where the example is drawn.")
    queries = param.String("", doc="Queries that go with `text`; empty lets the task choose.")
    passes = param.Integer(
        None, bounds=(1, MOST_PASSES), allow_None=True, doc="N; None until a model is chosen."
    )
    window = param.Integer(0, bounds=(0, None), doc="Window, from 0.")
    sleep_pass = param.Integer(0, bounds=(0, None), doc="Pass; 0 is the state carried in.")
    layer = param.Integer(0, bounds=(0, None), doc="Fast-weight layer, an index of the stack.")
    gdn_head = param.Integer(0, bounds=(0, None), doc="Head that is enlarged.")
    query = param.Integer(0, bounds=(0, None), doc="Query whose answer is drawn.")
    quantity: Any = param.Selector(default="state", objects=list(QUANTITIES), doc="What is shown.")

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        self.extent = Extent((1,), (False,), (0,), 1)
        self.given: set[str] = set()
        self.placed = bool({"window", "sleep_pass"} & set(values))

    @property
    def boundary(self) -> BoundaryIndex:
        """Where the cursor stands."""
        return BoundaryIndex(self.window, self.sleep_pass)

    @property
    def index(self) -> int:
        """Number of the boundary the cursor stands on, from 0."""
        return self.extent.boundaries.index(self.boundary)

    @property
    def at_end(self) -> bool:
        """Whether this is the last boundary."""
        return self.boundary == self.extent.boundaries[-1]

    def move(self, action: str) -> None:
        """Go to the first or last boundary, or one "back" or on ("step") if there is one."""
        boundaries, index = self.extent.boundaries, self.index
        last = len(boundaries) - 1
        to = {"first": 0, "back": max(index - 1, 0), "step": min(index + 1, last), "last": last}
        self.go(boundaries[to[action]])

    def go(self, boundary: BoundaryIndex) -> None:
        """Move to a boundary; raises ValueError where it does not exist."""
        if boundary not in self.extent.boundaries:
            ends = self.extent.passes
            raise ValueError(f"no boundary {tuple(boundary)}; the windows end with passes {ends}")
        self.param.update(window=boundary.window, sleep_pass=boundary.sleep_pass)

    def fit(self, extent: Extent) -> list[tuple[str, str]]:
        """Range over `extent` from now on, and clamp what lies outside it.

        Returns what changed: its name in the address, and a sentence.
        """
        self.extent = extent
        window = min(self.window, len(extent.passes) - 1)
        within = {
            "window": window,
            "example": min(self.example, extent.examples - 1),
            "sleep_pass": min(self.sleep_pass, extent.passes[window]),
            "layer": self.layer if self.layer in extent.layers else extent.layers[0],
            "gdn_head": min(self.gdn_head, extent.heads - 1),
            "query": min(self.query, extent.queries - 1),
        }
        changed = {n: value for n, value in within.items() if getattr(self, n) != value}
        messages = []
        for name, value in changed.items():
            label, given = self.url[name], getattr(self, name)
            said = f"{label} {given} does not exist here; {value} is shown"
            if name == "window":  # the page counts windows from 1, the address from 0
                said = (
                    f"window = {given} in the address, counted from 0, does not exist here; "
                    f"window {window + 1} of {len(extent.passes)} is shown"
                )
            messages.append((label, said))
        self.param.update(**changed)
        return messages

    def nearest(self, name: str, value: Any) -> tuple[Any, str | None]:
        """Return the valid value closest to what a field holds, and a sentence if it differs."""
        low, high = getattr(self.param[name], "bounds", None) or (None, None)
        high = self.extent.examples - 1 if name == "example" else high
        nearest = _clamped(value, low, high)
        if nearest == value:
            return value, None
        label = self.url[name]
        return nearest, f"{label} goes from {low} to {high}, so {value:,} became {nearest:,}"

    def address(self) -> dict[str, str]:
        """Return what `restore` takes: the name in the address and the text of every value."""
        values = {label: getattr(self, name) for name, label in self.url.items()}
        return {label: str(value) for label, value in values.items() if value not in ("", None)}

    def restore(self, query: Mapping[str, str]) -> list[str]:
        """Take values from a page's address: names of `url` to text; unknown names are ignored.

        A wrong value is corrected or left out. Returns a sentence on each.
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
        self.placed = self.placed or bool({"window", "pass"} & self.given)
        return messages

    def offered(self, name: str, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Return each value that a menu offers and its text there.

        `values` are those that the parameters before it will have.
        """
        return self.texts.get(name) or {text: text for text in self.param[name].objects}


class TraceCursor(Cursor):
    """A cursor on traces, which have as many examples as were recorded."""

    example = param.Integer(0, bounds=(0, None), doc="Which of the trace's examples.")


def _clamped(value: Any, low: Any, high: Any) -> Any:
    value = value if low is None else max(low, value)
    return value if high is None else min(high, value)


def _read(parameter: param.Parameter, label: str, text: str) -> tuple[object, str | None]:
    """Return the value of one text in the address, or None, and a sentence if it is wrong."""
    if not isinstance(parameter, param.Integer):
        return text, None
    try:
        number = int(text)
    except ValueError:
        return None, f"{label} = {text!r} in the address is not a whole number, so it is ignored"
    nearest = _clamped(number, *(parameter.bounds or (None, None)))
    if nearest == number:
        return number, None
    return nearest, f"{label} = {number} in the address is out of range; {nearest} is used"


def _selected(
    now: str, label: str, text: str, offered: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return the value that one text in the address chooses, and a sentence if it is wrong."""
    if text in offered:
        return text, None
    used = now if now in offered else next(iter(offered))
    known = ", ".join(v if v == said else f"{v} ({said})" for v, said in offered.items())
    said = f"{label} = {text!r} in the address is unknown here (choose from: {known}); "
    return used, f"{said}{offered[used]} is used"
