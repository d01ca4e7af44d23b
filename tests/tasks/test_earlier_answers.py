"""The best guess from earlier answers, against plain enumeration of rings and examples."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest

from workbench.tasks import batch_generator, task
from workbench.tasks.depo.earlier_answers import guess_from_earlier_answers


def all_rings(nodes):
    """Every ring as a dict from a node to the next."""
    for rest in permutations(range(1, nodes)):
        order = (0, *rest)
        yield dict(zip(order, order[1:] + order[:1], strict=True))


def walk(ring, node, k):
    for _ in range(k):
        node = ring[node]
    return node


def by_enumeration(nodes, queries, hops):
    """Return [query, hop] and the share of examples that are right throughout, from every example.

    One ring, every sequence of queries (names are exchangeable); a posterior is a count of rings.
    """
    rings = list(all_rings(nodes))
    truth = rings[0]
    right = np.zeros((queries, len(hops)))
    every, examples = 0.0, 0
    for starts in permutations(range(nodes), queries):
        for ks in product(range(len(hops)), repeat=queries):
            possible, chance = rings, 1.0
            for number, (start, j) in enumerate(zip(starts, ks, strict=True)):
                votes = Counter(walk(ring, start, hops[j]) for ring in possible)
                answer, most = walk(truth, start, hops[j]), max(votes.values())
                hit = (votes[answer] == most) / list(votes.values()).count(most)
                right[number, j] += hit
                chance *= hit
                possible = [r for r in possible if walk(r, start, hops[j]) == answer]
            every += chance
            examples += 1
    return right * len(hops) / examples, every / examples


@pytest.mark.parametrize(
    ("nodes", "queries", "hops"),
    [(3, 3, (1, 2)), (4, 4, (1, 2)), (4, 3, (1, 3, 4)), (5, 3, (1, 2, 3)), (5, 4, (2,))],
)
def test_the_score_is_that_of_every_example_counted_out(nodes, queries, hops):
    found = guess_from_earlier_answers(nodes, queries, hops)
    accuracy, exact = by_enumeration(nodes, queries, hops)
    np.testing.assert_allclose(found.accuracy, accuracy, atol=1e-12)
    assert found.exact == pytest.approx(exact, abs=1e-12)


def test_the_last_edge_of_a_ring_follows_from_the_others():
    """Asked for every next node in turn: 1 / 3, then what is left; the last two are certain."""
    found = guess_from_earlier_answers(4, 4, (1,))
    assert found.accuracy[0, 0] == pytest.approx(1 / 3)
    assert found.accuracy[3, 0] == pytest.approx(1)


def test_the_guess_is_a_chance_line_of_small_rings_alone():
    small = task("depo", nodes=5, names="single", max_hops=3, queries=4)
    line = small.chance()["guess from earlier answers"]
    found = guess_from_earlier_answers(5, 4, (1, 2, 3))
    assert list(line.accuracy) == [1, 2, 3]
    np.testing.assert_allclose(list(line.accuracy.values()), found.accuracy.mean(axis=0))
    np.testing.assert_allclose(list(line.first.values()), 1 / 4)  # nothing is known at first
    for settings in ({"nodes": 9}, {"n_dist": "uniform"}, {"names": "depo1"}):
        other = task("depo", **{"nodes": 5, "names": "single", "max_hops": 3, **settings})
        assert "guess from earlier answers" not in other.chance()


def test_on_sampled_examples_a_guesser_scores_what_the_line_says():
    """Rings filtered example by example, on what the task draws (not on what it is said to)."""
    made = task("depo", nodes=6, names="single", max_hops=3, queries=6, predict_ans=False)
    batch = made.sample(300, batch_generator(3, 0))
    rings = np.array([(0, *rest) for rest in permutations(range(1, 6))])  # node at each place
    place = np.argsort(rings, axis=1)
    right = np.zeros(batch.difficulty.shape)
    names = len(made.vocabulary) - 6
    for row, tokens in enumerate(batch.tokens[:, made.context_tokens :].reshape(300, 6, 4) - names):
        possible = np.ones(len(rings), dtype=bool)
        for number, (_, start, _, answer) in enumerate(tokens):
            k = int(batch.difficulty[row, number])
            votes = rings[np.arange(len(rings)), (place[:, start] + k) % 6]
            counts = np.bincount(votes[possible], minlength=6)
            right[row, number] = counts.max() / possible.sum()  # what the best guess can expect
            possible &= votes == answer
    for k, expected in made.chance()["guess from earlier answers"].accuracy.items():
        asked = right[batch.difficulty == k]
        error = asked.std() / np.sqrt(len(asked))
        assert abs(asked.mean() - expected) < 4 * error
