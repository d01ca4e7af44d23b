"""What docs/findings.md says of Variables, computed again from the records by NumPy and scipy."""

import tomllib

import numpy as np
import pytest
from findings_page import TOP, difference_cell, mean_cell, prose, record, rows
from scipy import stats

import workbench
from workbench.tasks import batch_generator

PROSE = prose("Working out values")
SEEDS = {"variables-mini": 5, "variables-words": 3, "variables-story": 3}
DEPTHS = ("1", "2", "3", "4")
every_record = pytest.mark.parametrize("name", SEEDS)


LONG = "variables-long-story"


def of(arm, passes, name="variables-mini"):
    labels = (arm, passes)
    found = [
        r for r in record(name)["runs"] if (r["labels"]["arm"], r["labels"]["passes"]) == labels
    ]
    assert [r["labels"]["seed"] for r in found] == list(range(SEEDS.get(name, 3)))
    return found


def scores(arm, passes, depth, tested=None, name="variables-mini"):
    runs = of(arm, passes, name)
    n = tested or runs[0]["labels"]["n_train"]
    return np.array([run["final"][n]["accuracy"][depth] for run in runs])


@every_record
def test_means_and_intervals_at_equal_tokens(name):
    found = rows(name, "equal_tokens", "arm")
    assert [row[1] for row in found] == (
        ["1", "2", "4"] if name == "variables-mini" else ["1", "4"]
    )
    for _, n, *cells, seeds in found:
        assert cells == [mean_cell(scores("sleep", int(n), d, name=name)) for d in DEPTHS]
        assert seeds == str(SEEDS[name])


@every_record
@pytest.mark.parametrize("depth", DEPTHS[1:])
@pytest.mark.parametrize(
    ("question", "arm", "passes"), [("equal_tokens", "sleep", 1), ("equal_flops", "deeper", 4)]
)
def test_differences_with_their_intervals(name, depth, question, arm, passes):
    """N = 4 against N = 1, and against a deeper model that spends the same on one pass."""
    words = f"sleep, N = 4 minus {arm}, N = 1"
    (found,) = (
        r[2] for r in rows(name, question, "difference") if r[0].startswith(words) and r[1] == depth
    )
    other = scores(arm, passes, depth, tested="1", name=name)
    assert found == difference_cell(scores("sleep", 4, depth, name=name), other)


@every_record
def test_what_is_said_of_the_lowest_and_highest_seeds(name):
    lowest = min(scores("sleep", 4, depth, name=name).min() for depth in ("3", "4"))
    highest = max(scores("sleep", 1, depth, name=name).max() for depth in ("3", "4"))
    said = "depth 3 and 4 the lowest seed of N = 4 answers {:.3f}, the highest of N = 1 {:.3f}"
    if name == "variables-story":
        said = "No seed of N = 1 (at most {1:.3f}) reaches one of N = 4 (at least {0:.3f})"
    assert said.format(lowest, highest) in PROSE


def test_what_is_said_of_the_story_seed_by_seed():
    four, one = (
        np.concatenate([scores("sleep", n, d, name="variables-story") for d in DEPTHS[2:]])
        for n in (4, 1)
    )
    said = "{:.2f}, {:.2f} and {:.2f} at depth 3, by {:.2f}, {:.2f} and {:.2f} at depth 4"
    assert said.format(*(four - one)) in PROSE


def test_what_is_said_of_the_long_story():
    means = {n: [scores("sleep", n, d, name=LONG).mean() for d in DEPTHS[1:]] for n in (4, 1)}
    three = "{:.2f}, {:.2f} and {:.2f}"
    four, one = three.format(*means[4]), three.format(*means[1])
    assert f"N = 4 answers {four} at depth 2, 3 and 4, N = 1 {one}" in PROSE
    gains = [f"{four - one:+.2f}" for four, one in zip(means[4], means[1], strict=True)]
    assert "{}, {} and {} at depth 2, 3 and 4 (stands, for that start)".format(*gains) in TOP
    for cells in rows(LONG, "equal_tokens", "difference"):
        pair = (scores("sleep", n, cells[1], name=LONG) for n in (4, 1))
        assert cells[2] == difference_cell(*pair) and cells[6] == "t"
    first = {
        n: [np.mean([r["final"][str(n)]["first"][d] for r in of("sleep", n, LONG)]) for d in DEPTHS]
        for n in (4, 1)
    }
    said = f"N = 4 has {three} there at depth 2, 3 and 4, N = 1 {three}."
    assert said.format(*first[4][1:], *first[1][1:]) in PROSE
    (four, *_), (one, *_) = (of("sleep", n, LONG) for n in (4, 1))
    shortcut = four["chance"]["own step from the commonest constant"]["accuracy"]
    flops = four["budget"]["flops"] / one["budget"]["flops"]
    said = f"A shortcut is right in {three}, and N = 4 takes {{:.1f}} times the training FLOPs"
    assert said.format(*(shortcut[d] for d in DEPTHS[1:]), flops) in PROSE
    config = four["config"]
    assert "variables-story.sleep-n4-seed0" in config
    settings = tomllib.loads(config)["task"]
    task = workbench.task(settings.pop("name"), **settings)
    batch = task.sample(100, batch_generator(0, 0, "words"))
    stories = [task.text(batch, i).splitlines()[0] for i in range(100)]
    words = np.mean([len(story.split()) for story in stories])
    assert f"{words:.0f} words in two windows" in PROSE and f"a story of {words:.0f} words" in TOP


def test_what_is_said_of_equal_flops():
    spent = {(a, n): of(a, n)[0]["budget"] for a, n in (("sleep", 4), ("sleep", 1), ("deeper", 4))}
    assert spent["deeper", 4]["flops"] == pytest.approx(spent["sleep", 4]["flops"], rel=1e-3)
    ratio = spent["sleep", 4]["flops"] / spent["sleep", 1]["flops"]
    assert f"{ratio:.1f} times the training FLOPs of N = 1" in PROSE
    pair = (spent[arm]["parameters"] for arm in (("deeper", 4), ("sleep", 4)))
    assert "({:,} parameters for {:,})".format(*pair) in PROSE
    highest = max(scores("deeper", 4, depth, tested="1").max() for depth in ("3", "4"))
    assert f"spends the same FLOPs on one pass {highest:.3f}" in PROSE
    at = []
    for arm, n in (("deeper", "1"), ("sleep", "4")):
        curves = [run["curve"] for run in of(arm, 4)]
        early = [c["passes"][c["step"].index(1200)][n]["accuracy"]["4"] for c in curves]
        at.append(np.mean(early))
    end = scores("deeper", 4, "4", tested="1").mean()
    said = "from {:.2f} after 1,200 of its {:,} steps to {:.2f}. N = 4 had {:.2f} by then"
    assert said.format(at[0], spent["deeper", 4]["steps"], end, at[1]) in PROSE


def test_what_is_said_of_n_2_and_of_random_n():
    two, any_n = scores("sleep", 2, "4"), scores("random_n", 4, "4", tested="4")
    said = f"Four of its seeds answer {np.sort(two)[1]:.2f} or more at depth 4, one {two.min():.2f}"
    assert said in PROSE
    said = "reaches {:.2f} at depth 4 when tested at N = 4 (seeds from {:.2f} to {:.2f})"
    assert said.format(any_n.mean(), any_n.min(), any_n.max()) in PROSE
    flops = [of(arm, 4)[0]["budget"]["flops"] for arm in ("random_n", "sleep")]
    at_one = [scores(arm, 4, "4", tested="1").mean() for arm in ("random_n", "sleep")]
    said = "for {:.0f} % of the FLOPs of N = 4; in return it answers {:.2f} at N = 1, where"
    assert f"{said.format(100 * flops[0] / flops[1], at_one[0])} N = 4 has {at_one[1]:.2f}" in PROSE


@pytest.mark.filterwarnings("ignore:Precision loss")  # depth 1, where every seed is near 1
def test_what_stands_in_the_family_with_n_2():
    four = {d: scores("sleep", 4, d) for d in DEPTHS}
    others = {n: {d: scores("sleep", n, d) for d in DEPTHS} for n in (1, 2)}
    deeper = {d: scores("deeper", 4, d, tested="1") for d in DEPTHS}
    pairs = [(others[2], others[1]), (four, others[2]), (four, others[1]), (four, deeper)]
    p = [
        stats.ttest_ind(left[d], right[d], equal_var=False).pvalue
        for left, right in pairs
        for d in DEPTHS
    ]
    order = np.argsort(p)
    corrected = np.empty(16)
    steps = [p[i] * (16 - rank) for rank, i in enumerate(order)]
    corrected[order] = np.maximum.accumulate(steps)
    assert "(p = {:.3f}, {:.3f} and {:.2f} corrected)".format(*corrected[13:]) in PROSE
    assert np.flatnonzero(corrected < 0.05).tolist() == [9, 10, 11]  # N = 4 over N = 1


@pytest.mark.filterwarnings("ignore:Precision loss")  # depth 1, where every seed is near 1
def test_what_is_said_of_equal_flops_with_words():
    spent = [of(arm, 4, "variables-words")[0]["budget"]["flops"] for arm in ("sleep", "deeper")]
    assert spent[0] == pytest.approx(spent[1], rel=1e-3)
    means = [
        [scores(arm, 4, d, tested=n, name="variables-words").mean() for d in DEPTHS[2:]]
        for arm, n in (("deeper", "1"), ("sleep", "4"))
    ]
    said = "answers {:.2f} and {:.2f} where N = 4 answers {:.2f} and {:.2f}"
    assert said.format(*means[0], *means[1]) in PROSE
    p = [
        stats.ttest_ind(
            scores("sleep", 4, d, name="variables-words"),
            scores(arm, n, d, tested="1", name="variables-words"),
            equal_var=False,
        ).pvalue
        for arm, n in (("sleep", 1), ("deeper", 4))
        for d in DEPTHS
    ]
    order = np.argsort(p)
    corrected = np.maximum.accumulate([p[i] * (len(p) - rank) for rank, i in enumerate(order)])
    story = [
        [scores(arm, 4, d, tested=n, name="variables-story").mean() for d in DEPTHS[2:]]
        for arm, n in (("deeper", "1"), ("sleep", "4"))
    ]
    said = "deeper model answers {:.2f} and {:.2f} at depth 3 and 4, N = 4 {:.2f} and {:.2f}"
    assert said.format(*story[0], *story[1]) in PROSE
    assert [order[i] for i in np.flatnonzero(corrected < 0.05)] == [0], "depth 1 at equal tokens"


def test_what_is_said_of_means_and_flops_in_english():
    one, four = (
        [scores("sleep", n, d, name="variables-story").mean() for d in DEPTHS[2:]] for n in (1, 4)
    )
    said = "already answers {:.2f} and {:.2f} there, four passes {:.2f} and {:.2f}"
    assert said.format(*one, *four) in PROSE
    ratios = []
    for name in ("variables-words", "variables-story"):
        spent = [of("sleep", n, name)[0]["budget"]["flops"] for n in (4, 1)]
        ratios.append(spent[0] / spent[1])
        for depth in DEPTHS[2:]:
            gain = np.mean(
                scores("sleep", 4, depth, name=name) - scores("sleep", 1, depth, name=name)
            )
            assert f"{gain:+.2f}" in TOP
    said = "{:.1f} times the training FLOPs of N = 1 with words and {:.1f} times with the story"
    assert said.format(*ratios) in PROSE


def test_what_is_said_of_the_chance_lines():
    lines = of("sleep", 4)[0]["chance"]
    short = lines["own step from the commonest constant"]["accuracy"]
    assert (
        "which is right in {:.2f}, {:.2f} and {:.2f}".format(*(short[d] for d in DEPTHS[1:]))
        in PROSE
    )
    blind = [
        run["chance"]["the same model without the context"]["accuracy"][depth]
        for arm in (of("sleep", 4), of("sleep", 1), of("deeper", 4))
        for run in arm
        for depth in DEPTHS
    ]
    assert f"without the context they answer {min(blind):.2f} to {max(blind):.2f}" in PROSE


def test_what_is_said_of_passes_left_out():
    means = [scores("sleep", 4, "4", str(n)).mean() for n in (1, 2, 3, 4, 6, 8)]
    words = "{:.2f}, {:.2f}, {:.2f}, {:.2f}, {:.2f} and {:.2f} at depth 4".format(*means)
    assert words in PROSE
