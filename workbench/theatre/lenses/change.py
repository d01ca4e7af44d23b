"""One change of one example's S, and the examples that it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import BoundaryIndex, of_examples
from workbench.instruments.controls import CHANGED, PATCH, RANDOM, UNRELATED
from workbench.instruments.interventions import (
    MEAN,
    OTHER,
    ZERO,
    Part,
    PassChange,
    Reading,
    ablated,
    component_of,
    exchanged,
)
from workbench.instruments.patching import components
from workbench.instruments.patching.context_swaps import questions, swap_context
from workbench.instruments.patching.pairs import read_pair
from workbench.sleep import Boundary
from workbench.theatre.lenses.examples import Examples

METHODS: Final = {"zero": ZERO, "mean": MEAN, "other": OTHER}
"""How a part is erased or exchanged, by the name of the action."""


@dataclass(frozen=True)
class Change:
    """One change of one example's S.

    - action ({"patch", "zero", "mean", "other", "scale"}), part ({"whole", "layer", "head",
      "modes", "change"}): as `words.ACTIONS` and `words.PARTS` explain them.
    - layer: an index in the stack. modes, changed, percent: what the part or action needs.
    - donor: whose S is given, in a patch. way ({"noise", "denoise"}): whose reading is changed.
    """

    example: int
    boundary: BoundaryIndex
    action: str
    part: str
    layer: int
    head: int
    modes: int
    changed: int
    percent: int
    donor: int
    way: str

    @property
    def patched(self) -> bool:
        """Whether the part is exchanged with a donor's."""
        return self.action == "patch"

    @property
    def method(self) -> str | float:
        """How the part is erased, exchanged or scaled, where there is no donor."""
        return METHODS.get(self.action, self.percent / 100)

    @property
    def compared(self) -> tuple[str, str]:
        """Names of the memory after the change, and of its control."""
        return (PATCH, UNRELATED) if self.patched else (CHANGED, RANDOM)


def part_of(examples: Examples, change: Change) -> Part:
    """Return the part of S that is changed."""
    parts: dict[str, Callable[[], Part]] = {
        "whole": components.whole,
        "layer": lambda: components.layer(change.layer),
        "head": lambda: components.head(change.layer, change.head),
        "modes": lambda: components.modes(change.modes),
        "change": lambda: PassChange(changed_window(examples, change.boundary), change.changed),
    }
    return parts[change.part]()


def changed_window(examples: Examples, boundary: BoundaryIndex) -> int:
    """Return the reading whose pass is meant: this one; before its first pass, the one before."""
    return examples.slept(boundary[0] - (boundary[1] == 0))


def next_donor(examples: Examples, recipient: int) -> int:
    """Return the next example with other answers to the recipient's questions, or the next one."""
    count = len(examples.batch)
    order = [(recipient + step) % count for step in range(1, count)]

    def tells(donor: int) -> bool:
        one, other = (examples.batch.examples(slice(i, i + 1)) for i in (recipient, donor))
        try:
            questions(one, swap_context(examples.task, one, other), examples.sleep.window)
        except WorkbenchError:
            return False
        return True

    return int(examples.ask("donor", recipient, lambda: next(filter(tells, order), order[0])))


def three_of(examples: Examples, change: Change) -> dict[str, int]:
    """Return recipient, donor, and the next that is neither: its memory is the control."""
    pair, count = (change.example, change.donor), len(examples.batch)
    order = ((change.donor + step) % count for step in range(1, count))
    unrelated = next(i for i in order if i not in pair)
    return {"recipient": change.example, "donor": change.donor, "unrelated": unrelated}


def changed_boundary(examples: Examples, change: Change) -> Boundary:
    """Return the boundary of the recipient's reading with S changed.

    Raises WorkbenchError: the pair does not fit, or the part does not exist at this boundary.
    """
    part, alone = part_of(examples, change), slice(change.example, change.example + 1)
    here = of_examples(examples.boundaries[change.boundary], alone)
    if change.patched:
        reading = pair_of(examples, change)
        own, other = (
            {i: of_examples(b, slice(n, n + 1)) for i, b in reading.items()} for n in (0, 1)
        )
        return here.with_memory(exchanged(part, change.boundary, own, other))
    memory = examples.boundaries[change.boundary].memory
    component = component_of(part, examples.boundaries, change.boundary)
    changed = ablated(memory, component, change.method)
    return here.with_memory(changed.examples(alone))


def pair_of(examples: Examples, change: Change) -> Reading:
    """Return the readings of the recipient, the donor and the control, as `read_pair` does."""
    three = three_of(examples, change)

    def read() -> Reading:
        model, task = examples.checkpoint.model, examples.task
        return read_pair(model, task, examples.batch, examples.sleep, **three)

    return examples.ask("pair", tuple(three.values()), read)
