"""Notebook 7: checks say something fitting about each mistake; what it says of the model holds."""

import numpy as np
import pytest
import torch
from judged import judged
from solutions import solved

import workbench
from sleep_course import attributing
from sleep_course.exercises import attributing as checks
from sleep_course.records import measured
from workbench.instruments.attributing.checks import hooked_completeness
from workbench.instruments.attributing.continuation import answer_target, rest_of_state
from workbench.instruments.attribution import attribute_state
from workbench.instruments.boundaries import read_boundaries
from workbench.model import Memory
from workbench.sleep import before_window
from workbench.tasks import batch_generator

right = solved("attributing")


def all_at_once(gradient, x, baseline, steps):
    alphas = (np.arange(steps)[:, None] + 0.5) / steps
    return (x - baseline) * gradient(baseline + alphas * (x - baseline)).mean(0)


def slope(gradient, x, baseline, steps):
    return right.integrated_gradients(gradient, x, baseline, steps) / (x - baseline)


def from_zero(gradient, x, baseline, steps):
    return (x - baseline) * right.integrated_gradients(gradient, x, 0 * x, steps) / x


test_integrated_gradients = judged(
    checks.check_integrated_gradients,
    (lambda g, x, b, n: x - b, "was not called"),
    (lambda g, x, b, n: (x - b) * g(x), "the gradient at the end alone"),
    (lambda g, x, b, n: n * right.integrated_gradients(g, x, b, n), "take their mean"),
    (slope, "multiply by its length"),
    (lambda g, x, b, n: x * slope(g, x, b, n), "not by x"),
    (lambda g, x, b, n: -right.integrated_gradients(g, x, b, n), "wrong way round"),
    (from_zero, "starts at zero"),
    (lambda g, x, b, n: right.integrated_gradients(g, x, b, 3), "taken at 400 points"),
    (lambda g, x, b, n: right.integrated_gradients(g, x, b, n // 4), "at 400 points"),
    (all_at_once, "one point per call"),
)


def at_points(alphas):
    """Return an answer that takes the gradient at `alphas(steps)` of the way."""

    def answer(gradient, x, baseline, steps):
        way = x - baseline
        return way * np.mean([gradient(baseline + a * way) for a in alphas(steps)], axis=0)

    return answer


# with 400 steps all of these are within a percent; with 8 they are not
test_points_are_the_middles_of_equal_pieces = judged(
    checks.check_integrated_gradients,
    (at_points(lambda n: np.arange(n) / n), "include the start"),
    (at_points(lambda n: (np.arange(n) + 1) / n), "include the end"),
    (at_points(lambda n: np.linspace(0, 1, n)), "include the baseline and x"),
    (at_points(lambda n: np.linspace(0, 1, n + 1)), "include the baseline and x"),
    (at_points(lambda n: (np.arange(400) + 0.5) / 400), "the gradient was taken 400 times"),
    (at_points(lambda n: (np.arange(n) + 0.25) / n), "take the midpoints"),
)


test_completeness_error = judged(
    checks.check_completeness_error,
    (lambda a, w: right.completeness_error(a, w) ** 2, "expected ["),
    (lambda a, w: np.abs(a.sum((1, 2)) - w) / np.abs(w), "[example, feature] as well"),
)


def made(weights=None, boundary=None, after=lambda found: found):
    """Return a `make_rest` with other weights, another boundary, or another result."""

    def make_rest(start, layer, answer):
        def rest(state):
            old = start.memory.fast_weights
            new = weights(old, layer, state) if weights else {**old, layer: state}
            memory = start.memory.replace(fast_weights=new)
            return after(answer(boundary(start, memory) if boundary else start.with_memory(memory)))

        return rest

    return make_rest


def in_place(weights, layer, state):
    weights[layer] = state
    return weights


def unfinished(start, layer, answer):
    def rest(state): ...

    return rest


test_make_rest = judged(
    checks.check_make_rest,
    (lambda start, layer, answer: answer(start), "should return a function"),
    (unfinished, "`rest` returns nothing yet"),
    (lambda start, layer, answer: lambda state: state.sum(), "`answer` was not called"),
    (made(in_place), "the boundary itself was changed"),
    (made(boundary=lambda start, memory: before_window(0, memory)), "from another boundary"),
    (made(lambda old, layer, state: {layer: state}), "the other layers' S is gone"),
    (
        made(boundary=lambda start, memory: start.with_memory(Memory(memory.fast_weights))),
        "no new Memory",
    ),
    (made(lambda old, layer, state: dict(old)), "`state` is not used"),
    (made(lambda old, layer, state: dict.fromkeys(old, state)), "another layer's S"),
    (made(lambda old, layer, state: {**old, layer: old[layer] + state}), "add nothing"),
    (made(lambda old, layer, state: {**old, layer: state.detach()}), "no gradient comes back"),
    (lambda *given: torch.no_grad()(right.make_rest(*given)), "no gradient comes back"),
    (made(after=lambda found: found.detach().numpy()), "what `answer` says, not ndarray"),
    (made(after=lambda found: 2 * found), "what `answer` says, unchanged"),
)


def by_name(players, worth):
    return dict(zip(players, right.shapley(players, worth), strict=True))


test_shapley = judged(
    checks.check_shapley,
    (by_name, "in the order of `players`"),
    (lambda players, worth: [5.0, 5.0, 4.0], "add up to 15; yours, to 14"),
)


def test_shapley_agrees_with_the_checks_own():
    found = checks.check_shapley.right(*checks.check_shapley.given)
    # by hand: over abc, acb, bac, bca, cab, cba
    a = ((7 - 5) + (7 - 5) + (17 - 5) + (20 - 4) + (9 - 4) + (20 - 4)) / 6
    assert found[0] == pytest.approx(a) and found.sum() == pytest.approx(15)


def numbered(rule):
    def mask(passes, heads, key, value):
        numbers = [[rule(n, h, passes, heads) for h in range(heads)] for n in range(passes)]
        return np.tile(np.array(numbers)[:, :, None, None], (1, 1, key, value))

    return mask


test_feature_mask = judged(
    checks.check_feature_mask,
    (numbered(lambda n, h, p, hs: (hs * n + h) / 2), "whole numbers"),
    (lambda *sizes: np.arange(np.prod(sizes)).reshape(sizes), "have several numbers"),
    (numbered(lambda n, h, p, hs: n), "several heads have one number"),
    (numbered(lambda n, h, p, hs: h), "several passes have one number"),
    (numbered(lambda n, h, p, hs: hs * n + h + 1), "number 0"),
    (numbered(lambda n, h, p, hs: 10 * n + h), "numbers up to 21"),
    (numbered(lambda n, h, p, hs: (hs * n + h) if n else 1 - h), "in another order"),
)


def test_a_gap_in_the_mask_costs_runs():
    mask = right.feature_mask(4, 4, 2, 2)
    assert attributing.runs_needed(mask) == 17
    assert attributing.runs_needed(10 * (mask // 4) + mask % 4) == 35


# --- what the notebook says ----------------------------------------------------------------------


def test_more_steps_less_error_and_the_gradient_is_that_of_the_function():
    x, zero = np.array([1.0, 2.0, -1.0]), np.zeros(3)
    worth = np.array([attributing.steep(x) - attributing.steep(zero)])
    errors = [
        right.completeness_error(
            right.integrated_gradients(attributing.steep_gradient, x, zero, n)[None], worth
        )[0]
        for n in (1, 4, 32)
    ]
    assert errors[0] > 0.5 > errors[1] > 1e-3 > 1e-4 > errors[2]


def test_the_trap_springs_from_two_passes_on():
    hooked = [attributing.looped_errors(times)["hooked to the module"] for times in (1, 2, 3)]
    assert hooked[0] < 1e-6 and 0.3 < hooked[1] < 0.5 and hooked[2] > 1
    assert attributing.looped_errors(3)["of the input"] < 1e-6
    model = attributing.Looped(2)
    given = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    W = model.block.weight.detach()
    first = given @ W.T
    by_hand = torch.tanh(first + torch.tanh(given + first) @ W.T).sum(1)
    torch.testing.assert_close(model(given).detach(), by_hand)
    assert hooked_completeness(model, model.block, given, 0 * given).sizes["example"] == 1


@pytest.fixture(scope="module")
def bundled():
    checkpoint = workbench.load("depo-n8-any")
    batch = checkpoint.task.sample(32, batch_generator(1, 0, "notebook"))
    return checkpoint.model, batch, checkpoint.sleep.with_passes(4)


def test_the_first_block_has_nothing_to_do_with_it_by_way_of_hooks(bundled):
    model, batch, sleep = bundled
    near = attributing.asked(batch, 1, most=2)
    assert (near.batch.difficulty[np.arange(2), near.query] == 1).all()
    how = model, near.batch, sleep.with_passes(1), near.query
    assert attributing.model_errors(*how, block=0)["hooked to the module"] == 1
    how = model, near.batch, sleep, near.query
    assert attributing.model_errors(*how, block=1)["hooked to the module"] > 0.4


def test_the_rest_of_one_example_is_that_of_the_instrument_and_complete(bundled):
    from captum.attr import IntegratedGradients

    model, batch, sleep = bundled
    one = attributing.asked(batch, 2, most=1)
    start, answer = attributing.answer_of(model, one.batch, sleep, one.query)
    assert (start.window, start.sleep_pass, start.hidden) == (1, 0, None)
    rest, S = right.make_rest(start, 1, answer), start.memory.fast_weights[1]
    target = answer_target(model, one.batch, sleep, start, query=one.query)
    own = rest_of_state(model, one.batch, sleep, start, target)
    several = torch.cat([S, 0.5 * S, 0 * S])
    with torch.no_grad():
        worth = (rest(S) - rest(0 * S)).numpy()
        torch.testing.assert_close(
            rest(several), own.run(several[:, None], torch.zeros(3, dtype=torch.long))
        )
    shares = IntegratedGradients(rest).attribute(S, 0 * S, n_steps=64).numpy()
    assert right.completeness_error(shares, worth)[0] < 1e-5 and 15 < worth[0] < 17
    coarse = IntegratedGradients(rest).attribute(S, 0 * S, n_steps=4).numpy()
    assert 0.1 < right.completeness_error(coarse, worth)[0] < 0.4
    with pytest.raises(ValueError, match="expected one"):
        attributing.answer_of(model, batch, sleep, one.query)


def test_what_a_head_is_owed_hangs_on_the_baseline(bundled):
    model, batch, sleep = bundled
    far = attributing.asked(batch, 4, most=24)
    boundary = read_boundaries(model, far.batch, sleep)[0, 4]
    owed = {
        baseline: attribute_state(
            model,
            far.batch,
            sleep,
            boundary,
            query=far.query,
            baseline=baseline,
            steps=16,
            infidelity_samples=2,
        )["attribution"]
        .mean("example")
        .values.ravel()
        for baseline in ("zero", "mean")
    }
    np.testing.assert_allclose(owed["zero"], [2.65, 0, 3.03, 0.91], atol=0.1)
    np.testing.assert_allclose(owed["mean"], [5.35, 0, 0.02, 0.09], atol=0.1)
    carried = boundary.carried.fast_weights[1]
    assert not carried.any()  # so that "before the sleep" is "zero" here


def test_passes_alone_explain_too_little_and_left_out_too_much(bundled):
    model, batch, sleep = bundled
    some = attributing.asked(batch, 2, most=12)
    worth = attributing.passes_as_players(model, some.batch, sleep.with_passes(3), some.query)
    everyone = worth((1, 2, 3)) - worth([])
    alone = sum(worth([n]) - worth([]) for n in (1, 2, 3))
    owed = right.shapley((1, 2, 3), worth)
    assert sum(owed) == pytest.approx(everyone, rel=1e-6) and 14 < everyone < 16
    assert alone < 5 and sum(worth((1, 2, 3)) - worth({1, 2, 3} - {n}) for n in (1, 2, 3)) > 20
    np.testing.assert_allclose(owed, [9.0, 5.7, 0.3], atol=0.1)


def test_shuffled_weights_keep_no_order(bundled):
    model, batch, sleep = bundled
    far = attributing.asked(batch, 4, most=3)
    check = attributing.against_shuffled_weights(model, far.batch, sleep, far.query)
    assert check["rank_correlation"].sizes == {"seed": 2, "example": 3}
    assert abs(float(check["rank_correlation"].mean())) < 0.2


def test_what_the_records_say():
    records = {
        name: measured(f"attribution-depo-n8-any{name}").sel(layer=1) for name in ("", "-gradients")
    }
    owed = {name: record["attribution"].sum("gdn_head") for name, record in records.items()}
    for by in owed.values():
        assert by.sel(difficulty=1)[0] > records[""]["worth"].sel(difficulty=1)
        assert (by.sel(difficulty=1)[1:] < 0).all()
    worth = float(records[""]["worth"].sel(difficulty=1))
    later = {name: by.sel(difficulty=1).values[1:] / worth for name, by in owed.items()}
    assert abs(later[""]).max() < 0.12 and -0.4 < later["-gradients"][0] < -1 / 3
    cells = np.concatenate([r["attribution"].sel(difficulty=[1, 4]) for r in records.values()])
    assert 12 < cells.max() < 15  # beyond the colours, which end at 6
    four = {name: by.sel(difficulty=4).values for name, by in owed.items()}
    assert (four[""] > 0.8).all() and four["-gradients"][0] < -1
    assert 0.7 < four["-gradients"][2] / four["-gradients"].sum() < 0.78
    assert max(float(r["completeness_error"].max()) for r in records.values()) < 1e-4
    found = [float(r["unexplained"]) for r in records.values()]
    np.testing.assert_allclose(found, [0.19, 0.36], atol=0.006)
