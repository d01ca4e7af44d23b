"""What a probe looks for in a memory: exact answers about every node and every cell.

A task's `probe_targets` reads a batch and returns one `ProbeTarget` per number of hops or steps:
for each item (a node, a cell) of each example the right class, worked out by the task's own rules.
No model is known here. Source of the control task that `kinds` serves: Hewitt and Liang, "Designing
and Interpreting Probes with Control Tasks" (arXiv 1909.03368).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError

BY_ITEM = ("labels", "kinds", "asked_by", "read_at")
"""Fields of a target with a number for each item of each example."""


@dataclass(frozen=True)
class ProbeTarget:
    """One question about every item of every example, with its answers."""

    name: str
    """Short label: "2 hops", "after 4 steps"."""
    level: int
    """Hops k, or steps t'; the task's difficulty axis, and 0 where nothing has to be worked out."""
    labels: np.ndarray
    """int64 [example, item]: index of the right class; -1 where an example has no such item."""
    classes: tuple[str, ...]
    """Text of each class."""
    items: tuple[str, ...]
    """Name of each item."""
    kinds: np.ndarray | None
    """int64 [example, item]: type of the input that the item is made of, 0 and up, for the
    control task: a probe can learn a random label for each type by heart. -1
    where there is no item; None where the input has no types."""
    asked_by: np.ndarray
    """int64 [example, item]: the query that asks about this item, at whatever difficulty; -1
    where none does."""
    symbols: np.ndarray
    """int64 [class]: id of the first token with which a query is answered that asks for this
    class."""
    meaning: str
    """The question in one sentence."""
    read_at: np.ndarray | None = None
    """int64 [example, item]: place in the sequence of the last token that the item's input is
    read from; -1 where there is no item. None: the input is known once the whole context has
    been read."""

    def __post_init__(self) -> None:
        shape = (len(self.labels), len(self.items))
        for name in BY_ITEM:
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(
                    f"ProbeTarget.{name} has shape {array.shape}; expected "
                    f"[example, item] = {shape}"
                )
        if self.symbols.shape != (len(self.classes),):
            raise ValueError(
                f"ProbeTarget.symbols has shape {self.symbols.shape}; expected [class] = "
                f"{(len(self.classes),)}"
            )

    def of_items(self, names: Sequence[str]) -> ProbeTarget:
        """Return the same question about some of the items only, in the order of `names`.

        Raises WorkbenchError: there is no such item.
        """
        if unknown := [name for name in names if name not in self.items]:
            raise WorkbenchError(
                f"item {unknown[0]!r}",
                f"one of {', '.join(self.items[:8])}{' ...' if len(self.items) > 8 else ''}",
                "choose items of this target",
            )
        index = [self.items.index(name) for name in names]
        return self._changed(lambda array: array[:, index], items=tuple(names))

    def of_examples(self, index: slice | np.ndarray) -> ProbeTarget:
        """Return the same question about some of the examples only."""
        return self._changed(lambda array: array[index])

    def where(self, mask: np.ndarray, **changes: Any) -> ProbeTarget:
        """Return the question about the items in `mask` alone, with other fields changed too."""
        return self._changed(lambda array: np.where(mask, array, -1), **changes)

    def _changed(self, change: Callable[[np.ndarray], np.ndarray], **fields: Any) -> ProbeTarget:
        for name in BY_ITEM:
            array = getattr(self, name)
            fields[name] = None if array is None else change(array)
        return replace(self, **fields)
