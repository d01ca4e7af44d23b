"""What a probe is asked to find in a memory: exact answers about every node and every cell.

A task's `probe_targets` reads a batch and returns one `ProbeTarget` per number of hops or steps:
for each item (a node, a cell) of each example the right class, worked out by the task's own rules.
No model is known here. Source of the control task that `kinds` serves: Hewitt and Liang, "Designing
and Interpreting Probes with Control Tasks" (arXiv 1909.03368).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import WorkbenchError
from workbench.tasks.phrases import level_words

# New cell for the neighbourhood 4 left + 2 centre + right: 0 for 000, 100 and 111, else 1.
RULE_110 = np.array([0, 1, 1, 1, 0, 1, 1, 0], dtype=np.int8)


@dataclass(frozen=True)
class ProbeTarget:
    """One question about every item of every example, with its answers.

    Attributes
    ----------
    name : str
        Short label: "2 hops", "after 4 steps".
    level : int
        Hops k, or steps t'; the task's difficulty axis, and 0 where nothing has to be worked out.
    labels : int64 [example, item]
        Index of the right class; -1 where an example has no such item.
    classes : tuple of str
        Text of each class.
    items : tuple of str
        Name of each item.
    kinds : int64 [example, item] or None
        Type of the input that the item is made of, 0 and up, for the control task: a random label
        for each type is no more than a probe can learn by heart. -1 where there is no item; None
        where the input has no types.
    asked_by : int64 [example, item]
        The query that asks about this item, at whatever difficulty; -1 where none does.
    symbols : int64 [class]
        Id of the first token with which a query is answered that asks for this class.
    meaning : str
        The question in one sentence.
    read_at : int64 [example, item] or None
        Place in the sequence of the last token that the item's input is read from; -1 where there
        is no item. None: the input is known once the whole context has been read.
    """

    name: str
    level: int
    labels: np.ndarray
    classes: tuple[str, ...]
    items: tuple[str, ...]
    kinds: np.ndarray | None
    asked_by: np.ndarray
    symbols: np.ndarray
    meaning: str
    read_at: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.labels), len(self.items))
        for name in ("labels", "kinds", "asked_by", "read_at"):
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

        Raises
        ------
        WorkbenchError
            There is no such item.
        """
        if unknown := [name for name in names if name not in self.items]:
            raise WorkbenchError(
                f"item {unknown[0]!r}",
                f"one of {', '.join(self.items[:8])}{' ...' if len(self.items) > 8 else ''}",
                "choose items of this target",
            )
        index = [self.items.index(name) for name in names]
        return replace(
            self,
            labels=self.labels[:, index],
            kinds=None if self.kinds is None else self.kinds[:, index],
            read_at=None if self.read_at is None else self.read_at[:, index],
            asked_by=self.asked_by[:, index],
            items=tuple(names),
        )

    def of_examples(self, index: slice | np.ndarray) -> ProbeTarget:
        """Return the same question about some of the examples only."""
        return replace(
            self,
            labels=self.labels[index],
            kinds=None if self.kinds is None else self.kinds[index],
            read_at=None if self.read_at is None else self.read_at[index],
            asked_by=self.asked_by[index],
        )


def hop_targets(
    successor: np.ndarray,
    levels: Sequence[int],
    *,
    names: tuple[str, ...],
    symbols: np.ndarray,
    asked_by: np.ndarray,
    read_at: np.ndarray | None = None,
) -> list[ProbeTarget]:
    """Return the k-hop successor of every node, for every k in `levels`.

    Parameters
    ----------
    successor : int64 [example, node]
        Index of each node's direct successor; -1 where an example has no such node.
    levels : sequence of int
        Numbers of hops, 1 and up.
    names : tuple of str
        Name of each node.
    symbols : int64 [node]
        Id of the first token of each name.
    asked_by : int64 [example, node]
        The query that starts at the node; -1 where none does.
    read_at : int64 [example, node] or None
        Place of the last token of the edge that leaves the node.
    """
    here, hops = successor, 1
    targets = []
    for level in sorted(levels):
        for _ in range(level - hops):
            here = np.where(here < 0, -1, np.take_along_axis(successor, here, axis=1))
        hops = level
        words = level_words(level, "hops")
        meaning = f"Which node is {words} after the named one along the cycle?"
        targets.append(
            ProbeTarget(
                name=words,
                level=level,
                labels=here,
                classes=names,
                items=names,
                kinds=successor,
                asked_by=asked_by,
                symbols=symbols,
                meaning=meaning,
                read_at=read_at,
            )
        )
    return targets


def cell_targets(
    cells: np.ndarray, rollout: int, *, background: bool, asked_by: np.ndarray
) -> list[ProbeTarget]:
    """Return every cell of every string after 0, 1, ..., `rollout` steps of Rule 110.

    Parameters
    ----------
    cells : int [example, string, cell]
        The strings at the start.
    rollout : int
        The last step.
    background : bool
        The string lies on an infinite line of zeros; else it is a ring.
    asked_by : int64 [example, item]
        The query that asks about the cell; items are the strings' cells one string after another.
    """
    count, strings, width = cells.shape
    single = strings == 1
    items = tuple(
        f"cell {cell}" if single else f"string {string}, cell {cell}"
        for string in range(strings)
        for cell in range(width)
    )
    state = cells.astype(np.int8)
    margin = rollout + 1 if background else 0  # one step spreads by one cell
    state = np.pad(state, ((0, 0), (0, 0), (margin, margin)))
    shown = slice(margin, margin + width)
    start = _neighbourhoods(state)[..., shown].reshape(count, -1).astype(np.int64)
    read_at = np.tile(_last_neighbour(strings, width, background).reshape(-1), (count, 1))
    targets = []
    for step in range(rollout + 1):
        if step:
            state = RULE_110[_neighbourhoods(state)]
        words = level_words(step, "rollout")
        targets.append(
            ProbeTarget(
                name=f"after {words}",
                level=step,
                labels=state[..., shown].reshape(count, -1).astype(np.int64),
                classes=("0", "1"),
                items=items,
                kinds=start,
                asked_by=asked_by,
                symbols=np.arange(2),  # the bits are their own ids
                meaning=f"What is the cell after {words} of Rule 110?",
                read_at=read_at,
            )
        )
    return targets


def _neighbourhoods(cells: np.ndarray) -> np.ndarray:
    """Return 4 left + 2 centre + right of every cell of a ring, int8 [..., cell]."""
    left, right = np.roll(cells, 1, axis=-1), np.roll(cells, -1, axis=-1)
    return 4 * left + 2 * cells + right


def _last_neighbour(strings: int, width: int, background: bool) -> np.ndarray:
    """Return the place of the last token of each cell's neighbourhood, int64 [string, cell]."""
    cell = np.arange(width)
    if background:
        last = np.minimum(cell + 1, width - 1)
    else:
        last = np.max([(cell + step) % width for step in (-1, 0, 1)], axis=0)
    return np.arange(strings)[:, None] * width + last
