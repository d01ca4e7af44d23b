"""Notebook 6: checks say something fitting about each mistake; what it says of the model holds."""

import numpy as np
import pytest
from judged import judged
from solutions import solved

import workbench
from sleep_course import probing
from sleep_course.exercises import probing as checks
from sleep_course.records import measured
from workbench.instruments.probing.features import fast_weights, flattened
from workbench.instruments.probing.folds import groups_of
from workbench.tasks import batch_generator

right = solved("probing")


def rng(seed):
    return np.random.default_rng(seed)


def by_row_number(example, share, seed):
    return example < np.quantile(np.unique(example), share)  # the first ones, always


test_held_out = judged(
    checks.check_held_out,
    (lambda example, share, seed: example, "those are numbers"),
    (lambda example, share, seed: example < 0, "no row is tested"),
    (lambda example, share, seed: example > 0, "every row is tested"),
    (probing.by_row, "draw examples, not rows"),
    (lambda example, share, seed: ~right.held_out(example, share, seed), "marks the rows that are"),
    (lambda example, share, seed: right.held_out(example, 0.5, seed), "yours tests 10"),
    (by_row_number, "every seed tests the same"),
    (lambda example, share, seed: right.held_out(example, share, None), "use default_rng(seed)"),
)


def choose(alphas, score, by="validation", pick=max):
    best = pick(alphas, key=lambda alpha: score(alpha, by))
    return best, score(best, "test")


test_choose = judged(
    checks.check_choose,
    (lambda alphas, score: right.choose(alphas, score)[0], "two things should come back"),
    (lambda alphas, score: choose(alphas, score, by="test"), "was opened 5 times"),
    (lambda alphas, score: right.choose(alphas, score)[::-1], "not one of the alphas"),
    (lambda alphas, score: choose(alphas, score, by="train"), "chosen by the training fold"),
    (lambda alphas, score: choose(alphas, score, pick=min), "chosen by something else"),
    (lambda alphas, score: (10.0, score(10.0, "test")), "not the best on validation"),
    (lambda alphas, score: (1.0, score(1.0, "validation")), "stayed shut"),
    (lambda alphas, score: (1.0, score(1.0, "test") + 0.1), "the accuracy to return"),
    (lambda alphas, score: choose(alphas, score, by="valid"), "no fold 'valid'"),
)


test_control = judged(
    checks.check_control,
    (lambda kinds, classes, seed: kinds, "whole numbers from 0"),
    (lambda kinds, classes, seed: right.control_labels(kinds, classes, seed) + 1, "from 0"),
    (lambda kinds, classes, seed: rng(seed).random(31)[kinds], "whole numbers"),
    (lambda kinds, classes, seed: 0 * kinds, "nothing to predict"),
    (lambda kinds, classes, seed: rng(seed).integers(0, classes, len(kinds)), "not even a"),
    (lambda kinds, classes, seed: kinds % classes, "draw new labels"),
    (lambda kinds, classes, seed: (kinds + seed + 1) % classes, "under another name"),
    (lambda kinds, classes, seed: right.control_labels(kinds, classes, 3), "draw new labels"),
    (lambda kinds, classes, seed: right.control_labels(kinds, 3, seed), "some are never drawn"),
    (lambda kinds, classes, seed: right.control_labels(kinds, classes, None), "default_rng(seed)"),
)


def interval(right, times=1.96, ddof=1, root=True):
    scores = right.mean(1)
    half = times * scores.std(ddof=ddof) / (np.sqrt(len(scores)) if root else 1)
    return scores.mean() - half, scores.mean() + half


def width(right):
    low, high = interval(right)
    return right.mean(), (high - low) / 2


test_interval = judged(
    checks.check_interval,
    (width, "both ends"),
    (lambda right: interval(right)[::-1], "low first"),
    (lambda right: interval(right.reshape(-1, 1)), "72 items as 72 cases"),
    (lambda right: interval(right, root=False), "divide by sqrt(12)"),
    (lambda right: interval(right, ddof=0), "unless you pass ddof=1"),
    (lambda right: interval(right, times=1), "about 68 %"),
    (lambda right: interval(right.T), "wrong axis"),
    (lambda right: interval(right, times=3), "1.96 standard errors are"),
)


def as_long_as(change, drawn, axis=1):
    length, own = (np.linalg.norm(x, axis=axis, keepdims=True) for x in (change, drawn))
    return drawn * length / own


def like(draw):
    """Return an answer with rows as long as those of ``draw(generator, change)`` should be."""
    return lambda change, seed: as_long_as(change, draw(rng(seed), change))


def mixed(generator, change):
    return change + 0.3 * as_long_as(change, generator.normal(size=change.shape))


test_random_like = judged(
    checks.check_random_like,
    (lambda change, seed: 0 * change, "rows are zero"),
    (lambda change, seed: -change, "its opposite"),
    (lambda change, seed: right.random_like(np.ones_like(change), seed) / 30**0.5, "has length 1"),
    (
        lambda change, seed: as_long_as(change, rng(seed).normal(size=change.shape), None),
        "each one by itself",
    ),
    (lambda change, seed: rng(seed).normal(size=change.shape), "row by row"),
    (like(lambda g, change: g.normal(size=(1, 30)) + 0 * change[:, :30]), "a direction for each"),
    (like(lambda g, change: g.random(size=change.shape)), "every number is positive"),
    (like(mixed), "still much like"),
    (like(lambda g, change: g.uniform(-1, 1, change.shape)), "prefer the corners"),
    (lambda change, seed: right.random_like(change, 9), "every seed gives the same"),
)


# --- what the notebook says of the bundled model -------------------------------------------------


@pytest.fixture(scope="module")
def bundled():
    checkpoint = workbench.load("depo-n8-any")
    batch = checkpoint.task.sample(600, batch_generator(1, 0, "notebook"))
    sleep = checkpoint.sleep.with_passes(4)
    states = fast_weights(checkpoint.model, batch, sleep)
    return checkpoint, batch, sleep, states, checkpoint.task.probe_targets(batch)


def test_a_row_split_finds_a_coins_labels_and_a_split_by_example_does_not(bundled):
    checkpoint, batch, sleep, _, _ = bundled
    some = batch.examples(slice(0, 150))
    long = fast_weights(checkpoint.model, some, sleep.with_passes(8)).isel(gdn_head=[0])
    features, example = probing.rows_of(long, (5, 6, 7, 8))
    assert features.shape == (600, 256) and np.bincount(example).tolist() == [4] * 150
    np.testing.assert_array_equal(features[150], long[0, 0, 6, 0].values.reshape(-1))
    assert probing.random_label_accuracy(probing.by_row, features, example) > 0.98
    assert abs(probing.random_label_accuracy(right.held_out, features, example) - 0.5) < 0.06


def test_a_probe_learns_all_by_heart_and_tells_little_of_what_it_has_not_seen(bundled):
    _, batch, sleep, states, targets = bundled
    groups = groups_of(batch, sleep, targets)
    bench = probing.Bench(flattened(states, 0, 4, 1), groups)
    assert [len(bench.of[fold]) for fold in ("train", "validation", "test")] == [360, 120, 120]
    alphas = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    found = []
    for target in targets:
        score = bench.score(target.labels)
        alpha, told = right.choose(alphas, score)
        assert score(alpha, "train") > 0.98
        found.append(told)
    np.testing.assert_allclose(found, [0.99, 0.76, 0.31, 0.24], atol=0.03)
    kinds = targets[0].kinds
    made_up = np.stack([right.control_labels(kinds[:, i], 8, i) for i in range(8)], axis=1)
    assert right.choose(alphas, bench.score(made_up))[1] > 0.95
    told = bench.right(targets[3].labels, 0.1, "test")
    assert found[3] < 0.3 and right.interval(told)[0] > 1 / 7  # little above a guess, but above
    wide, narrow = (np.ptp(right.interval(r)) for r in (told, told.reshape(-1, 1)))
    assert 1.3 < wide / narrow < 1.7


def test_two_hops_are_used_and_the_shortest_push_is_not_enough(bundled):
    checkpoint, batch, sleep, states, targets = bundled
    push = probing.Push(checkpoint.model, batch, sleep, states, targets[1])
    asked = push.target.asked_by[push.todo.rows, push.todo.item]
    assert (push.batch.difficulty[push.todo.rows, asked] == 2).all()
    assert push.follows(push.change) < 0.05
    assert push.follows(16 * push.change) > 0.85
    assert push.follows(16 * right.random_like(push.change, 0)) < 0.1
    assert 0.3 < 16 * push.size.mean() < 0.6


def test_what_the_records_say():
    record = measured("probes-depo-n8-any").sel(window=0, layer=1)
    told = record["accuracy"].mean("seed")
    assert float(told.sel(sleep_pass=0).max()) < 0.16
    assert told.sel(sleep_pass=1, target="1 hop") > 0.9
    assert (
        told.sel(sleep_pass=2, target="2 hops")
        > 0.8
        > 0.4
        > told.sel(sleep_pass=1, target="2 hops")
    )
    np.testing.assert_allclose(told.sel(sleep_pass=4), [1.0, 0.95, 0.55, 0.21], atol=0.006)
    other = record["baseline_accuracy"].mean("seed").sel(sleep_pass=4)
    np.testing.assert_allclose(
        other.sel(baseline="untrained weights", target=["1 hop", "2 hops"]), [0.68, 0.18], atol=0.01
    )
    kinds = record["control_accuracy"].mean("seed").sel(control="kinds", sleep_pass=0)
    # an empty memory: the commonest of the labels of the 7 nodes that can follow
    labels = rng(0).integers(0, 8, (4000, 7))
    commonest = np.mean([np.bincount(row).max() / 7 for row in labels])
    assert commonest == pytest.approx(0.34, abs=0.01)
    assert float(abs(kinds - commonest).max()) < 0.03 and float(kinds.mean()) > 0.32
    shuffled = record["control_accuracy"].mean("seed").sel(control="shuffled", sleep_pass=4)
    assert float(abs(shuffled - 1 / 7).max()) < 0.02
    answered = measured("lens-depo-n8-any")["accuracy"].sel(window=0)
    assert answered.sel(sleep_pass=4, difficulty=4) > 0.95
    steering = measured("steering-depo-n8-any").sel(sleep_pass=4, layer=1)
    pushed = {
        k: steering.sel(difficulty=k, target=name, control="probe's direction")
        for k, name in enumerate(steering.target.values.tolist(), 1)
    }
    assert (steering["turned"].sel(control="probe's direction") == 1).all()
    assert pushed[1]["follows"].sel(strength=2) > 0.5 and pushed[1]["follows"].sel(strength=1) < 0.1
    assert pushed[2]["follows"].sel(strength=4) < 0.5 < pushed[2]["follows"].sel(strength=8)
    assert (
        0.15 < float(pushed[3]["follows"].max()) < 0.2 and float(pushed[4]["follows"].max()) < 0.1
    )
    random = steering["follows"].sel(control="random direction")
    for k, name in enumerate(steering.target.values.tolist(), 1):
        assert float(random.sel(difficulty=k, target=name).max()) < 0.06


def test_what_the_notebook_says_of_baselines():
    """Edges give one hop linearly and two quadratically; a replay holds less than the sleep."""
    record = measured("probes-depo-n8-any")
    one_hop, two_hops = (
        {name: told[hops - 1] for name, told in probing.compared(record).items()} for hops in (1, 2)
    )
    here = record["accuracy"].sel(window=0, layer=1, sleep_pass=4, target="2 hops")
    assert two_hops["S"] == pytest.approx(float(here.mean()))
    assert one_hop["input, linear"] > 0.99
    assert two_hops["input, linear"] < 0.25 and two_hops["input, quadratic"] > 0.99
    assert two_hops["untrained weights"] < 0.25 < two_hops["frozen replay"]
    assert 0.33 < two_hops["S"] - two_hops["frozen replay"] < 0.39
    assert 0.6 < one_hop["untrained weights"] < 0.8
