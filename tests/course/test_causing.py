"""Notebook 8: checks say something fitting about each mistake; what it says of the model holds."""

import numpy as np
import pytest
from judged import judged
from solutions import solved

from sleep_course import boundary, causing
from sleep_course.exercises import causing as checks
from sleep_course.records import measured
from sleep_course.writers import shares_against_replay
from workbench.instruments.interventions import patch_effects
from workbench.tasks import batch_generator

right = solved("causing")


test_patched = judged(
    checks.check_patched,
    (lambda own, donors, head: right.patched(own, donors, 2), "use the head that is given"),
    (lambda own, donors, head: right.patched(own, donors, 1), "not the recipient's S with head 2"),
)

test_effect = judged(
    checks.check_effect,
    (lambda after, own, donors: 7.0, "yours gives 7"),
    (
        lambda after, own, donors: right.effect(after, own, donors) if after[0] > 0 else 0.5,
        "nothing changed must give 0",
    ),
)

test_at_random = judged(
    checks.check_at_random,
    (lambda b, a, noise: right.at_random(b, a, -noise), "direction is not that"),
    (lambda b, a, noise: b + 0 * noise, "not as large as the patch's"),
)


def passes(step, left=lambda n, done: n - done, asked=lambda S: S):
    """Return an answer that goes from (features, S, S as given) to the next features and S."""

    def answer_to(h, S, done, n, one_pass, answer):
        put_in = S
        for _ in range(left(n, done)):
            h, S = step(one_pass, h, S, put_in)
        return answer(asked(S))

    return answer_to


def as_it_should(one_pass, h, S, put_in):
    return one_pass(h, S)


same_features = passes(lambda one_pass, h, S, put_in: (h, one_pass(h, S)[1]))
put_in_again = passes(lambda one_pass, h, S, put_in: one_pass(h, put_in))
asks_the_old_one = passes(lambda one_pass, h, S, put_in: (one_pass(h, S)[0], S))
some_other_s = passes(as_it_should, asked=lambda S: S + 1)
one_at_least = passes(as_it_should, left=lambda n, done: max(n - done, 1))

test_read_on = judged(
    checks.check_read_on,
    (lambda h, S, done, n, one_pass, answer: S, "one number, not the memory"),
    (lambda h, S, done, n, one_pass, answer: answer(S), "a readout patch"),
    (lambda h, S, done, n, o, answer: right.read_on(h, S, 0, n, o, answer), "n - done"),
    (lambda h, S, done, n, o, answer: right.read_on(h, S, done + 1, n, o, answer), "yours runs 2"),
    (same_features, "take both that one_pass gives"),
    (put_in_again, "put in again before every pass"),
    (asks_the_old_one, "the S before them"),
    (some_other_s, "not S as they leave it"),
    (one_at_least, "no pass is left"),
)


test_without = judged(
    checks.check_without,
    (lambda S, head, how: right.without(S, head + 1, how), "S[:, head] should be zero"),
    (
        lambda S, head, how: right.without(S, head, how) + (how == "mean") * S[:1] / 9,
        "not the head's mean",
    ),
)


# --- what the notebook says of the bundled model -------------------------------------------------


@pytest.fixture(scope="module")
def found(checkpoint):
    return causing.Pairs(checkpoint)


def test_all_of_s_at_the_last_boundary_is_the_donors_reading_to_the_bit(checkpoint):
    assert causing.exactness(checkpoint, count=16) == 0.0
    assert causing.exactness(checkpoint, count=16, eviction="sliding") > 1.0


def test_the_two_ends_lie_far_apart(found):
    own, donors = (boundaries[0, 4].memory for boundaries in (found.own, found.donors))
    assert found.asked.asked.sum() == 442
    assert found.differences(own).mean() < -15 and found.differences(donors).mean() > 15
    assert found.stayed(own) > 0.98 and found.became_donors(donors) > 0.98


def test_head_0_carries_the_answers_and_its_controls_do_not(found):
    own, donors = (boundaries[0, 4].memory for boundaries in (found.own, found.donors))
    S, given = causing.state_of(own), causing.state_of(donors)
    ends = found.differences(own), found.differences(donors)
    noise = np.random.default_rng(0).standard_normal(S.shape)
    moved = [
        right.effect(
            found.differences(causing.with_state(own, right.patched(S, given, head))), *ends
        )
        for head in range(4)
    ]
    assert moved[0] > 0.85 and max(np.abs(moved[1:3])) < 0.01 and 0.02 < moved[3] < 0.2
    controls = (
        right.patched(S, np.roll(given, 1, axis=0), 0),
        right.at_random(S, right.patched(S, given, 0), noise),
    )
    unrelated, random = (causing.with_state(own, control) for control in controls)
    assert found.became_donors(causing.with_state(own, right.patched(S, given, 0))) > 0.85
    assert 0.4 < right.effect(found.differences(unrelated), *ends) < 0.6
    # neither makes more of them the donor's than a guess would: any node but the one asked about
    guess = 1 / 7
    assert found.became_donors(unrelated) == pytest.approx(0.15, abs=0.03)
    assert abs(found.became_donors(unrelated) - guess) < 0.04 and found.stayed(unrelated) < 0.25
    assert right.effect(found.differences(random), *ends) < 0.35
    assert 0.05 < found.became_donors(random) < guess


@pytest.mark.slow
def test_by_hand_it_is_what_the_instrument_says(checkpoint, found):
    recipient, donor = (
        checkpoint.task.sample(64, batch_generator(s, 0, "notebook")) for s in (1, 2)
    )
    effects = patch_effects(
        found.model, checkpoint.task, recipient, donor, found.sleep, boundaries=[(0, 1), (0, 3)]
    ).sel(direction="noise", control="patch")
    told = effects["became_donor"].mean(["example", "query"]).squeeze()
    carried = causing.read_on_with(found, right.read_on, boundary.one_pass_of(found.model))
    np.testing.assert_allclose(carried[[0, 2]], told.values, atol=1e-6)


def test_carried_on_a_patch_is_mostly_written_over(found):
    one_pass = boundary.one_pass_of(found.model)
    carried = causing.read_on_with(found, right.read_on, one_pass)
    at_once = causing.read_on_with(found, lambda h, S, done, n, o, answer: answer(S), one_pass)
    assert (carried[:3] < 0.2).all() and carried[3] == at_once[3] > 0.95
    assert at_once[0] > 0.4 and at_once[1] > 0.8 and at_once[2] > 0.9


def test_head_2_erased_costs_the_far_hops_and_its_mean_nothing(found):
    own = found.own[0, 4].memory
    S = causing.state_of(own)
    told = {
        how: causing.accuracy_by_hops(found, causing.with_state(own, right.without(S, 2, how)))
        for how in ("zero", "mean")
    }
    assert told["zero"][2] > 0.95 and told["zero"][3] < 0.5 and told["zero"][4] < 0.25
    assert min(told["mean"].values()) > 0.95
    for how in ("zero", "mean"):  # head 0: gone from two hops on, at one hop not quite half
        left = causing.accuracy_by_hops(found, causing.with_state(own, right.without(S, 0, how)))
        assert 0.4 < left[1] < 0.5 and all(left[hops] < 0.25 for hops in (2, 3, 4))


def test_half_of_head_0_was_written_by_the_last_pass_and_three_quarters_over_all_heads(trace):
    shares = shares_against_replay(trace).sel(procedure="sleep", source_pass=4)
    assert float(shares.sel(gdn_head=0)) == pytest.approx(0.53, abs=0.01)
    assert float(shares.mean("gdn_head")) == pytest.approx(0.75, abs=0.01)


def test_what_the_records_say():
    heads = causing.last_place(measured("patches-depo-n8-any-heads"))["effect"]
    head_0 = heads.sel(component="layer 1 head 0")
    assert (head_0.sel(control="patch") > 0.85).all()
    assert (head_0.sel(control="unrelated donor") < 0.55).all()
    both = heads.sel(control="patch")
    assert float(abs(both.sel(direction="noise") - both.sel(direction="denoise")).max()) < 0.03
    passes = causing.last_place(measured("patches-depo-n8-any-passes"))["effect"]
    noise = passes.sel(direction="noise")
    first, last = (noise.sel(component=f"change of pass {n}, window 0") for n in (1, 4))
    assert first.sel(control="patch", difficulty=1) > 0.7
    assert first.sel(control="unrelated donor", difficulty=1) < 0.4
    assert float(last.sel(control="patch").max()) <= 0.1
    gaps = noise.sel(control="patch") - noise.sel(control="unrelated donor")
    assert float(abs(gaps.sel(difficulty=4)).max()) < 0.06
