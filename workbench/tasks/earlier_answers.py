"""How well Depo's queries can be answered from the earlier answers alone, without any edge.

An answer to ``k, q`` says where two nodes stand relative to each other on the ring, so a reader
that sees the right answers to earlier queries can rule rings out. The best such guesser names the
most frequent answer among all rings that agree with what it has seen. Its score is exact: every
ring and every order of queries is enumerated, which is feasible for small rings alone.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np

MOST_NODES = 8
"""Largest ring that is enumerated: 5,040 rings, within seconds."""

Placed = tuple[int, ...]
"""For each node, the smallest node whose distance to it along the ring is known."""


class EarlierAnswers(NamedTuple):
    """Scores of the guesser.

    Attributes
    ----------
    accuracy : ndarray
        float64 [query, hop]: chance that it is right, by place of the query and by k.
    exact : float
        Chance that it is right about every query of an example.
    """

    accuracy: np.ndarray
    exact: float


@lru_cache(maxsize=32)
def guess_from_earlier_answers(nodes: int, queries: int, hops: tuple[int, ...]) -> EarlierAnswers:
    """Return how well the best guesser does that reads earlier answers and no edges.

    Rings are uniform over all orders of `nodes` named nodes; queries start at distinct nodes in
    random order, each with k drawn from `hops` with equal odds.

    Parameters
    ----------
    nodes : int
        3 .. `MOST_NODES`.
    queries : int
        At most `nodes`.
    hops : tuple of int
        Every k that can be asked.
    """
    rings = _Rings(nodes, hops)
    accuracy = np.zeros((queries, len(hops)))
    # Names are exchangeable: let the true ring be 0 -> 1 -> ... -> 0, and the first query start
    # at 0. A state is which nodes have been asked (as bits) and what is known; it holds its
    # probability, alone and jointly with every guess so far having been right.
    states: dict[tuple[int, Placed], tuple[float, float]]
    states = {(0, tuple(range(nodes))): (1.0, 1.0)}
    for query in range(queries):
        after: dict[tuple[int, Placed], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for (asked, placed), (weight, all_right) in states.items():
            best, right = rings.guess(placed)
            starts = [q for q in range(nodes) if not asked >> q & 1] if query else [0]
            accuracy[query] += weight * best[:, starts].mean(axis=1)
            share = 1 / (len(starts) * len(hops))
            for q in starts:
                for number, k in enumerate(hops):
                    entry = after[asked | 1 << q, _joined(placed, q, (q + k) % nodes)]
                    entry[0] += weight * share
                    entry[1] += all_right * share * right[number, q]
        states = {key: (entry[0], entry[1]) for key, entry in after.items()}
    return EarlierAnswers(accuracy, sum(all_right for _, all_right in states.values()))


class _Rings:
    """Every ring of named nodes, and what remains possible of them."""

    def __init__(self, nodes: int, hops: tuple[int, ...]) -> None:
        self.nodes, self.hops = nodes, np.array(hops)
        orders = [(0, *rest) for rest in permutations(range(1, nodes))]
        node_at = np.array(orders, dtype=np.int8)  # [ring, position]
        self.position = np.argsort(node_at, axis=1).astype(np.int8)  # [ring, node]
        steps = (self.position[None] + self.hops[:, None, None]) % nodes
        self.answer = np.take_along_axis(node_at[None], steps, axis=2)  # [hop, ring, start]
        self._known: dict[Placed, tuple[np.ndarray, np.ndarray]] = {}

    def guess(self, placed: Placed) -> tuple[np.ndarray, np.ndarray]:
        """Return [hop, start]: how likely the best guess is right, and right about the true ring.

        Equally likely answers are chosen among at random.
        """
        if placed not in self._known:
            node = np.arange(self.nodes)
            root = np.array(placed)
            apart = (self.position - self.position[:, root]) % self.nodes
            possible = (apart == (node - root) % self.nodes).all(axis=1)
            answer = self.answer[:, possible]
            votes = (answer[..., None] == node).sum(axis=1)  # [hop, start, answer]
            most = votes.max(axis=2)
            true = (node + self.hops[:, None]) % self.nodes
            hit = np.take_along_axis(votes, true[..., None], axis=2)[..., 0] == most
            ties = (votes == most[..., None]).sum(axis=2)
            self._known[placed] = most / possible.sum(), hit / ties
        return self._known[placed]


def _joined(placed: Placed, a: int, b: int) -> Placed:
    """Return what is known once the distance from `a` to `b` is."""
    keep, drop = sorted((placed[a], placed[b]))
    return tuple(keep if root == drop else root for root in placed)
