"""Reading Depo input that a person typed: edges that form one cycle, and queries ``k:node``."""

from __future__ import annotations

import re
from collections.abc import Collection, Container
from itertools import islice

from workbench.errors import WorkbenchError


def cycle(text: str, names: Collection[str], *, most: int) -> dict[str, str]:
    """Return source -> target of the typed edges, checked to be one directed cycle.

    `text`: edges such as ``0>3 3>5 5>0``; `names`: names that a node can have; `most`: largest
    number of nodes. Raises WorkbenchError: not edges, an unknown name, a node with two successors
    or two predecessors or none, two or more separate cycles, or too few or too many nodes.
    """
    edges = re.split(r"[\s,;]+", re.sub(r"\s*(?:->|>|→)\s*", ">", text).strip(" \t\r\n,;"))
    if edges == [""]:
        raise WorkbenchError("no edges", "edges that form a cycle", "type for example 0>3 3>5 5>0")
    successor: dict[str, str] = {}
    predecessor: dict[str, str] = {}
    for edge in edges:
        ends = edge.split(">")
        if len(ends) != 2 or not all(ends):
            raise WorkbenchError(
                f"{edge!r} is not an edge", "two nodes joined by >", "write for example 0>3"
            )
        for node in ends:
            if node not in names:
                raise WorkbenchError(
                    f"unknown node {node!r} in {edge!r}",
                    f"a name of this task, for example {', '.join(islice(names, 3))}",
                    "rename the node",
                )
        source, target = ends
        if source in successor:
            raise WorkbenchError(
                f"node {source} has two successors, {successor[source]} and {target}",
                "one edge out of every node",
                f"remove {source}>{successor[source]} or {edge}",
            )
        if target in predecessor:
            raise WorkbenchError(
                f"node {target} has two predecessors, {predecessor[target]} and {source}",
                "one edge into every node",
                f"remove {predecessor[target]}>{target} or {edge}",
            )
        successor[source], predecessor[target] = target, source
    for node in [*predecessor, *successor]:
        if node not in successor or node not in predecessor:
            missing = "out of" if node not in successor else "into"
            raise WorkbenchError(
                f"there is no edge {missing} node {node}", "a closed cycle", "add that edge"
            )
    sizes = _cycle_sizes(successor)
    if len(sizes) > 1:
        raise WorkbenchError(
            f"the edges form {len(sizes)} separate cycles of {', '.join(map(str, sizes))} nodes",
            "one cycle through all nodes",
            "swap the targets of two edges in different cycles",
        )
    if not 3 <= len(successor) <= most:
        raise WorkbenchError(
            f"{len(successor)} nodes",
            f"3 to {most} nodes",
            "add nodes" if len(successor) < 3 else "remove nodes, or use a larger task",
        )
    return successor


def queries(text: str, nodes: Container[str], *, max_hops: int, most: int) -> list[tuple[int, str]]:
    """Return the typed queries as (k, start node).

    `text`: queries such as ``2:0, 3:5``; a node may be asked about more than once. `nodes`: the
    cycle's nodes. `max_hops`: largest k. `most`: largest number of queries. Raises WorkbenchError:
    no query, not ``k:node``, k out of range, an unknown node, or too many queries.
    """
    found = re.split(r"[\s,;]+", re.sub(r"\s*:\s*", ":", text).strip(" \t\r\n,;"))
    if found == [""]:
        raise WorkbenchError("no queries", "at least one query k:node", "type for example 2:0")
    pairs = []
    for query in found:
        match = re.fullmatch(r"(?:k=)?(\d+):(\w+)", query)
        if not match:
            raise WorkbenchError(
                f"{query!r} is not a query", "k:node", "write for example 2:0 (2 steps from 0)"
            )
        hops, node = int(match[1]), match[2]
        if not 1 <= hops <= max_hops:
            raise WorkbenchError(
                f"k = {hops} in {query!r}", f"k in 1..{max_hops}", "choose another k"
            )
        if node not in nodes:
            raise WorkbenchError(
                f"node {node!r} in {query!r} is not on the cycle", "one of its nodes", "rename it"
            )
        pairs.append((hops, node))
    if len(pairs) > most:
        raise WorkbenchError(
            f"{len(pairs)} queries", f"at most {most}", "remove some, or use a larger task"
        )
    return pairs


def _cycle_sizes(successor: dict[str, str]) -> list[int]:
    """Return the lengths of the cycles of a permutation, longest first."""
    sizes, left = [], dict(successor)
    while left:
        node, size = next(iter(left)), 0
        while node in left:
            node, size = left.pop(node), size + 1
        sizes.append(size)
    return sorted(sizes, reverse=True)
