"""Depo: answers, layout, distributions, chance lines and typed input."""

from itertools import permutations as orders_of

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.tasks import EVALUATION, TRAIN, batch_generator, draw, task
from workbench.tasks.base import few_examples_note, repeated_share
from workbench.tasks.depo.names import make_words, permutations
from workbench.tasks.depo.settings import rings_held_out

SMALL = {"nodes": 4, "names": "single", "max_hops": 5, "queries": 3}


def fits(counts, expected):
    """Say whether chi-square lies within five standard deviations of its mean."""
    freedom = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    return chi_square < freedom + 5 * np.sqrt(2 * freedom)


def test_the_best_guess_goes_by_the_examples_own_size():
    """On a ring of 3, k = 3 leads back to the start and anything else is one of two nodes."""
    made = task("depo", nodes=8, max_hops=4, names="single", queries=8)
    batch = made.parse("0>1 1>2 2>0", "1:0, 2:1, 3:2, 4:0")
    assert made.cycle_sizes(batch).tolist() == [3]
    guess = made.best_guess(batch)
    np.testing.assert_array_equal(guess, [[0.5, 0.5, 1, 0.5, np.nan, np.nan, np.nan, np.nan]])


def test_three_nodes_by_hand():
    made = task("depo", nodes=3, names="single", max_hops=4, queries=3)
    batch = made.parse("2>0 0>1 1>2", "1:2, 2:2, 4:0")
    expected = "2 0 0 1 1 2 k=1 2 ANS 0 k=2 2 ANS 1 k=4 0 ANS 1"
    assert " ".join(made.render(batch, 0)) == expected
    np.testing.assert_array_equal(batch.difficulty, [[1, 2, 4]])
    np.testing.assert_array_equal(batch.loss_mask[0, 6:].reshape(3, 4), [[0, 0, 1, 1]] * 3)
    np.testing.assert_array_equal(
        batch.answer_of[0, 6:].reshape(3, 4), [[-1, -1, -1, query] for query in range(3)]
    )


def test_letters_by_hand():
    """Words end at a symbol of their own; ``ab`` and ``a``, ``b`` are different things."""
    made = task("depo", nodes=4, max_hops=2, queries=2)
    batch = made.parse("ab>c c>b b>ab", "2:b")
    symbols = ["a", "b.", "c.", "c.", "b.", "b.", "a", "b."]
    queries = ["k=2", "b.", "ANS", "c."]
    assert made.render(batch, 0) == ["PAD"] * 8 + symbols + queries + ["PAD"] * 8
    np.testing.assert_array_equal(np.flatnonzero(batch.valid[0]), np.arange(8, 20))
    np.testing.assert_array_equal(np.flatnonzero(batch.loss_mask[0]), [18, 19])
    np.testing.assert_array_equal(np.flatnonzero(batch.answer_of[0] >= 0), [19])
    np.testing.assert_array_equal(batch.difficulty, [[2, -1]])
    assert made.text(batch, 0) == "ab>c c>b b>ab\n2:b=c"


def test_paper_layout():
    made = task("depo")
    batch = made.sample(50, batch_generator(0, 0))
    assert batch.tokens.shape == (50, 360)
    assert (made.context_tokens, made.query_tokens) == (300, 60)
    assert len(made.vocabulary) == len(set(made.vocabulary)) == 2 + 16 + 100
    assert made.difficulties == tuple(range(1, 17))
    np.testing.assert_array_equal(batch.valid, batch.tokens != 0)
    valid = batch.valid.astype(int)
    assert (np.diff(valid[:, :300]) >= 0).all(), "context is padded on the left"
    assert (np.diff(valid[:, 300:]) <= 0).all(), "queries are padded on the right"
    assert not batch.loss_mask[:, :300].any()
    answer_marks = batch.tokens == made.vocabulary.index("ANS")
    np.testing.assert_array_equal(batch.loss_mask, answer_marks | (batch.answer_of >= 0))
    assert (answer_marks.sum(axis=1) == 10).all()
    for query in range(10):  # every answer is one word: inner letters, then one end letter
        letters = np.where(batch.answer_of == query, batch.tokens, 0)
        assert ((letters >= 68).sum(axis=1) == 1).all()
        assert set(np.unique((letters > 0).sum(axis=1))) == {1, 2}
    for field in (batch.tokens, batch.answer_of, batch.difficulty):
        assert field.dtype == np.int64


def test_queries_have_distinct_starts():
    made = task("depo", nodes=12, names="depo2")
    batch = made.sample(20, batch_generator(2, 0))
    for example in range(20):
        starts = [query.start for query in made.picture(batch, example).queries]
        assert len(set(starts)) == len(starts) == 10


def test_fewer_nodes_than_queries_leave_queries_out():
    made = task("depo", **{**SMALL, "nodes": 5, "n_dist": "uniform", "queries": 7})
    batch = made.sample(200, batch_generator(0, 0))
    asked = (batch.difficulty > 0).sum(axis=1)
    edges = (batch.valid & ~batch.loss_mask)[:, : made.context_tokens].sum(axis=1) // 2
    np.testing.assert_array_equal(asked, edges)
    assert set(asked) == {3, 4, 5}
    assert (batch.difficulty[np.arange(7) >= asked[:, None]] == -1).all()
    assert (batch.answer_of.max(axis=1) == asked - 1).all()


def test_hops_are_uniform_over_those_asked_for():
    made = task("depo", nodes=20, names="single", hops=(1, 2, 4, 8, 16))
    hops = made.sample(2000, batch_generator(0, 0)).difficulty
    values, counts = np.unique(hops, return_counts=True)
    assert tuple(values) == made.difficulties == (1, 2, 4, 8, 16)
    assert fits(counts, hops.size / 5)


@pytest.mark.parametrize("n_dist", ["uniform", "plm4"])
def test_sizes_follow_their_distribution(n_dist):
    made = task("depo", nodes=12, names="single", n_dist=n_dist)
    batch = made.sample(20_000, batch_generator(0, 0))
    sizes = batch.valid[:, : made.context_tokens].sum(axis=1) // 2
    n = np.arange(3, 13)
    odds = np.ones(10) if n_dist == "uniform" else 1 / (n + np.sqrt(12))
    counts = np.bincount(sizes, minlength=13)[3:]
    assert fits(counts, 20_000 * odds / odds.sum())


def test_every_cycle_edge_order_and_query_is_equally_likely():
    made = task("depo", nodes=4, names="single", max_hops=1, queries=1)
    tokens = made.sample(24_000, batch_generator(0, 0)).tokens
    _, cycles = np.unique(_successors(tokens[:, :8]), axis=0, return_counts=True)
    assert len(cycles) == 6  # 3! directed cycles
    assert fits(cycles, 4000)
    _, orders = np.unique(tokens[:, [0, 2, 4, 6]], axis=0, return_counts=True)
    assert len(orders) == 24
    assert fits(orders, 1000)
    place = (tokens[:, [9]] == tokens[:, [0, 2, 4, 6]]).argmax(axis=1)
    assert fits(np.bincount(place), 6000)


def _successors(edges):
    order = np.argsort(edges[:, ::2], axis=1)
    return np.take_along_axis(edges[:, 1::2], order, axis=1)


@pytest.mark.parametrize(("names", "sizes"), [("depo1", (1, 2)), ("depo2", (5, 6, 7))])
def test_word_lengths_are_uniform_before_duplicates_are_redrawn(names, sizes):
    words = make_words(names, 3, first_symbol=1)
    lengths = np.array([len(text) for text in words.texts])
    counts = np.bincount(lengths[words.draws])[list(sizes)]
    assert len(set(counts)) == 1
    first = lengths[words.draw(10_000, 1, batch_generator(0, 0))[:, 0]]
    assert fits(np.bincount(first)[list(sizes)], 10_000 / len(sizes))


def test_names_match_drawing_one_by_one():
    """The share of short names among 75 is that of the plain loop: draw, redraw duplicates."""
    generator = np.random.default_rng(0)
    short = []
    for _ in range(100):
        names = set()
        while len(names) < 75:
            length = generator.integers(1, 3)
            names.add(tuple(generator.integers(0, 50, length).tolist()))
        short.append(sum(len(name) == 1 for name in names))
    words = make_words("depo1", 75, first_symbol=1)
    drawn = words.draw(2000, 75, batch_generator(0, 0))
    assert all(len(set(row)) == 75 for row in drawn.tolist())
    assert (drawn < 50).sum(axis=1).mean() == pytest.approx(np.mean(short), abs=1.0)


def test_crowded_names_are_drawn_on_until_distinct():
    words = make_words("depo1", 1275, first_symbol=1)
    drawn = words.draw(3, 1275, batch_generator(0, 0))
    assert all(len(set(row)) == 1275 for row in drawn.tolist())


def test_permutations_of_varying_size():
    sizes = np.array([3, 5, 4])
    drawn = permutations(sizes, 5, batch_generator(0, 0)).tolist()
    for row, size in zip(drawn, sizes, strict=True):
        assert sorted(row[:size]) == list(range(size))
        assert row[size:] == list(range(size, 5))


def test_chance_of_a_fixed_size():
    lines = task("depo", nodes=8, names="single", max_hops=16, queries=2).chance()
    uniform, others = lines["uniform guess"], lines["guess among other nodes"]
    assert uniform.accuracy == pytest.approx(dict.fromkeys(range(1, 17), 1 / 8))
    assert uniform.exact == pytest.approx(1 / 64)
    assert others.accuracy[1] == pytest.approx(1 / 7)
    assert others.accuracy[8] == others.accuracy[16] == 1.0  # once round the cycle
    assert others.exact == pytest.approx(((14 / 7 + 2) / 16) ** 2)


@pytest.mark.parametrize("n_dist", ["uniform", "plm4"])
def test_chance_of_varying_sizes_matches_guessing(n_dist):
    made = task("depo", nodes=6, names="single", n_dist=n_dist, max_hops=4, queries=4)
    batch = made.sample(50_000, batch_generator(0, 0))
    n = np.broadcast_to(
        batch.valid[:, : made.context_tokens].sum(axis=1)[:, None] // 2, batch.difficulty.shape
    )
    asked, k = batch.difficulty > 0, batch.difficulty
    scores = {
        "uniform guess": 1 / n,
        "guess among other nodes": np.where(k % n == 0, 1.0, 1 / (n - 1)),
    }
    for name, line in made.chance().items():
        for hops in made.difficulties:
            expected = scores[name][asked & (k == hops)].mean()
            assert line.accuracy[hops] == pytest.approx(expected, abs=0.005)
        exact = np.where(asked, scores[name], 1.0).prod(axis=1).mean()
        assert line.exact == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("text", ["0>3 3>1 1>0", "0->3, 3 -> 1\n1 > 0;", "0→3,3>1,1>0"])
def test_edges_may_be_written_in_several_ways(text):
    made = task("depo", **SMALL)
    assert made.text(made.parse(text), 0) == "0>3 3>1 1>0\n1:0=3, 2:3=0, 3:1=1"


@pytest.mark.parametrize(
    ("text", "queries", "message"),
    [
        (" ", None, "no edges"),
        ("0 3", None, "'0' is not an edge; expected two nodes joined by >"),
        ("0>1>2", None, "'0>1>2' is not an edge"),
        ("0>9 9>1 1>0", None, "unknown node '9' in '0>9'; expected .* for example 0, 1, 2"),
        ("0>1 0>2 2>0", None, "node 0 has two successors, 1 and 2"),
        ("0>1 2>1 1>0", None, "node 1 has two predecessors, 0 and 2"),
        ("0>1 1>2", None, "there is no edge out of node 2"),
        ("0>1 1>0 2>3 3>2", None, "2 separate cycles of 2, 2 nodes"),
        ("0>1 1>0", None, "2 nodes; expected 3 to 4 nodes"),
        ("0>1 1>2 2>0", "", "no queries"),
        ("0>1 1>2 2>0", "1;0", "'1' is not a query; expected k:node"),
        ("0>1 1>2 2>0", "6:0", "k = 6 in '6:0'; expected k in 1..5"),
        ("0>1 1>2 2>0", "1:3", "node '3' in '1:3' is not on the cycle"),
        ("0>1 1>2 2>0", "1:0 2:0 3:0 4:0", "4 queries; expected at most 3"),
    ],
)
def test_parse_says_what_is_wrong(text, queries, message):
    with pytest.raises(WorkbenchError, match=message):
        task("depo", **SMALL).parse(text, queries)


def test_parse_refuses_more_nodes_than_the_task_has():
    with pytest.raises(WorkbenchError, match="5 nodes; expected 3 to 4 nodes"):
        task("depo", nodes=4).parse("a>b b>c c>d d>e e>a")


def test_solve_refuses_a_batch_without_its_context():
    made = task("depo", **SMALL)
    batch = made.sample(1, batch_generator(0, 0)).token_range(8, 20)
    with pytest.raises(WorkbenchError, match="no edge leaves node"):
        made.solve(batch)


def test_solve_refuses_answers_that_do_not_fit_their_tokens():
    made = task("depo", nodes=3, max_hops=1, queries=1)
    batch = made.parse("a>bc bc>d d>a", "1:a")
    batch.loss_mask[0, np.flatnonzero(batch.loss_mask[0])[-1]] = False
    with pytest.raises(WorkbenchError, match="take 3 tokens .* expected 2 tokens"):
        made.solve(batch)


def test_without_the_markers_loss_only_the_answers_are_predicted() -> None:
    marked = task("depo", nodes=8, names="single", max_hops=4, queries=8)
    bare = task(marked.config, predict_ans=False)
    with_loss = marked.sample(16, batch_generator(3, 0))
    batch = bare.sample(16, batch_generator(3, 0))
    np.testing.assert_array_equal(batch.tokens, with_loss.tokens)
    np.testing.assert_array_equal(batch.loss_mask, batch.answer_of >= 0)
    assert bare.text(batch, 0) == marked.text(with_loss, 0)


SINGLE = {"nodes": 5, "names": "single", "max_hops": 2, "queries": 3}


def rings_in(made, batch):
    """Return the ring of each example as a tuple from node 0 on, read from the edges."""
    first = len(made.vocabulary) - made.config.nodes
    for row in batch.tokens[:, : made.context_tokens] - first:
        successor = dict(zip(row[::2].tolist(), row[1::2].tolist(), strict=True))
        ring = [0]
        while len(ring) < len(successor):
            ring.append(successor[ring[-1]])
        yield tuple(ring)


def test_held_out_rings_are_drawn_by_every_stream_but_that_of_training():
    """Five nodes have 24 rings: every one is in exactly one part, whatever the batch."""
    made = task("depo", **SINGLE, held_out=0.3)
    trained = set(rings_in(made, draw(made, 2000, 1, 0)))
    trained |= set(rings_in(made, draw(made, 2000, 2, 7)))
    held_out = set(rings_in(made, draw(made, 2000, 1, 0, EVALUATION)))
    assert not trained & held_out
    assert len(trained) + len(held_out) == 24 and 3 <= len(held_out) <= 12
    assert set(rings_in(made, draw(made, 2000, 5, 1, "another"))) == held_out
    seen = made.part(TRAIN)
    assert set(rings_in(made, draw(seen, 2000, 1, 0, EVALUATION))) == trained, "a part stays one"


def test_the_share_held_out_is_that_of_all_rings():
    made = task("depo", nodes=7, names="single", max_hops=2, queries=3, held_out=0.18)
    orders = np.array([(0, *rest) for rest in orders_of(range(1, 7))])
    held_out = rings_held_out(orders, np.full(720, 7), 0.18)
    assert abs(held_out.mean() - 0.18) < 3 * np.sqrt(0.18 * 0.82 / 720)
    turned = np.roll(orders, 3, axis=1)
    np.testing.assert_array_equal(rings_held_out(turned, np.full(720, 7), 0.18), held_out)
    longer = np.hstack([orders, np.full((720, 2), 99)])  # room for more nodes changes nothing
    np.testing.assert_array_equal(rings_held_out(longer, np.full(720, 7), 0.18), held_out)
    assert "guess from earlier answers" not in made.chance(), "it counts every ring"


def test_without_rings_held_out_every_stream_draws_as_it_always_did():
    made = task("depo", **SINGLE)
    for stream in (TRAIN, EVALUATION):
        batch = made.sample(20, batch_generator(3, 4, stream))
        np.testing.assert_array_equal(draw(made, 20, 3, 4, stream).tokens, batch.tokens)


def test_rings_are_held_out_in_cycles_of_any_size():
    made = task("depo", **SINGLE, n_dist="uniform", held_out=0.5)

    def rings(stream):
        batch = draw(made, 3000, 0, 0, stream)
        lines = (made.text(batch, example).splitlines()[0] for example in range(3000))
        return {tuple(sorted(line.split())) for line in lines}

    trained, held_out = rings(TRAIN), rings(EVALUATION)
    assert not trained & held_out
    # 3, 4 or 5 of five names in a ring: 10 x 2, 5 x 6 and 24 rings
    assert len(trained | held_out) == 20 + 30 + 24
    assert {len(ring) for ring in trained} == {len(ring) for ring in held_out} == {3, 4, 5}


def test_a_part_without_rings_is_refused():
    made = task("depo", nodes=4, names="single", max_hops=1, queries=1, held_out=0.05)
    with pytest.raises(WorkbenchError, match="held_out = 0.05 with task.nodes = 4 leaves a part"):
        draw(made, 10, 0, 0, EVALUATION)
    with pytest.raises(WorkbenchError, match='held_out 0.5 needs names = "single"'):
        task("depo", held_out=0.5)


def test_distinct_examples_are_counted_out():
    """Three nodes, one hop or two, two queries: every example listed from 4,000 draws."""
    made = task("depo", nodes=3, names="single", max_hops=2, queries=2)
    by_hand = 2 * 6 * (3 * 2) * 2**2  # rings, orders of edges, starts in order, hops
    assert made.distinct_examples() == pytest.approx(by_hand)
    batch = made.sample(4000, batch_generator(0, 0))
    assert len(np.unique(batch.tokens, axis=0)) == by_hand
    both = task("depo", nodes=4, n_dist="uniform", names="single", max_hops=1, queries=1)
    alike = 0.25 / (4 * 2 * 6 * 3) + 0.25 / (6 * 24 * 4)  # two sizes, each with a chance of 1/2
    assert both.distinct_examples() == pytest.approx(1 / alike)


def test_a_setting_of_few_examples_is_warned_about():
    """Four nodes and two hops: 72 of 1,000 evaluation examples were among 4,000 of training."""
    few = task("depo", nodes=4, names="single", max_hops=2, queries=4)
    trained = {row.tobytes() for row in draw(few, 4000, 0, 0).tokens}
    tested = draw(few, 4000, 0, 0, EVALUATION).tokens
    found = np.mean([row.tobytes() in trained for row in tested])
    expected = repeated_share(few, 4000)
    assert expected == pytest.approx(found, abs=4 * np.sqrt(found / 4000))
    assert "about 7 % of the evaluation's are drawn in training" in few_examples_note(few, 4000)
    assert few_examples_note(task("depo", **SINGLE, held_out=0.3), 10**9) == ""
    assert few_examples_note(task("depo"), 10**9) == ""


def test_names_are_spelt_as_they_are_typed():
    spell = task("depo", nodes=4, names="depo2").spell
    assert [spell(["a", "b."]), spell(["a", "b"]), spell(["a.", "b."])] == ["ab", "ab…", "a.b"]
    assert task("depo", **SINGLE).spell(["7"]) == "7"


def test_a_card_names_the_hops_asked_for():
    assert task("depo", nodes=8, max_hops=4, hops=(1, 4)).summary().endswith("8 nodes, 1, 4 hops")
    assert task("depo", nodes=8, max_hops=4).summary().endswith("a ring of 8 nodes, 1 to 4 hops")
