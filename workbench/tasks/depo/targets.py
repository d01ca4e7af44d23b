"""The questions that probes answer about Depo's nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.tasks.phrases import counted
from workbench.tasks.targets import ProbeTarget


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

    `successor`: int64 [example, node], index of each node's direct successor; -1 where an example
    has no such node. `levels`: numbers of hops, 1 and up. `names`: name of each node. `symbols`:
    int64 [node], id of the first token of each name. `asked_by`: int64 [example, node], the query
    that starts at the node; -1 where none does. `read_at`: int64 [example, node], place of the last
    token of the edge that leaves the node.
    """
    here, hops = successor, 1
    targets = []
    for level in sorted(levels):
        for _ in range(level - hops):
            here = np.where(here < 0, -1, np.take_along_axis(successor, here, axis=1))
        hops = level
        words = counted(level, "hop")
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
