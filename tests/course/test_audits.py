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


def steps(states, writes, replay):
    return changing.relative_steps(states)


def frozen(states, writes, replay):
    return changing.relative_steps(replay(states[0], writes, len(states) - 1))


def absolute(states, writes, replay):
    found = (states, replay(states[0], writes, len(states) - 1))
    mine, again = (np.linalg.norm(np.diff(S, axis=0), axis=(1, 2)) for S in found)
    return (mine / again)[1:]


test_convergence_audit = judged(
    checks.check_convergence_audit,
    (lambda states, writes, replay: 1.0, "one number for each of passes 2 to 5"),
    (lambda s, w, r: steps(s, w, r) / frozen(s, w, r), "begin with pass 2"),
    (lambda *given: steps(*given)[1:], "the curve that was published"),
    (lambda s, w, r: (steps(s, w, r) - frozen(s, w, r))[1:], "divide"),
    (
        lambda s, w, r: right.convergence_audit(s, w, lambda S, *how: r(0 * S, *how)),
        "states[0], not zero",
    ),
    (lambda s, w, r: 2 * right.convergence_audit(s, w, r), "should give 1 at every pass"),
    (lambda s, w, r: np.ones(len(s) - 2), "does it look at the states"),
    (lambda s, w, r: 1 / right.convergence_audit(s, w, r), "upside down"),
    (absolute, "in units of S itself"),
    (lambda s, w, r: right.convergence_audit(s, w, r) ** 2, "right for a replay"),
)


def lift(least=3, factor=1.01, count=min, better=lambda low, high: low > 0):
    """Return an audit: enough seeds, at a cost that is not larger, and a `better` interval."""

    def audit(ours, theirs, our_flops, their_flops, interval):
        enough = count(len(ours), len(theirs)) >= least
        return bool(
            enough and our_flops <= factor * their_flops and better(*interval(ours, theirs))
        )

    return audit


def by_mean(least):
    def audit(ours, theirs, our_flops, their_flops, interval):
        return bool(ours.mean() > theirs.mean() and len(ours) >= least and our_flops < 4.1)

    return audit


def at_equal_cost(ours, theirs, our_flops, their_flops, interval):
    near = abs(our_flops / their_flops - 1) <= 0.01
    return near and right.lift_audit(ours, theirs, our_flops, their_flops, interval)


test_lift_audit = judged(
    checks.check_lift_audit,
    (lambda *given: "fake", "True or False"),
    (lambda *given: False, "not even an honest result"),
    (lambda *given: True, "everything passes"),
    (lambda *given: not right.lift_audit(*given), "that stands"),
    (lambda a, b, c, d, interval: interval(a - b)[0] > 0, "TypeError"),
    (lift(count=lambda ours, theirs: ours), "two seeds on one of the two sides"),
    (lift(better=lambda low, high: low > 0 or high < 0), "ours is worse here"),
    (by_mean(3), "low is the end that counts"),
    (by_mean(1), "low is the end that counts"),
    (lift(least=1), "three at least"),
    (lift(least=2), "three at least"),
    (lambda a, b, c, d, i: right.lift_audit(a, b, c, 4.0, i), "with each other"),
    (lift(factor=1.05), "three percent"),
    (lift(factor=9), "cost twice as much"),
    (at_equal_cost, "stands all the more"),
    (lift(factor=1), "allow one percent"),
    (lift(factor=1.2), "a tenth more compute"),
)


def likeness(pair=None, end=lambda found, chance: (found - chance) / (1 - chance), times=20):
    """Return an audit that pairs examples by `pair`, and gives ``end(found, chance)``."""

    def audit(x, y, likeness):
        rng = np.random.default_rng(0)
        pairs = [pair(x, y, rng) if pair else (x, rng.permutation(y)) for _ in range(times)]
        return end(likeness(x, y), np.mean([likeness(*one) for one in pairs]))

    return audit


def same_again(x, y, rng):
    """Shuffle with the seed set inside the loop: one pairing, taken again and again."""
    return x, y[np.random.default_rng(0).permutation(len(y))]


def alike(x, y, rng):
    order = rng.permutation(len(y))
    return x[order], y[order]


test_likeness_audit = judged(
    checks.check_likeness_audit,
    (likeness(lambda x, y, rng: (rng.permutation(x), y)), None),
    (lambda x, y, likeness: likeness(x, y), "nothing is shuffled"),
    (likeness(times=1), "a lottery"),
    (likeness(alike), "shuffled alike"),
    (likeness(same_again), "only 1 different"),
    (likeness(lambda x, y, rng: (x, rng.permutation(y, axis=1))), "shuffle the features"),
    (likeness(lambda x, y, rng: (x, rng.permuted(y, axis=0))), "keep each example whole"),
    (likeness(end=lambda found, chance: found), "was published"),
    (likeness(end=lambda found, chance: chance), "what chance gives"),
    (likeness(end=lambda found, chance: found - chance), "divide by 1 - chance"),
    (likeness(end=lambda found, chance: found / chance), "units of chance"),
    (likeness(end=lambda found, chance: 7), "chance the mean of"),
)


test_leak_audit = judged(
    checks.check_leak_audit,
    (lambda accuracy, S: accuracy(S) - accuracy(np.roll(S, 1, axis=0)), None),
    (lambda accuracy, S: accuracy(S), "was published"),
    (lambda accuracy, S: accuracy(0 * S), "what is right anyway"),
    (lambda accuracy, S: -right.leak_audit(accuracy, S), "not the other way round"),
    (lambda accuracy, S: accuracy(S) - 1 / 16, "is due to the context"),
    (lambda accuracy, S: accuracy(S) - accuracy(S[:3]), "of the same shape"),
    (
        lambda accuracy, S: accuracy(S) - accuracy(S[[1, 0, 2, 3, 4, 5]]),
        "example 2 still has its own memory",
    ),
    (lambda accuracy, S: accuracy(S) - accuracy(S[:, ::-1]), "may be left in this S"),
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
        ratios = [right.convergence_audit(one.states, one.writes, audits.replay) for one in slept]
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
        name: right.lift_audit(
            one.ours, one.theirs, one.our_flops, one.their_flops, audits.interval
        )
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
    assert abs(right.likeness_audit(x, y, audits.cka)) < 0.1
    assert audits.cka(before, x) > 0.98 and debiased_cka(before, x) > 0.9
    assert right.likeness_audit(before, x, audits.cka) > 0.9
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
