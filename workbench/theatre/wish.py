"""The sleep that an ask names, and what is wrong with an ask, by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import WorkbenchError, one_line
from workbench.terminal import printable
from workbench.theatre.problem import (
    EXAMPLES,
    MOST_PASSES,
    Problem,
    drawn,
    first_passes,
    typed,
)

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

LONGEST: Final = 20_000
"""Most characters of own input, or of its queries."""
MOST_SEED: Final = 2**32 - 1


class Wrong(WorkbenchError):
    """One field of an ask is wrong."""

    def __init__(self, field: str, given: str, expected: str, fix: str) -> None:
        super().__init__(given, expected, fix)
        self.field = field

    @classmethod
    def of(cls, field: str, error: WorkbenchError) -> Wrong:
        """Return an error as one about a field."""
        return cls(field, error.given, error.expected, error.fix)


def line_of(error: WorkbenchError) -> str:
    """Return what is wrong in one line, whatever was typed or a file is called."""
    return printable(one_line(error))


class Wish(NamedTuple):
    """The sleep that is asked for."""

    name: str
    seed: int
    example: int
    input: str
    queries: str
    passes: int


def wish_of(ask: Mapping[str, Any], checkpoint: Checkpoint) -> Wish:
    """Return the sleep that an ask names; raises Wrong where a field is out of range."""
    given: dict[str, str] = {}
    for field in ("input", "queries"):
        value = ask.get(field) or ""
        if not isinstance(value, str) or len(value) > LONGEST:
            text = isinstance(value, str)
            wrong = f"{field} of {len(value):,} characters" if text else f"{value!r:.40}"
            raise Wrong(field, wrong, f"text of at most {LONGEST:,} characters", "shorten it")
        given[field] = value.strip()
        if field == "input" and value and not given[field]:
            raise Wrong(field, "input without text", "text to read", "type it, or leave it out")
    if given["queries"] and not given["input"]:
        raise Wrong("queries", "queries without input", "a text to ask about", "type one, too")
    first = first_passes(checkpoint.sleep)
    passes = whole(ask, "N", 1, MOST_PASSES, default=first)
    if given["input"]:
        return Wish(checkpoint.name, -1, -1, given["input"], given["queries"], passes)
    seed = whole(ask, "seed", 0, MOST_SEED, default=0)
    example = whole(ask, "example", 0, EXAMPLES - 1, default=0)
    return Wish(checkpoint.name, seed, example, "", "", passes)


def problem_of(checkpoint: Checkpoint, wish: Wish) -> Problem:
    """Return the example that is asked for; raises Wrong where own input does not fit the task."""
    if not wish.input:
        return drawn(checkpoint.task, wish.seed, wish.example)
    for field, queries in (("input", ""), ("queries", wish.queries)):
        try:
            found = typed(checkpoint.task, wish.input, queries)
        except WorkbenchError as error:
            raise Wrong.of(field, error) from None
    return found


def check_plain(ask: Mapping[str, Any]) -> None:
    """Raise Wrong for a value of an ask that is neither text nor a number of 64 bits."""
    for name, value in ask.items():
        number = isinstance(value, int)
        if value is None or isinstance(value, str | float) or number and abs(value) < 2**64:
            continue
        given = "too large a number" if number else f"a {type(value).__name__}"
        field = "model" if name == "name" else str(name)
        raise Wrong(
            field, f"{field[:40]!r} is {given}", "text, or a number of 64 bits", "change it"
        )


def whole(
    ask: Mapping[str, Any], field: str, low: int, high: int, default: int | None = None
) -> int:
    """Return a whole number of an ask; raises Wrong where it is not in its range."""
    value = ask.get(field)
    value = default if value is None and default is not None else value
    if type(value) is not int or not low <= value <= high:
        expected = f"a whole number from {low} to {high}"
        raise Wrong(field, f"{field} = {value!r:.40}", expected, "choose another")
    return value


def one_of(ask: Mapping[str, Any], field: str, known: Collection[str], usual: str) -> str:
    """Return a choice of an ask; raises Wrong where it is not one of those known."""
    value = usual if ask.get(field) is None else ask[field]
    if not isinstance(value, str) or value not in known:
        raise Wrong(field, f"{field} {value!r:.40}", f"one of {', '.join(known)}", "choose one")
    return value
