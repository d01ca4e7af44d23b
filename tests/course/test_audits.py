"""Notebook 10: checks say something fitting about each mistake; what it says of findings holds."""

import numpy as np
from judged import judged
from scipy import stats
from solutions import solved

from sleep_course import audits, changing
from sleep_course.exercises import audits as checks
from sleep_course.records import recorded
from workbench.instruments.change import change
from workbench.instruments.convergence import debiased_cka
from workbench.lab import results

right = solved("audits")


def probe_audit(score, source, share=0.75, seed=0):
    rings = np.random.default_rng(seed).permutation(np.unique(source))
    inside = np.isin(source, rings[: int(share * len(rings))])
    return score(np.flatnonzero(inside), np.flatnonzero(~inside))


def by_row(score, source):
    order = np.random.default_rng(0).permutation(len(source))
    return score(order[:135], order[135:])


def cut_in_a_ring(score, source):
    order = np.argsort(source, kind="stable")
    return score(order[:136], order[136:])


def by_integers(score, source):
    inside = np.isin(source, np.unique(source)[::4]).astype(int)
    return score(1 - inside, inside)


def leave_one_out(score, source):
    return np.mean([score(source != ring, source == ring) for ring in np.unique(source)])


def mean_of_several(score, source):
    return np.mean([probe_audit(score, source, seed=s) for s in range(3)])


def few_rings_in_turn(score, source):
    """Leave one out, but of a few rings: most are never tested."""
    return np.mean([score(source != ring, source == ring) for ring in np.unique(source)[:4]])


test_probe_audit = judged(
    checks.check_probe_audit,
    (mean_of_several, None),
    (leave_one_out, None),
    (lambda score, source: 0.5, "never trained"),
    (lambda score, source: 0.0 * probe_audit(score, source) - 1, "return what score returns"),
    (lambda score, source: 1 - score(source < 0, source < 5), "no rows"),
    (lambda score, source: score([500], [1]), "numbered from 0 to 179"),
    (lambda score, source: score(np.array([True]), [1]), "a mask of rows has 180"),
    (lambda score, source: score(np.arange(180), np.arange(40)), "no row may be in both"),
    (by_row, "Rows do not count, rings do"),
    (cut_in_a_ring, "cut between rings"),
    (lambda score, source: probe_audit(score, source, 0.2), "three quarters"),
    (lambda score, source: probe_audit(score, source, 0.98), "three quarters"),
    (by_integers, "a mask of 0 and 1"),
    (few_rings_in_turn, "three quarters"),
)


def convergence_audit(states, writes, replay, over=changing.relative_steps):
    return (over(states) / over(replay(states[0], writes, len(states) - 1)))[1:]


def absolute(states):
    return np.linalg.norm(np.diff(states, axis=0), axis=(1, 2))


def frozen_steps(states, writes, replay):
    return changing.relative_steps(replay(states[0], writes, len(states) - 1))


test_convergence_audit = judged(
    checks.check_convergence_audit,
    (lambda states, writes, replay: 1.0, "one number for each of passes 2 to 5"),
    (lambda s, w, r: changing.relative_steps(s) / frozen_steps(s, w, r), "begin with pass 2"),
    (lambda s, w, replay: changing.relative_steps(s)[1:], "the curve that was published"),
    (lambda s, w, r: (changing.relative_steps(s) - frozen_steps(s, w, r))[1:], "divide"),
    (
        lambda s, w, r: convergence_audit(s, w, lambda S, *how: r(0 * S, *how)),
        "states[0], not zero",
    ),
    (lambda s, w, r: 2 * convergence_audit(s, w, r), "should give 1 at every pass"),
    (lambda s, w, r: np.ones(len(s) - 2), "does it look at the states"),
    (lambda s, w, r: 1 / convergence_audit(s, w, r), "upside down"),
    (lambda s, w, r: convergence_audit(s, w, r, over=absolute), "in units of S itself"),
    (lambda s, w, r: convergence_audit(s, w, r) ** 2, "right for a replay"),
)


def lift_audit(ours, theirs, our_flops, their_flops, interval, **other):
    low, _ = interval(ours, theirs)
    enough = min(len(ours), len(theirs)) >= other.get("least", 3)
    cheap = our_flops <= other.get("factor", 1.01) * their_flops
    return bool(enough and cheap and low > other.get("above", 0))


def paired(ours, theirs, our_flops, their_flops, interval):
    return interval(ours - theirs)[0] > 0


def counts_ours(ours, theirs, our_flops, their_flops, interval):
    low, _ = interval(ours, theirs)
    return bool(low > 0 and len(ours) > 2 and our_flops <= 1.01 * their_flops)


def excludes_0(ours, theirs, our_flops, their_flops, interval):
    low, high = interval(ours, theirs)
    return bool((low > 0 or high < 0) and len(ours) > 2 and our_flops <= 1.01 * their_flops)


def by_mean(ours, theirs, our_flops, their_flops, interval, **other):
    better = ours.mean() > theirs.mean()
    enough = len(ours) >= other.get("least", 3)
    return bool(better and enough and our_flops <= 1.01 * their_flops)


def at_equal_cost(ours, theirs, our_flops, their_flops, interval):
    near = abs(our_flops / their_flops - 1) <= 0.01
    enough = min(len(ours), len(theirs)) > 2
    return bool(near and enough and interval(ours, theirs)[0] > 0)


test_lift_audit = judged(
    checks.check_lift_audit,
    (lambda *given: "fake", "True or False"),
    (lambda *given: False, "not even an honest result"),
    (lambda *given: True, "everything passes"),
    (lambda *given: not lift_audit(*given), "that stands"),
    (paired, "TypeError"),
    (counts_ours, "two seeds on one of the two sides"),
    (excludes_0, "ours is worse here"),
    (by_mean, "low is the end that counts"),
    (lambda *given: by_mean(*given, least=1), "low is the end that counts"),
    (lambda *given: lift_audit(*given, least=1), "three at least"),
    (lambda *given: lift_audit(*given, least=2), "three at least"),
    (lambda a, b, c, d, i: lift_audit(a, b, c, 4.0, i), "with each other"),
    (lambda *given: lift_audit(*given, factor=1.05), "three percent"),
    (lambda *given: lift_audit(*given, factor=9), "cost twice as much"),
    (at_equal_cost, "stands all the more"),
    (lambda *given: lift_audit(*given, factor=1), "allow one percent"),
    (lambda *given: lift_audit(*given, factor=1.2), "a tenth more compute"),
)


def likeness_audit(x, y, likeness, times=20, pair=None, end=None):
    rng = np.random.default_rng(0)
    pair = pair or (lambda x, y, rng: (x, y[rng.permutation(len(y))]))
    found = likeness(x, y)
    chance = np.mean([likeness(*pair(x, y, rng)) for _ in range(times)])
    return end(found, chance) if end else (found - chance) / (1 - chance)


def same_again(x, y, rng):
    """Shuffle with the seed set inside the loop: one pairing, taken again and again."""
    return x, y[np.random.default_rng(0).permutation(len(y))]


def alike(x, y, rng):
    order = rng.permutation(len(y))
    return x[order], y[order]


def shuffled_x(x, y, rng):
    return x[rng.permutation(len(x))], y


def shuffled_columns(x, y, rng):
    return x, y[:, rng.permutation(y.shape[1])]


def shuffled_entries(x, y, rng):
    return x, rng.permuted(y.ravel()).reshape(y.shape)


test_likeness_audit = judged(
    checks.check_likeness_audit,
    (lambda x, y, c: likeness_audit(x, y, c, pair=shuffled_x), None),
    (lambda x, y, likeness: likeness(x, y), "nothing is shuffled"),
    (lambda x, y, likeness: likeness_audit(x, y, likeness, times=1), "a lottery"),
    (lambda x, y, c: likeness_audit(x, y, c, pair=alike), "shuffled alike"),
    (lambda x, y, c: likeness_audit(x, y, c, pair=same_again), "only 1 different"),
    (lambda x, y, c: likeness_audit(x, y, c, pair=shuffled_columns), "shuffle the features"),
    (lambda x, y, c: likeness_audit(x, y, c, pair=shuffled_entries), "keep each example whole"),
    (lambda x, y, c: likeness_audit(x, y, c, end=lambda f, n: f), "was published"),
    (lambda x, y, c: likeness_audit(x, y, c, end=lambda f, n: n), "what chance gives"),
    (lambda x, y, c: likeness_audit(x, y, c, end=lambda f, n: f - n), "divide by 1 - chance"),
    (lambda x, y, c: likeness_audit(x, y, c, end=lambda f, n: f / n), "units of chance"),
    (lambda x, y, c: likeness_audit(x, y, c, end=lambda f, n: 7), "chance the mean of"),
)


def shuffled_inside(accuracy, S):
    return accuracy(S) - accuracy(S[:, ::-1])


def two_exchanged(accuracy, S):
    return accuracy(S) - accuracy(S[[1, 0, 2, 3, 4, 5]])


test_leak_audit = judged(
    checks.check_leak_audit,
    (lambda accuracy, S: accuracy(S) - accuracy(np.roll(S, 1, axis=0)), None),
    (lambda accuracy, S: accuracy(S), "was published"),
    (lambda accuracy, S: accuracy(0 * S), "what is right anyway"),
    (lambda accuracy, S: -right.leak_audit(accuracy, S), "not the other way round"),
    (lambda accuracy, S: accuracy(S) - 1 / 16, "is due to the context"),
    (lambda accuracy, S: accuracy(S) - accuracy(S[:3]), "of the same shape"),
    (two_exchanged, "example 2 still has its own memory"),
    (shuffled_inside, "may be left in this S"),
)


# --- what the notebook says of the findings ------------------------------------------------------


def test_a_row_split_scores_on_coins_and_a_ring_split_does_not():
    found = audits.probings(rings=160)
    assert audits.by_row(found["coins"], 0) > 0.95 and audits.by_row(found["fact"], 0) > 0.97
    honest = {
        name: np.mean([probe_audit(one.score, one.source, seed=s) for s in range(4)])
        for name, one in found.items()
    }
    assert abs(honest["coins"] - 0.5) < 0.12 and honest["fact"] > 0.8


def test_a_sleep_that_only_replays_converges_as_well():
    shapes = {}
    for thinking in (False, True):
        slept = audits.sleeps(thinking=thinking, rings=4)
        shapes[thinking] = np.mean([changing.relative_steps(one.states) for one in slept], axis=0)
        ratios = [convergence_audit(one.states, one.writes, audits.replay) for one in slept]
        mean = np.mean(ratios, axis=0)
        if thinking:
            assert mean[0] > 2 and mean[1] > 1.4 and (mean[3:] < 1.2).all()
        else:
            np.testing.assert_allclose(ratios, 1.0, atol=1e-3)
    assert shapes[False][0] == shapes[True][0] == 1.0
    assert shapes[False][-1] < 0.08 and shapes[True][-1] < 0.08


def test_the_interval_of_two_groups_is_welch_s():
    a, b = np.array([0.9, 0.7, 0.8, 0.95]), np.array([0.5, 0.65, 0.4])
    wanted = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(audits.interval(a, b), (wanted.low, wanted.high), rtol=1e-9)
    assert audits.interval(a[:1], b) == audits.interval(a, b[:1]) == (-np.inf, np.inf)


def test_lifts_of_the_record():
    found = audits.lifts()
    verdicts = {
        name: lift_audit(one.ours, one.theirs, one.our_flops, one.their_flops, audits.interval)
        for name, one in found.items()
    }
    assert verdicts == {
        "one seed": False, "all seeds of it": False, "more compute": False, "honest": True
    }  # fmt: skip
    one, all_of_it = found["one seed"], found["all seeds of it"]
    assert len(one.ours) == 1 and float((one.ours - one.theirs)[0]) > 0.35
    assert len(all_of_it.ours) == 5 and abs((all_of_it.ours - all_of_it.theirs).mean()) < 0.02
    assert found["more compute"].our_flops > 2 * found["more compute"].their_flops
    final = results.final(recorded("depo-n8")[1])["accuracy"].sel(n_test=4, difficulty=2)
    ours = final.sel(arm="sleep", n_train="4").values
    np.testing.assert_allclose(found["honest"].ours, ours)


def test_unrelated_memories_look_alike_and_are_not():
    one, other = (audits.memories(seed) for seed in (1, 2))
    x, y, before = (m.reshape(16, -1) for m in (one[3], other[3], one[2]))
    assert audits.cka(x, y) > 0.8 and abs(debiased_cka(x, y)) < 0.1
    assert abs(likeness_audit(x, y, audits.cka)) < 0.1
    assert audits.cka(before, x) > 0.98 and debiased_cka(before, x) > 0.9
    assert likeness_audit(before, x, audits.cka) > 0.9
    noise = np.random.default_rng(0).standard_normal((2, 64, 4096))
    assert round(audits.cka(*noise), 2) == 0.98


def test_a_loop_over_the_questions_reads_the_answers():
    leaky = [audits.Reader(loops, carries=True) for loops in (1, 4)]
    S = leaky[0].memories()
    with_context = [reader.accuracy(S) for reader in leaky]
    assert 0.4 < with_context[0] < 0.6 and with_context[1] > 0.9
    assert right.leak_audit(leaky[1].accuracy, S) < 0.05
    sound = audits.Reader(4, carries=False)
    assert sound.accuracy(S) == with_context[0]
    assert right.leak_audit(sound.accuracy, S) > 0.4 and sound.accuracy(0 * S) < 2 * sound.chance
    trained = audits.Trained(episodes=16)
    S = trained.memories()
    assert trained.accuracy(S) > 0.97 and right.leak_audit(trained.accuracy, S) > 0.7


def test_the_replay_is_the_instruments():
    import workbench
    from workbench.tasks import batch_generator

    (one,) = audits.sleeps(thinking=True, rings=1, passes=4)
    checkpoint = workbench.load(audits.TRAINED)
    batch = checkpoint.task.sample(1, batch_generator(1, 0, "notebook"))
    trace = workbench.record(checkpoint.model, batch, checkpoint.sleep.with_passes(4))
    told = change(trace)["relative_change"].isel(window=0, example=0, layer=0, gdn_head=0)
    for name, states in (
        ("sleep", one.states),
        ("frozen replay", audits.replay(one.states[0], one.writes, 4)),
    ):
        right = told.sel(procedure=name).values[1:]
        np.testing.assert_allclose(changing.relative_steps(states), right, rtol=1e-3)
