"""Notebook 2: checks say something fitting about each mistake; what it says of the model holds."""

import numpy as np
import pytest
import torch
from judged import judged
from solutions import solved

import workbench
from sleep_course import boundary
from sleep_course.exercises import boundary as checks
from workbench.model import Memory
from workbench.sleep import SleepPass, read, split_windows
from workbench.tasks import batch_generator

right = solved("boundary")

test_sizes = judged(
    checks.check_sizes,
    ((lambda t, w: 3 * t * w, right.fast_numbers), "not 180"),
    ((lambda t, w: 120, right.fast_numbers), "does not grow"),
    ((right.cache_numbers, lambda h, k, v: 7), "not 7"),
)

test_cut = judged(
    checks.check_cut,
    (lambda t, w: [1, 2], "returns shape (); expected (2,)"),
    (lambda t, w: [(s, s + w - 1) for s in range(0, t, w)], "as in a slice"),
    (lambda t, w: [(s, s + w) for s in range(0, t - w + 1)], "do not overlap"),
    (lambda t, w: [(0, t)], "expected [(0, 4), (4, 8)]"),
    (lambda t, w: [(s, s + w) for s in range(0, t - w + 1, w)], "in no window"),
    (lambda t, w: [(s, s + w) for s in range(0, t, w)], "past the end"),
    (lambda t, w: right.cut(t, w) if t > w else [], "shorter than the window"),
)


def test_cut_by_hand_is_the_cut_of_the_workbench():
    batch = workbench.task("depo", nodes=5, max_hops=2, names="single", queries=3).sample(
        1, batch_generator(0, 0)
    )
    windows = split_windows(batch, 4, mask_padding=True, device=torch.device("cpu"))
    assert [(w.start, w.stop) for w in windows] == right.cut(batch.tokens.shape[1], 4)


test_may_see = judged(
    checks.check_may_see,
    (lambda i, j, w, kind: True, "comes after it"),
    (lambda i, j, w, kind: j < i, "does not see itself"),
    (lambda i, j, w, kind: right.may_see(i, j, w, "sliding"), "right for sliding"),
    (lambda i, j, w, kind: j <= i, "it was evicted"),
    (lambda i, j, w, kind: right.may_see(i, j, w, "hard"), "does not depend on `eviction`"),
    (lambda i, j, w, kind: right.may_see(i, j, w + (kind == "sliding"), kind), "one too many"),
    (lambda i, j, w, kind: right.may_see(i, j, w - (kind == "sliding"), kind), "token 3 can see"),
)


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
@pytest.mark.parametrize(("tokens", "window"), [(12, 4), (7, 3), (5, 8)])
def test_what_is_tried_out_is_what_the_rule_says(eviction, tokens, window):
    seen = checks.seen(tokens, window, eviction)
    assert np.array_equal(boundary.reach(tokens, window, eviction), seen)


def one_layer_alone(memory, window, eviction):
    kept = right.after_eviction(memory, window, eviction)
    return kept.replace(kv={i: cache for i, cache in kept.kv.items() if i == 0})


def scaled(memory, window, eviction):
    after = right.after_eviction(memory, window, eviction)
    return after.replace(fast_weights={i: 2 * s for i, s in after.fast_weights.items()})


test_after_eviction = judged(
    checks.check_after_eviction,
    (lambda m, w, kind: m.fast_weights, "a Memory was expected"),
    (lambda m, w, kind: m.erase(), "S is gone too"),
    (lambda m, w, kind: Memory(), "S is gone too"),
    (lambda m, w, kind: m.replace(kv={}), "tails are still there"),
    (lambda m, w, kind: m.replace(conv_tails={}), "nothing of the KV cache"),
    (lambda m, w, kind: m.replace(conv_tails={}, kv={}), "newest tokens' keys"),
    (lambda m, w, kind: right.after_eviction(m, w + 1, kind), "yours keeps 4"),
    (one_layer_alone, "every layer's cache"),
    (scaled, "stays unchanged"),
)


def rewrite_only(tokens, memory, n, embed, one_pass):
    for _ in range(n):
        _, memory = one_pass(embed(tokens), memory)
    return memory


def think_only(tokens, memory, n, embed, one_pass):
    h = embed(tokens)
    for _ in range(n):
        h, after = one_pass(h, memory)
    return after


def both(tokens, memory, n, embed, one_pass):
    h = embed(tokens)
    for _ in range(n):
        h, memory = one_pass(h, memory)
    return h, memory


test_sleep_on = judged(
    checks.check_sleep_on,
    (both, "the memory alone"),
    (lambda t, m, n, embed, one_pass: m, "was not called"),
    (lambda t, m, n, embed, one_pass: one_pass(embed(t), m)[0], "that is h"),
    (lambda t, m, n, embed, p: right.sleep_on(t, m, n, float, p), "embed them first"),
    (lambda t, m, n, embed, p: right.sleep_on(t, m, n + 1, embed, p), "two passes"),
    (
        lambda t, m, n, embed, p: right.sleep_on(t, m, 1, embed, p),
        "1 passes were run",
    ),
    (lambda t, m, n, embed, p: 2 * right.sleep_on(t, m, n, embed, p), "with n = 1"),
    (rewrite_only, "reads the embedding again"),
    (think_only, "starts from the memory before the sleep"),
)


# --- what the notebook says of the bundled model -------------------------------------------------


def test_sizes_of_the_model(bundled):
    model, batch, sleep = bundled
    held = boundary.numbers(boundary.before_eviction(model, batch, sleep))
    assert held == {"S": right.fast_numbers(4, 16, 16), "KV cache": right.cache_numbers(16, 64)}
    assert held["S"] == right.cache_numbers(8, 64), "as large as the cache of 8 tokens"


@pytest.mark.parametrize("n", [1, 4])
def test_the_loop_by_hand_is_the_sleep_of_the_workbench(bundled, n):
    model, batch, sleep = bundled
    edges = torch.as_tensor(batch.tokens[:, : sleep.window])
    with torch.no_grad():
        memory = model.empty_memory(64)
        mine = right.sleep_on(edges, memory, n, model.embed, boundary.one_pass_of(model))
        events = [e for e in read(model, batch, sleep.with_passes(n)) if isinstance(e, SleepPass)]
    assert torch.equal(mine.fast_weights[1], events[-1].memory.fast_weights[1])


def test_answers(bundled):
    model, batch, sleep = bundled
    four = boundary.accuracy(model, batch, sleep)
    one = boundary.accuracy(model, batch, sleep.with_passes(1))
    blind = boundary.accuracy(model, batch.token_range(sleep.window, 48), sleep)
    sliding = boundary.accuracy(model, batch, sleep.model_copy(update={"eviction": "sliding"}))
    whole = boundary.accuracy(model, batch, sleep.model_copy(update={"window": 48}))
    assert min(four.values()) > 0.98 and one[1] > 0.98 and one[4] < 0.4
    assert max(blind.values()) < 0.25
    assert 0.8 < sliding[4] < four[4] and max(whole.values()) < 0.8


def test_times_come_for_each_n(bundled):
    model, batch, sleep = bundled
    taken = boundary.milliseconds(model, batch.examples(slice(0, 2)), sleep, (1, 2), repeats=1)
    assert [len(taken[name]) for name in ("asleep", "awake")] == [2, 2]
    assert min(taken["asleep"] + taken["awake"]) > 0
