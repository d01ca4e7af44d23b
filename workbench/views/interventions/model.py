"""What the page of interventions changes, and what the change does. Knows no Panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import numpy as np
import param
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.instruments.interventions import MEAN, OTHER, ZERO, Part, PassChange
from workbench.instruments.patching import components
from workbench.instruments.patching.context_swaps import questions, swap_context
from workbench.instruments.patching.pairs import change_one, patch_pair, read_pair
from workbench.tasks.base import Task
from workbench.theatre.problem import EXAMPLES, MOST_PASSES
from workbench.views.cursor.cursor import BoundaryIndex, Cursor, Extent
from workbench.views.cursor.reading import Examples

ACTIONS: Final = {
    "patch": "patch from the donor",
    "zero": "erase: set to zero",
    "mean": "erase: set to the mean",
    "other": "exchange for the previous example's",
    "scale": "scale",
}
"""What is done to a part, in words."""
PARTS: Final = {
    "whole": "all of S",
    "layer": "one layer",
    "head": "one head",
    "modes": "largest singular modes",
    "change": "what one pass changed",
}
"""Which part of S, in words."""


class InterventionCursor(Cursor):
    """Which examples, where in the reading, which part of S, and what is done to it."""

    url: ClassVar[Mapping[str, str]] = {
        "checkpoint": "checkpoint",
        "seed": "seed",
        "example": "example",
        "donor": "donor",
        "passes": "N",
        "window": "window",
        "sleep_pass": "pass",
        "action": "action",
        "part": "part",
        "layer": "layer",
        "gdn_head": "head",
        "modes": "modes",
        "changed": "changed",
        "percent": "percent",
    }
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {"action": ACTIONS, "part": PARTS}

    donor = param.Integer(
        None, bounds=(0, EXAMPLES - 1), allow_None=True, doc="Example whose memory is given."
    )
    action: Any = param.Selector(default="patch", objects=list(ACTIONS), doc="What is done.")
    part: Any = param.Selector(default="whole", objects=list(PARTS), doc="To which part of S.")
    modes = param.Integer(1, bounds=(1, 64), doc="How many singular modes of each head.")
    changed = param.Integer(1, bounds=(1, MOST_PASSES), doc="The pass whose change is the part.")
    percent = param.Integer(50, bounds=(-200, 400), doc="What the part is scaled to, per cent.")


def part_of(cursor: InterventionCursor, examples: Examples) -> Part:
    """Return the part of S that a cursor names; `WorkbenchError` if its pass is beyond N."""
    window = changed_window(cursor.boundary, examples.extent)
    if cursor.part == "change" and cursor.changed > examples.passes[window]:
        raise WorkbenchError(
            f"pass {cursor.changed}",
            f"a pass from 1 to N = {examples.passes[window]}",
            "choose a lower pass",
        )
    parts: dict[str, Callable[[], Part]] = {
        "whole": components.whole,
        "layer": lambda: components.layer(cursor.layer),
        "head": lambda: components.head(cursor.layer, cursor.gdn_head),
        "modes": lambda: components.modes(cursor.modes),
        "change": lambda: PassChange(window, cursor.changed),
    }
    return parts[cursor.part]()


def changed_window(boundary: BoundaryIndex, extent: Extent) -> int:
    """Return the window whose pass is meant: this one; before its first pass, the previous one."""
    return extent.slept(boundary.window - (boundary.sleep_pass == 0))


def actions(task: Task) -> dict[str, str]:
    """Return what can be done to a memory: a patch needs answers that another context gives."""
    missing = "other" if task.determined else "patch"
    return {text: name for name, text in ACTIONS.items() if name != missing}


def next_donor(examples: Examples, recipient: int) -> int:
    """Return the next example with other answers to the recipient's questions, or the next one."""
    count = len(examples.batch)
    order = [(recipient + step) % count for step in range(1, count)]
    return next((other for other in order if _tells(examples, recipient, other)), order[0])


def _tells(examples: Examples, recipient: int, donor: int) -> bool:
    """Return whether a donor's context answers the questions, at least one differently."""
    one = examples.one(recipient)
    try:
        swapped = swap_context(examples.checkpoint.task, one, examples.one(donor))
        questions(one, swapped, examples.sleep.window)
    except WorkbenchError:
        return False
    return True


def most_modes(examples: Examples) -> int:
    """Return how many singular modes every matrix of the model has."""
    states = next(iter(examples.boundaries.values())).memory.fast_weights.values()
    return min(min(state.shape[2:]) for state in states)


def unrelated_to(examples: Examples, recipient: int, donor: int) -> int:
    """Return the example whose memory is the control: the next that is neither."""
    count = len(examples.batch)
    order = ((donor + step) % count for step in range(1, count))
    return next(i for i in order if i not in (recipient, donor))


def result(cursor: InterventionCursor, examples: Examples) -> xr.Dataset:
    """Return what the change does, as `patch_pair` or `change_one` returns it.

    `WorkbenchError` if the pair does not fit, or the part does not exist at this boundary.
    """
    part, checkpoint = part_of(cursor, examples), examples.checkpoint
    boundary = (cursor.window, cursor.sleep_pass)
    if cursor.action == "patch":
        donor = cursor.donor
        assert donor is not None  # chosen when the reading was
        if donor == cursor.example:
            raise WorkbenchError(
                f"donor {donor}, which is the recipient", "another example", "choose another donor"
            )
        given = checkpoint.model, checkpoint.task, examples.batch, examples.sleep
        third = unrelated_to(examples, cursor.example, donor)
        three: dict[str, Any] = {"recipient": cursor.example, "donor": donor, "unrelated": third}
        return examples.ask(
            (cursor.example, donor, boundary, part.name),
            lambda: patch_pair(
                *given,
                **three,
                boundary=boundary,
                part=part,
                seed=cursor.seed,
                reading=examples.ask(("pair", *three.values()), lambda: read_pair(*given, **three)),
            ),
        )
    methods: dict[str, str | float] = {
        "zero": ZERO, "mean": MEAN, "other": OTHER, "scale": cursor.percent / 100,
    }  # fmt: skip
    method = methods[cursor.action]
    return examples.ask(
        (cursor.example, boundary, part.name, method),
        lambda: change_one(
            checkpoint.model,
            examples.batch,
            examples.sleep,
            example=cursor.example,
            boundary=boundary,
            part=part,
            method=method,
            seed=cursor.seed,
            reading=examples.boundaries,
        ),
    )


def asked_queries(examples: Examples, example: int) -> np.ndarray:
    """Return the numbers of the queries that an example has."""
    return np.flatnonzero(examples.batch.difficulty[example] >= 0)
