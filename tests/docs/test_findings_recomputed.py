"""The sweep's numbers in docs/findings.md, computed again from the record's JSON."""

import itertools
import math
from collections import defaultdict
from functools import partial

import numpy as np
import pytest
from findings_page import PAGE, mean_cell, record
from findings_page import tables as tables_of
from scipy import stats

PROSE = " ".join(PAGE.partition("# Inside the ")[0].split())
RUNS = record("depo-n8")["runs"]
tables = partial(tables_of, "depo-n8")
HOPS = ("1", "2", "3", "4")
NAMES = {
    "sleep, N = 1": ("sleep", "1", 1), "sleep, N = 2": ("sleep", "2", 2),
    "sleep, N = 4": ("sleep", "4", 4), "random N in 1-4": ("random_n", "1-4", 4),
    "longer, N = 1 (matched to N = 4)": ("longer", "1", 4),
    "deeper, N = 1 (matched to N = 4)": ("deeper", "1", 4),
    "wider, N = 1 (matched to N = 4)": ("wider", "1", 4),
    "rewrite only, N = 4": ("rewrite_only", "4", 4), "think only, N = 4": ("think_only", "4", 4),
    "loop awake (matched to N = 2)": ("wake_loop", "1", 2),
    "loop awake (matched to N = 4)": ("wake_loop", "1", 4),
    "no fast weights, N = 4": ("no_fast_weights", "4", 4), "sliding, N = 4": ("sliding", "4", 4),
    "loop upper half, N = 4": ("loop_upper", "4", 4),
    "cache kept, N = 1": ("retained_cache", "1", 1), "DeltaNet, N = 4": ("rule_delta", "4", 4),
    "DeltaNet, beta to 2, N = 4": ("rule_delta_negative", "4", 4),
    "Mamba-2 style, N = 4": ("rule_mamba2", "4", 4),
    "linear attention, N = 4": ("rule_linear_attention", "4", 4),
    "Jet layer, N = 4": ("rule_jet", "4", 4),
}  # fmt: skip
"""Words of the tables -> arm, N of training, and the N that the arm is run at."""

BY_ARM = defaultdict(list)
for run in sorted(RUNS, key=lambda run: run["labels"]["seed"]):
    labels = run["labels"]
    BY_ARM[labels["arm"], str(labels["n_train"]), labels["passes"]].append(run)


def of(words):
    return BY_ARM[NAMES[words]]


def own_n(run):
    return str(run["labels"]["n_train"]).split("-")[-1]


def final(words, hops, tested=None):
    """Return each seed's accuracy at the end, at the N of its training unless another is named."""
    return np.array([r["final"][tested or own_n(r)]["accuracy"][hops] for r in of(words)])


def within(words, hops, flops):
    """Return each seed's accuracy at its last evaluation within so many FLOPs of training."""
    found = []
    for run in of(words):
        budget = run["budget"]
        points = dict(zip(run["curve"]["step"], run["curve"]["passes"], strict=True))
        points[budget["steps"]] = run["final"]
        spent = {step: step * budget["flops"] / budget["steps"] for step in points}
        last = max(step for step in points if spent[step] <= flops and own_n(run) in points[step])
        found.append(points[last][own_n(run)]["accuracy"][hops])
    return np.array(found)


def largest(words, threshold, tested=None):
    """Return for each seed up to how many hops all are answered in so large a share."""
    found = []
    for seed in zip(*(final(words, hops, tested) for hops in HOPS), strict=True):
        found.append(len(list(itertools.takewhile(lambda share: share >= threshold, seed))))
    return np.array(found, dtype=float)


def welch(a, b, share):
    """Return the ends of Welch's interval of a difference, from the textbook."""
    parts = [half.var(ddof=1) / len(half) if np.ptp(half) else 0.0 for half in (a, b)]
    gap = a.mean() - b.mean()
    if sum(parts) == 0:
        return gap, gap
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(half) - 1) for part, half in zip(parts, (a, b), strict=True)
    )
    half = stats.t.ppf((1 + share) / 2, freedom) * math.sqrt(sum(parts))
    return gap - half, gap + half


def p_welch(a, b):
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return 1.0 if a.mean() == b.mean() else math.nan
    return by_scipy(a, b, 0.0, "two-sided")


def by_scipy(a, b, shift, side):
    """Return p of Welch's test from means and spreads: scipy warns of seeds that are all equal."""
    spreads = [0.0 if np.ptp(half) == 0 else half.std(ddof=1) for half in (a, b)]
    first, second = (a.mean() + shift, spreads[0], len(a)), (b.mean(), spreads[1], len(b))
    found = stats.ttest_ind_from_stats(*first, *second, equal_var=False, alternative=side)
    return float(found.pvalue)


def p_exact(a, b):
    """Return the share of the splits that lie as far apart; equal sums are equal up to rounding."""
    pooled = np.concatenate([a, b])
    sums = [sum(pooled[list(chosen)]) for chosen in itertools.combinations(range(10), 5)]
    apart = np.abs(np.array(sums) - pooled.sum() / 2)
    return float((apart >= apart[0] - 1e-9).mean())


def p_equal(a, b, margin=0.05):
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return math.nan
    return max(by_scipy(a, b, margin, "greater"), by_scipy(a, b, -margin, "less"))


def holm(p):
    """Return p values by name, corrected: each against as many as are not smaller."""
    corrected, least = {}, 0.0
    order = sorted(p, key=lambda name: 1.0 if math.isnan(p[name]) else p[name])
    for place, name in enumerate(order):
        least = max(least, min(1.0, (len(p) - place) * (1.0 if math.isnan(p[name]) else p[name])))
        corrected[name] = p[name] if math.isnan(p[name]) else least
    return corrected


def p_told(p):
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


ASKED = ("equal_tokens", "equal_flops", "transfer", "parts", "awake", "bounds", "rules")
FAMILY, EQUALITIES = (
    {
        tuple(row[:2]): row
        for question in ASKED
        for head, *rows in tables(question)
        if head[0] == what
        for row in rows
    }
    for what in ("difference", "as good as")
)


def both(name):
    """Return the seeds of the two conditions of a difference at its hops."""
    words, hops = name
    return tuple(final(one, hops) for one in words.split(" minus "))


@pytest.mark.parametrize("question", ["equal_flops", "parts", "awake", "bounds", "rules"])
def test_means_and_intervals_of_conditions(question):
    (head, *rows), *_ = tables(question)
    assert head == ["condition", "1 hop", "2 hops", "3 hops", "4 hops", "seeds"] and len(rows) > 3
    for words, *cells, seeds in rows:
        assert cells == [mean_cell(final(words, hops)) for hops in HOPS], words
        assert seeds == str(len(of(words))) == "5"


def test_means_and_intervals_at_equal_tokens():
    (_, *rows), _ = tables("equal_tokens")
    assert [row[1] for row in rows] == ["1", "2", "4"]
    for arm, n, *cells, _ in rows:
        assert cells == [mean_cell(final(f"{arm}, N = {n}", hops)) for hops in HOPS]


def test_means_and_intervals_within_each_budget():
    ((_, *rows),) = tables("compute")
    assert len(rows) == 7 * 5
    for words, flops, *cells, _ in rows:
        assert cells == [mean_cell(within(words, hops, float(flops))) for hops in HOPS], (
            words,
            flops,
        )


def test_means_and_intervals_at_every_n_tested():
    (_, *rows), _ = tables("transfer")
    assert len(rows) == 4 * 8
    for words, n, *cells, _ in rows:
        assert cells == [mean_cell(final(words, hops, n)) for hops in HOPS], (words, n)


def test_the_largest_hops_solved_at_three_thresholds():
    ((head, *rows),) = tables("solved")
    assert len(rows) == 10
    for arm, n, mean, *cells, _ in rows:
        name = {"sleep": f"sleep, N = {n}", "random N": "random N in 1-4"}.get(
            arm, f"{arm} (matched to N = {n})"
        )
        tested = n if arm == "random N" else None
        assert mean == mean_cell(largest(name, 0.9, tested))
        for cell, threshold in zip(cells, (0.9, 0.8, 0.95), strict=True):
            assert cell == ", ".join(f"{hops:g}" for hops in largest(name, threshold, tested))


def test_every_difference_with_its_interval_and_corrected_tests():
    assert len(FAMILY) == 68
    exact = {name: p_exact(*both(name)) for name in FAMILY}
    by_t = {name: p_welch(*both(name)) for name in FAMILY}
    exact_holm, by_t_holm = holm(exact), holm(by_t)
    for name, row in FAMILY.items():
        a, b = both(name)
        low, high = welch(a, b, 0.95)
        stands = [w for w, p in (("t", by_t_holm[name]), ("exact", exact_holm[name])) if p < 0.05]
        assert row[2:] == [
            f"{a.mean() - b.mean():+.2f} [{low:+.2f}, {high:+.2f}]",
            p_told(exact[name]),
            p_told(exact_holm[name]),
            p_told(by_t_holm[name]),
            " and ".join(stands),
            "5",
        ], name
    count = sum(p < 0.05 for p in by_t_holm.values())
    assert f"{count} of 68 stand at 0.05 by Welch's t test" in PROSE
    assert min(exact_holm.values()) == pytest.approx(68 * 2 / 252)


def test_every_equality_with_its_interval_and_corrected_test():
    assert len(EQUALITIES) == 32
    corrected = holm({name: p_equal(*both(name)) for name in EQUALITIES})
    for name, row in EQUALITIES.items():
        a, b = both(name)
        low, high = welch(a, b, 0.90)
        equal = "yes" if corrected[name] < 0.05 else "not shown"
        assert row[2:] == [
            f"{a.mean() - b.mean():+.2f} [{low:+.2f}, {high:+.2f}]",
            p_told(corrected[name]),
            "no spread" if math.isnan(corrected[name]) else equal,
        ], name


def test_what_is_said_of_the_way_there():
    """At half the budget N = 2 has the higher means at 3 and 4 hops; few gaps exclude 0."""
    quarter, half, most = 1.7e12, 3.3e12, 4.9e12
    two, four, one = "sleep, N = 2", "sleep, N = 4", "sleep, N = 1"
    assert "0.72 and 0.57 against 0.50 and 0.50" in PROSE
    for hops, higher, lower in (("3", 0.72, 0.50), ("4", 0.57, 0.50)):
        assert within(two, hops, half).mean() == pytest.approx(higher, abs=0.005)
        assert within(four, hops, half).mean() == pytest.approx(lower, abs=0.005)
    assert "at 4 hops it has 0.20 and N = 1 0.24" in PROSE
    assert within(two, "4", quarter).mean() == pytest.approx(0.20, abs=0.005)
    assert within(one, "4", quarter).mean() == pytest.approx(0.24, abs=0.005)
    for budget, hops in itertools.product((quarter, half, most), ("2", "3", "4")):
        low, high = welch(within(four, hops, budget), within(two, hops, budget), 0.95)
        assert low < 0 < high
    told_apart = [
        hops
        for hops in HOPS[1:]
        if welch(within(four, hops, half), within(one, hops, half), 0.95)[0] > 0
    ]
    assert told_apart == ["2"]
    assert all(
        welch(within(four, hops, most), within(one, hops, most), 0.95)[0] > 0 for hops in HOPS[1:]
    )


def test_what_is_said_of_seeds_that_go_together():
    found = [
        np.corrcoef(final("sleep, N = 2", hops), final("sleep, N = 1", hops))[0, 1]
        for hops in HOPS[1:]
    ]
    words = "correlate with {:.2f}, {:.2f} and {:.2f} at 2, 3 and 4 hops".format(*found)
    assert words in PROSE


def test_what_is_said_of_the_deeper_model():
    """It goes on rising while its rate falls, which is from 70 % of its steps on."""
    deeper = of("deeper, N = 1 (matched to N = 4)")
    at = [
        dict(zip(run["curve"]["step"], run["curve"]["passes"], strict=True))[1400] for run in deeper
    ]
    before = np.mean([scores["1"]["accuracy"]["3"] for scores in at])
    after = final("deeper, N = 1 (matched to N = 4)", "3").mean()
    assert f"at 3 hops it rises from {before:.2f} to {after:.2f}" in PROSE
    loss = [
        np.mean([run["loss"]["loss"][-1] for run in runs]) for runs in (deeper, of("sleep, N = 4"))
    ]
    assert (
        f"training loss is {loss[0]:.2f} on average, where that of N = 4 is {loss[1]:.3f}" in PROSE
    )


def test_what_is_said_of_cost():
    def flops(words):
        return np.mean([run["budget"]["flops"] for run in of(words)])

    share = flops("rewrite only, N = 4") / flops("sleep, N = 4")
    assert f"It also takes {share:.0%} of the training FLOPs".replace("%", " %") in PROSE
    assert flops("loop upper half, N = 4") / flops("sleep, N = 4") == pytest.approx(0.75, abs=0.01)
    (steps,) = {run["budget"]["steps"] for run in of("loop awake (matched to N = 4)")}
    assert f"({steps:,} instead of 2,000 for N = 4)" in PROSE


def test_what_is_said_of_models_without_the_context():
    means = [
        np.mean([r["chance"]["the same model without the context"]["accuracy"][h] for r in runs])
        for arm, runs in BY_ARM.items()
        if arm[0] != "retained_cache"  # its window holds the questions too: nothing to leave out
        for h in HOPS
    ]
    assert f"the means of the arms are {min(means):.2f} to {max(means):.2f}" in PROSE


def test_what_is_said_of_rings_that_were_seen():
    rings = math.factorial(7)
    assert f"nodes form {rings:,} rings" in PROSE
    unseen = rings * (1 - 1 / rings) ** 64_000
    assert unseen < 0.02, "expected number of rings not drawn in 1,000 steps of 64"
