"""Notebook 5: checks say something fitting about each mistake; what it says of traces holds."""

import numpy as np
import pytest
import xarray as xr
from judged import judged
from solutions import solved

import workbench
from sleep_course import writers
from sleep_course.exercises import writers as checks
from workbench.instruments.linear import forward, layers_of
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.retention import retention

right = solved("writers")


test_carry = judged(checks.check_carry, (lambda C, k, beta, a: 2 * C, "not a (I - beta k k^T) C"))

test_contributions = judged(
    checks.check_contributions,
    (lambda writes: np.roll(right.contributions(writes), 1, axis=0), "not what each token wrote"),
    (lambda writes: [2 * C for C in right.contributions(writes)], "off from S by 100%"),
)


def length(x):
    return np.linalg.norm(x)


test_share = judged(
    checks.check_share,
    (lambda C, S: length(C) / length(S), "norms of parts that point elsewhere"),
    (lambda C, S: length(C) ** 2 / length(S) ** 2, "squares do not add up"),
    (lambda C, S: (C * S).sum() / length(C) / length(S), "the cosine"),
    (lambda C, S: abs(right.share(C, S)), "keep the sign"),
    (lambda C, S: (C * S).sum() / length(S), "square of the norm"),
    (lambda C, S: (C * S).sum(), "units of S squared"),
    (lambda C, S: C.sum() / S.sum(), "not a size"),
    (lambda C, S: 0.5, "not (part * S).sum()"),
)

test_decays_only = judged(
    checks.check_decays_only,
    (lambda writes: np.cumsum(right.contributions(writes), 0), "not beta k v^T times the later"),
)

test_kept = judged(
    checks.check_kept,
    (lambda C, later: (C, C), "expected (2,)"),
    (lambda C, later: (right.kept(C, later)[0], 0.123), "not 0.123"),
    (lambda C, later: (0.5, 0.5), "here they are"),
)


# --- what the notebook says of the bundled traces ------------------------------------------------


@pytest.mark.parametrize("head", [0, 3])
def test_parts_by_hand_sum_to_the_state_and_are_those_of_the_workbench(trace, head):
    S = trace["states"]["fast_weight"].sel(example=0, window=0, sleep_pass=4, gdn_head=head)
    S = S.isel(layer=0).values
    writes = writers.writes_of(trace, example=0, gdn_head=head)
    assert len(writes) == 64
    parts = right.contributions(writes)
    assert np.linalg.norm(sum(parts) - S) < 1e-6 * np.linalg.norm(S)
    passes = writers.by_pass(parts, 4)
    steps = forward(next(layers_of(trace)))
    sources = next(found for last, found, _ in steps if (last.window, last.sleep_pass) == (0, 4))
    found = [source.contribution[0, head] for source in sources]
    np.testing.assert_allclose(found, passes, atol=1e-5)


def test_writes_leave_out_padding_and_passes_that_were_not_made(two):
    assert len(writers.writes_of(two, example=0, gdn_head=0, window=2)) == 8
    short = two.copy()
    writes = two["writes"].to_dataset().copy(deep=True)
    writes["beta"][dict(example=0, window=0, token=slice(6, None))] = np.nan
    short["writes"] = xr.DataTree(writes)
    assert len(writers.writes_of(short, example=0, gdn_head=0)) == 4 * 6


def test_the_last_pass_has_most_in_a_replay_as_well(trace):
    shares = writers.shares_against_replay(trace)
    np.testing.assert_allclose(shares.sum("source_pass"), 1, atol=1e-5)
    slept, again = (shares.sel(procedure=p) for p in ("sleep", "frozen replay"))
    np.testing.assert_allclose(slept[0], [0.15, 0.13, 0.19, 0.53], atol=0.01)
    assert again.sel(gdn_head=0, source_pass=4) == pytest.approx(0.70, abs=0.01)
    early = {"gdn_head": 0, "source_pass": [1, 2]}
    assert (slept.sel(early) > again.sel(early)).all()
    assert (slept.sel(gdn_head=[2, 3], source_pass=1) < 0.03).all()
    assert (again.sel(gdn_head=[2, 3], source_pass=1) > 0.12).all()
    assert shares.sel(gdn_head=1, source_pass=4).values == pytest.approx([1, 1], abs=0.01)
    decay = trace["writes"]["log_decay"].sel(window=0).isel(layer=0, gdn_head=1).sum("token")
    assert np.exp(decay).max() < 0.03


def test_both_windows_are_in_heads_0_and_2_and_questions_hardly_move_them(two):
    found = contribution_norms(two)["share"].isel(layer=0).mean("example").sum("source_pass")
    end = found.sel(window=1)
    for head in (0, 2):
        first, second = end.sel(gdn_head=head).values[:2]
        assert 0.4 < first < second < 0.6
        assert np.abs(found.sel(window=5, gdn_head=head).values[:2] - (first, second)).max() < 0.03
    alone = contribution_norms(two)["share"].isel(layer=0, gdn_head=1).mean("example")
    assert alone.sel(window=1, source_window=1, source_pass=4) > 0.99
    assert all(found.sel(window=w, gdn_head=1)[w] > 0.99 for w in range(2, 6))


def test_targets_are_bright_in_head_0(two):
    norm = contribution_norms(two, every_token=True)["norm"].isel(layer=0).mean("example")
    last = norm.sel(window=1, gdn_head=0, source_window=[0, 1], source_pass=4)
    sources, targets = (last.isel(source_token=slice(i, None, 2)) for i in (0, 1))
    assert float(targets.min()) > 2 * float(sources.max())


def test_how_far_the_formula_without_removal_is_off(trace, two):
    first, last, first_two, last_two = (
        writers.off_by(some, right.decays_only, passes=n) for some in (trace, two) for n in (1, 4)
    )
    means = [found.mean() for found in (first, last, first_two, last_two)]
    np.testing.assert_allclose(means, [1.7, 3.0, 0.5, 1.1], atol=0.05)
    assert means[2] == pytest.approx(0.50, abs=0.02)
    every = np.concatenate([first, last, first_two, last_two])
    assert 0.05 < every.min() < 0.07 and 6.5 < every.max() < 6.7
    assert last_two[1] < 0.2 * first_two[1]  # nothing piles up in head 1
    decay = two["writes"]["log_decay"].sel(window=0).isel(layer=0, gdn_head=1).sum("token")
    assert (np.exp(decay).mean("example").sel(sleep_pass=[3, 4]) < 0.01).all()
    assert (last > 0.5).all()
    claimed = writers.shares_by(trace, right.decays_only)
    np.testing.assert_allclose(claimed[0], [0.33, 0.28, 0.22, 0.17], atol=0.01)


def test_what_is_left_later(two):
    by_hand = writers.kept_by_window(right.kept, two)
    found = retention(two).isel(layer=0)
    one = found.sel(example=0, source_window=0, age=1)
    np.testing.assert_allclose(by_hand, np.stack([one["decay"], one["removal"]], 1), atol=1e-4)
    means = found.mean("example")
    left = means["retention"].sel(source_window=0, age=1)
    assert left[0] == pytest.approx(0.88, abs=0.01) and left[2] == pytest.approx(0.82, abs=0.01)
    later = means["retention"].sel(source_window=0, age=5)
    assert (left - later)[[0, 2]].max() < 0.02
    assert left[1] < 0.01
    assert means["lost_to_decay"].sel(source_window=0, age=1)[[0, 2]].max() < 0.01
    assert means["retention"].sel(source_window=2, gdn_head=0, age=1) < 0.5


def test_exact_until_the_features_have_read_the_memory(two):
    checkpoint = workbench.load("depo-n8-w2-any")
    some = two.isel(example=slice(0, 8))
    found = writers.foretold_and_real(
        checkpoint.model, some, checkpoint.sleep.with_passes(4), window=1
    )
    assert found["off"].sel(sleep_pass=1).max() < 1e-5 < 0.8 < found["earlier"].sel(sleep_pass=1)[0]
    assert (found["off"].sel(sleep_pass=slice(2, None)) > 0.15).all()
    last = found.sel(sleep_pass=4)
    assert (last["off"] > 0.2).all() and (last["off"] < 0.35).all()
    assert last["earlier"][1] < 1e-3


def test_what_each_write_changed_sums_to_the_state_as_well(trace):
    """Both ways to keep the books are exact, and they do not agree about head 0."""
    parts = writers.changed_by(writers.writes_of(trace, example=0, gdn_head=0))
    state = trace["states"]["fast_weight"].sel(example=0, window=0, sleep_pass=4, gdn_head=0)
    np.testing.assert_allclose(sum(parts), state.values[0], atol=1e-4)
    changed = writers.shares_by(trace, writers.changed_by)
    left = writers.shares_against_replay(trace).values[0]
    np.testing.assert_allclose(changed.sum(1), 1.0, atol=1e-6)
    assert left[0, 3] > 0.5 > 0.05 > changed[0, 3]
    assert changed[0, 0] > 0.75 > 0.2 > left[0, 0]


def test_a_write_that_changes_nothing_has_a_part_by_one_convention_only():
    k, v = np.array([1.0, 0.0]), np.array([2.0, 3.0])
    parts = writers.changed_by([(k, v, 1.0, 1.0), (k, v, 1.0, 1.0)])
    np.testing.assert_allclose(parts[0], np.outer(k, v))
    np.testing.assert_allclose(parts[1], 0.0)
