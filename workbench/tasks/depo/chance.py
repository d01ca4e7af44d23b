"""Scores of strategies that read none of Depo's edges."""

from __future__ import annotations

import numpy as np

from workbench.tasks.base import ChanceLine
from workbench.tasks.depo.earlier_answers import MOST_NODES, guess_from_earlier_answers
from workbench.tasks.depo.settings import DepoConfig, size_distribution

EARLIER = "guess from earlier answers"
"""Chance line of the best reader that sees the earlier answers of an example and no edge."""


def chance_lines(config: DepoConfig, drawn: np.ndarray) -> dict[str, ChanceLine]:
    """Return what can be scored without reading an edge.

    "uniform guess", "guess among other nodes" and, for rings of one size up to
    `earlier_answers.MOST_NODES` with one symbol a node and none held out, "guess from earlier
    answers": the upper bound for every reader that sees the earlier answers of an example but
    not its edges.

    A guess names a whole answer. `accuracy` pools all queries at k, as an evaluation does: a
    cycle of n nodes weighs p(n) times its number of queries; `first` weighs each cycle once.
    `exact` is the chance that an example's queries, each with its own random k, are all right.

    `config`: the settings; `drawn`: int64 [hop], what k is drawn from, with equal odds.
    """
    sizes, odds = size_distribution(config)
    queries = np.minimum(sizes, config.queries)
    weight = odds * queries / (odds * queries).sum()
    hops = drawn[:, None]

    def by_hops(values: np.ndarray) -> dict[int, float]:
        return dict(sorted(zip(drawn.tolist(), values.tolist(), strict=True)))

    uniform = np.broadcast_to(1.0 / sizes, (len(hops), len(sizes)))
    others = np.where(hops % sizes == 0, 1.0, 1.0 / (sizes - 1))
    lines = []
    for name, meaning, right in (
        ("uniform guess", "One of the cycle's n nodes, with equal odds.", uniform),
        (
            "guess among other nodes",
            "The start node itself where k is a multiple of n, else one of the n - 1 other nodes "
            "with equal odds: the best guess that reads neither edges nor earlier answers.",
            others,
        ),
    ):
        exact = float((odds * right.mean(axis=0) ** queries).sum())
        lines.append(
            ChanceLine(name, meaning, by_hops(right @ weight), exact, by_hops(right @ odds))
        )
    whole = config.held_out is None and not config.isolated and config.names == "single"
    if whole and len(sizes) == 1 and sizes[0] <= MOST_NODES:
        found = guess_from_earlier_answers(int(sizes[0]), int(queries[0]), tuple(drawn.tolist()))
        meaning = (
            "The most frequent answer among all rings that agree with the earlier answers of the "
            "same example: the best guess that reads those and no edges."
        )
        accuracy, first = by_hops(found.accuracy.mean(0)), by_hops(found.accuracy[0])
        lines.append(ChanceLine(EARLIER, meaning, accuracy, found.exact, first, True))
    return {line.name: line for line in lines}
