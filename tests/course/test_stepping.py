"""Notebook 3: checks say something fitting about each mistake; what it says of the model holds."""

import numpy as np
import pytest
import torch
from judged import judged
from solutions import solved

import workbench
from sleep_course import inside, stepping
from sleep_course.exercises import stepping as checks
from workbench.sleep import SleepPass, read, until_answers_settle
from workbench.tasks import batch_generator

right = solved("stepping")


def events_of(labelled, n, first=1, evicted=True, wakes=1):
    words = []
    for awake in labelled:
        words += ["wake"] * wakes if awake else [f"pass {i + first}" for i in range(n)]
        words += ["eviction"] * (evicted is True or (evicted == "asleep" and not awake))
    return words


def evicted_after_each_pass(labelled, n):
    return [word for i in range(n) for word in (f"pass {i + 1}", "eviction")]


def asleep_first(labelled, n):
    asleep = [f"pass {i + 1}" for i in range(n)]
    return [w for awake in labelled for w in (*asleep, *["wake"] * awake, "eviction")]


test_events = judged(
    checks.check_events,
    (lambda labelled, n: n, "not a list of words"),
    (lambda labelled, n: events_of(labelled, n, first=0), "pass 0 is what was there"),
    (lambda labelled, n: events_of(labelled, n, evicted=False), "comes an eviction"),
    (evicted_after_each_pass, "one eviction for a window"),
    (lambda labelled, n: events_of([not a for a in labelled], n), "that window is slept on"),
    (lambda labelled, n: ["eviction"], "yours gives ['eviction']"),
    (lambda labelled, n: events_of(labelled, n, evicted="asleep"), "is evicted as well"),
    (lambda labelled, n: events_of(labelled, n, wakes=n), "one pass, whatever N is"),
    (asleep_first, "without sleeping first"),
    (lambda labelled, n: events_of(labelled[:1], n), "two windows to sleep on"),
)


@pytest.mark.parametrize("name", ["depo-n8-w2-any", "depo-n8-any"])
def test_the_foretold_events_are_those_of_the_workbench(name):
    checkpoint = workbench.load(name)
    batch = checkpoint.task.sample(1, batch_generator(1, 0, "notebook"))
    labelled = batch.loss_mask[0].reshape(-1, checkpoint.sleep.window).any(1)
    with torch.no_grad():
        events = list(read(checkpoint.model, batch, checkpoint.sleep.with_passes(3)))
    assert [stepping.name_of(event) for event in events] == right.events_of(labelled, 3)


def event_after(events, window, sleep_pass):
    for event in events:
        if isinstance(event, SleepPass):
            if (event.window.index, event.sleep_pass) == (window, sleep_pass):
                return event


def in_a_list(events, window, sleep_pass):
    return right.memory_after(list(events), window, sleep_pass)


def first_window(events, window, sleep_pass):
    return right.memory_after(events, 0, sleep_pass)


def one_too_early(events, window, sleep_pass):
    return right.memory_after(events, window, max(sleep_pass - 1, 1))


test_memory_after = judged(
    checks.check_memory_after,
    (event_after, "event.memory, not the event"),
    (lambda events, w, p: 1, "a Memory was expected"),
    (in_a_list, "computed for nothing"),
    (first_window, "compare the window's index"),
    (one_too_early, "not the memory after window 1, pass 2"),
)


test_share_right = judged(
    checks.check_share_right,
    (lambda logits, tokens, labelled: 0.1, "yours gives 0.1"),
    (lambda logits, tokens, labelled: logits.argmax(1) == tokens, "Compare the likeliest symbol"),
)


def fading(S, writes, n):
    weaker = [[(k, v, beta / (i + 1), a) for k, v, beta, a in writes] for i in range(n)]
    after = []
    for some in weaker:
        after += right.replay(after[-1] if after else S, some, 1)
    return after


test_replay = judged(
    checks.check_replay,
    (lambda S, writes, n: right.replay(S, writes, n + 2), "shape (6, 3, 2)"),
    (fading, "right the first time"),
    (lambda S, writes, n: right.replay(S, writes[::-1], n), "not the gated delta rule"),
)


def settled(before, after, share=0.1):
    return right.settled((before - after) * 0.1 / share + after, after)


def together(before, after):
    return np.linalg.norm(after - before) <= 0.1 * np.linalg.norm(after)


def any_head(before, after):
    step = np.linalg.norm(after - before, axis=(1, 2))
    return (step <= 0.1 * np.linalg.norm(after, axis=(1, 2))).any()


def first_head(before, after):
    return settled(before[:1], after[:1])


def absolute(before, after):
    return (np.linalg.norm(after - before, axis=(1, 2)) <= 0.1).all()


def of_norms(before, after):
    was, now = (np.linalg.norm(x, axis=(1, 2)) for x in (before, after))
    return ((now - was) <= 0.1 * now).all()


test_settled = judged(
    checks.check_settled,
    (lambda before, after: False, "goes on sleeping"),
    (lambda before, after: True, "both heads changed by half"),
    (together, "each head by itself"),
    (first_head, "all of them must have settled"),
    (any_head, "each head by itself"),
    (absolute, "divide by the norm"),
    (lambda before, after: settled(before, after, 0.02), "a twentieth"),
    (lambda before, after: settled(before, after, 0.2), "the line is at a tenth"),
    (of_norms, "norm of the difference"),
)


# --- what the notebook says of the bundled model -------------------------------------------------


def test_hops_come_within_reach_one_after_the_other(bundled):
    model, batch, sleep = *bundled[:2], bundled[2].with_passes(8)
    trace = workbench.record(model, batch, sleep)
    woken = inside.by_difficulty(trace, trace["readout"]["correct"].sel(window=0))
    assert woken.sizes == {"difficulty": 4, "sleep_pass": 9}
    assert float(woken.sel(sleep_pass=0).max()) < 0.25
    assert woken.sel(difficulty=1, sleep_pass=1) > 0.98
    assert woken.sel(difficulty=2, sleep_pass=1) < 0.7
    assert (
        woken.sel(difficulty=2, sleep_pass=2) > 0.95 > 0.8 > woken.sel(difficulty=4, sleep_pass=2)
    )
    assert float(woken.sel(sleep_pass=slice(4, None)).min()) > 0.95


def test_broken_off_after_pass_n_is_a_sleep_of_n(bundled):
    model, batch, sleep = *bundled[:2], bundled[2].with_passes(8)
    long, short = (inside.sleep_passes(model, batch, sleep.with_passes(n)) for n in (8, 3))
    assert torch.equal(short[-1].memory.fast_weights[1], long[2].memory.fast_weights[1])


def test_changes_stand_out_from_the_replay_in_the_first_passes_alone(bundled):
    from workbench.instruments.change import change

    model, batch, sleep = *bundled[:2], bundled[2].with_passes(8)
    some = batch.examples(slice(0, 16))
    trace = workbench.record(model, some, sleep)
    found = change(trace)["memory_change"].sel(window=0).mean("example")
    slept, replayed = (found.sel(procedure=name).values for name in ("sleep", "frozen replay"))
    assert (slept[2:5] > 1.5 * replayed[2:5]).all()
    assert (slept[5:] < 1.5 * replayed[5:]).all()
    writes = (
        trace["writes"].to_dataset().isel(example=0, window=0, layer=0, gdn_head=0, sleep_pass=0)
    )
    listed = zip(
        writes.write_key.values, writes.write_value.values, writes.beta.values,
        np.exp(writes.log_decay.values), strict=True,
    )  # fmt: skip
    by_hand = right.replay(np.zeros((16, 16)), list(listed), 8)
    steps = [
        np.linalg.norm(b - a) / np.linalg.norm(b)
        for a, b in zip(by_hand, by_hand[1:], strict=False)
    ]
    told = change(trace)["relative_change"].sel(window=0, procedure="frozen replay")
    np.testing.assert_allclose(steps, told.isel(example=0, layer=0, gdn_head=0)[2:], rtol=1e-3)


def test_how_long_each_ring_sleeps(bundled):
    model, batch, sleep = *bundled[:2], bundled[2].with_passes(8)
    some = batch.examples(slice(0, 12))
    by_memory = stepping.each_alone(model, some, sleep, stepping.rule_of(right.settled))
    assert set(by_memory.passes) <= {6, 7}
    by_answers = stepping.each_alone(model, some, sleep, until_answers_settle)
    assert by_answers.passes.mean() < 4 and set(by_answers.passes) <= {2, 3, 4, 5}
    fixed = stepping.each_alone(model, some, sleep.with_passes(4))
    assert set(fixed.passes) == {4} and fixed.right.mean() > 0.98
    assert str(fixed).startswith("4.00 passes, ") and "N: 4: 12" in str(fixed)
