"""How well Depo's queries can be answered from the earlier answers alone, without any edge.

An answer to ``k, q`` says where two nodes stand relative to each other on the ring, so a reader
that sees the right answers to earlier queries can rule rings out. The best such guesser names the
most frequent answer among all rings that agree with what it has seen. Its score is exact: every
ring and every order of queries is enumerated, which is feasible for small rings alone.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np

MOST_NODES = 8
"""Largest ring that is enumerated: 5,040 rings, within seconds."""


class EarlierAnswers(NamedTuple):
    """Scores of the guesser."""

    accuracy: np.ndarray
    """float64 [query, hop]: chance that it is right, by place of the query and by k."""
    exact: float
    """Chance that it is right about every query of an example."""


@lru_cache(maxsize=32)
def guess_from_earlier_answers(nodes: int, queries: int, hops: tuple[int, ...]) -> EarlierAnswers:
    """Return how well the best guesser does that reads earlier answers and no edges.

    Rings are uniform over all orders of `nodes` named nodes; queries start at distinct nodes in
    random order, each with k drawn from `hops` with equal odds.

    `nodes`: 3 .. `MOST_NODES`. `queries`: at most `nodes`. `hops`: every k that can be asked.
    """
    # Names are exchangeable: let the true ring be 0 -> 1 -> ... -> 0, and the first query start
    # at 0. What is known is which nodes stand at a known distance from each other: `placed` holds
    # for each node the smallest such node. A state is that and which nodes have been asked (as
    # bits); it has a probability, alone and jointly with every guess so far having been right.
    rings = _Rings(nodes, hops)
    accuracy = np.zeros((queries, len(hops)))
    asked, placed = np.zeros(1, dtype=np.int64), np.arange(nodes)[None]
    weight: np.ndarray = np.ones(1)
    all_right: np.ndarray = np.ones(1)
    for query in range(queries):
        best, right, after = rings.guesses(placed)
        asked_before, before = asked, (weight, all_right)
        keys, weights, rights = [], [], []
        for start in range(nodes) if query else [0]:
            open_ = (asked_before >> start & 1) == 0
            share = 1 / (nodes - query) if query else 1.0
            accuracy[query] += (before[0][open_, None] * best[open_, :, start]).sum(0) * share
            share /= len(hops)
            for hop in range(len(hops)):
                code = (asked_before[open_] | 1 << start) * nodes**nodes + after[open_, hop, start]
                keys.append(code)
                weights.append(before[0][open_] * share)
                rights.append(before[1][open_] * right[open_, hop, start] * share)
        found, where = np.unique(np.concatenate(keys), return_inverse=True)
        weight = np.bincount(where, np.concatenate(weights))
        all_right = np.bincount(where, np.concatenate(rights))
        asked, placed = found // nodes**nodes, _decoded(found % nodes**nodes, nodes)
    return EarlierAnswers(accuracy, float(all_right.sum()))


class _Rings:
    """Every ring of named nodes, and what remains possible of them."""

    def __init__(self, nodes: int, hops: tuple[int, ...]) -> None:
        self.nodes, self.hops = nodes, np.array(hops)
        orders = [(0, *rest) for rest in permutations(range(1, nodes))]
        node_at = np.array(orders, dtype=np.int8)  # [ring, position]
        self.position = np.argsort(node_at, axis=1).astype(np.int8)  # [ring, node]
        steps = (self.position[None] + self.hops[:, None, None]) % nodes
        self.answer = np.take_along_axis(node_at[None], steps, axis=2)  # [hop, ring, start]
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def guesses(self, placed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what the best guesser does in each state, all ``[state, hop, start]``.

        How likely it is right; how likely it is right about the true ring, where equally likely
        answers are chosen among at random; and what is known afterwards, encoded.

        `placed`: int ``[state, node]``.
        """
        nodes, node = self.nodes, np.arange(self.nodes)
        codes, one, where = np.unique(_encoded(placed), return_index=True, return_inverse=True)
        placed = placed[one]
        # a turn of the whole ring changes nothing but the names: one of each orbit is worked out
        turned = np.stack([_turned(placed, by) for by in range(nodes)], axis=1)
        orbit = _encoded(turned)
        by = orbit.argmin(axis=1)
        shape = (len(codes), len(self.hops), nodes)
        best, right = np.empty(shape), np.empty(shape)
        for row, turn in enumerate(by.tolist()):
            found = self._guess(int(orbit[row, turn]), turned[row, turn])
            moved = (node + turn) % nodes
            best[row], right[row] = found[0][:, moved], found[1][:, moved]
        # joining a start with its answer
        ends = np.stack([placed[:, (node + k) % nodes] for k in self.hops], axis=1)
        starts = np.broadcast_to(placed[:, None], ends.shape)
        keep, drop = np.minimum(starts, ends)[..., None], np.maximum(starts, ends)[..., None]
        everything = placed[:, None, None]
        after = _encoded(np.where(everything == drop, keep, everything))
        return best[where], right[where], after[where]

    def _guess(self, code: int, placed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first two of `guesses` for one state, [hop, start]."""
        if code not in self._known:
            node = np.arange(self.nodes)
            apart = (self.position - self.position[:, placed]) % self.nodes
            possible = (apart == (node - placed) % self.nodes).all(axis=1)
            answer = self.answer[:, possible]
            votes = (answer[..., None] == node).sum(axis=1)  # [hop, start, answer]
            most = votes.max(axis=2)
            true = (node + self.hops[:, None]) % self.nodes
            hit = np.take_along_axis(votes, true[..., None], axis=2)[..., 0] == most
            ties = (votes == most[..., None]).sum(axis=2)
            self._known[code] = most / possible.sum(), hit / ties
        return self._known[code]


def _encoded(placed: np.ndarray) -> np.ndarray:
    """Return what is known as a number, int64 [...] from [..., node]."""
    nodes = placed.shape[-1]
    return (placed * nodes ** np.arange(nodes)).sum(axis=-1)


def _decoded(codes: np.ndarray, nodes: int) -> np.ndarray:
    """Return what `_encoded` was given, [state, node]."""
    return codes[:, None] // nodes ** np.arange(nodes) % nodes


def _turned(placed: np.ndarray, by: int) -> np.ndarray:
    """Return what is known with node i renamed i + by, [state, node]."""
    moved = np.roll(placed, by, axis=1)
    return (moved[:, :, None] == moved[:, None, :]).argmax(axis=2)  # the smallest of its kind
