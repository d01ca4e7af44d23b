"""Provenance of memories worked out on paper, and of random ones against the slow recurrence."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.instruments.linear import CONVENTIONS, LEFT, forward, layers_of, transition
from workbench.instruments.provenance import contribution_norms

PLACE = {"example": 0, "layer": 0, "gdn_head": 0}


@pytest.fixture(scope="module")
def paper(hand_trace):
    """Two windows of one pass, two layers that get the same writes: delta rule, outer product.

    Window 0 writes v = (2, 0, 0) under e1, then, with decay 1/2, v = (0, 4, 0) under e2::

        e1: (2, 0, 0)   ->   e1: (1, 0, 0)   e2: (0, 4, 0)

    Window 1 writes v = (0, 0, 3) under e1 with strength 1/2; its second token is padding::

        delta rule      e1: (1, 0, 0) + 1/2 ((0, 0, 3) - (1, 0, 0)) = (0.5, 0, 1.5)
        outer product   e1: (1, 0, 0) + 1/2 (0, 0, 3)               = (1, 0, 1.5)
    """
    key = np.zeros((1, 2, 1, 2, 1, 2, 2))
    key[0, 0, 0, :, 0, 0] = key[0, 1, 0, :, 0, 0] = [1, 0]
    key[0, 0, 0, :, 0, 1] = [0, 1]
    value = np.zeros((1, 2, 1, 2, 1, 2, 3))
    value[0, 0, 0, :, 0, 0] = [2, 0, 0]
    value[0, 0, 0, :, 0, 1] = [0, 4, 0]
    value[0, 1, 0, :, 0, 0] = [0, 0, 3]
    beta, log_decay = np.zeros(key.shape[:-1]), np.zeros(key.shape[:-1])
    beta[0, 0], beta[0, 1, 0, :, 0, 0] = 1, 0.5
    log_decay[0, 0, 0, :, 0, 1] = np.log(0.5)
    beta[0, 1, ..., 1] = np.nan  # padding, as it may be recorded
    return hand_trace(
        [1, 1], key=key, value=value, beta=beta, log_decay=log_decay, corrects=[True, False]
    )


def parts_of(trace, place, *, example=0, convention=LEFT):
    """Return, by layer, what is left of the state carried in, and what each pass contributes.

    Each ``[gdn_head, key, value]``, seen from the end of a pass, `place`.
    """
    found = []
    for layer in layers_of(trace, examples=slice(example, example + 1)):
        steps = forward(layer, convention=convention)
        sources, carried = next(step[1:] for step in steps if pass_of(step[0]) == place)
        found.append({"carried": carried[0]} | {pass_of(s): s.contribution[0] for s in sources})
    return found


def pass_of(written):
    return written.window, written.sleep_pass


def test_the_memory_on_paper(paper):
    delta, outer = parts_of(paper, (1, 1))
    # what window 0 wrote under e1 was halved by the decay, then halved again by the overwrite
    np.testing.assert_allclose(delta[0, 1], [[[0.5, 0, 0], [0, 4, 0]]])
    np.testing.assert_allclose(delta[1, 1], [[[0, 0, 1.5], [0, 0, 0]]])
    np.testing.assert_allclose(outer[0, 1], [[[1, 0, 0], [0, 4, 0]]])
    assert not delta["carried"].any() and not outer["carried"].any()


def test_shares_on_paper(paper):
    # |S|^2 = 0.5^2 + 1.5^2 + 4^2 = 18.5, and the contributions are orthogonal
    token = contribution_norms(paper, every_token=True).isel(PLACE)
    end = token.sel(window=1)
    np.testing.assert_allclose(
        end["share"].isel(source_pass=0), [[0.25 / 18.5, 16 / 18.5], [2.25 / 18.5, 0]]
    )
    np.testing.assert_allclose(end["norm"].isel(source_pass=0), [[0.5, 4], [1.5, 0]])
    # window 1 had not written yet at the end of window 0: S was (1, 0, 0) and (0, 4, 0)
    np.testing.assert_allclose(
        token["share"].sel(window=0).isel(source_pass=0), [[1 / 17, 16 / 17], [0, 0]]
    )
    whole = contribution_norms(paper).isel(PLACE).sel(window=1)
    np.testing.assert_allclose(whole["norm"].isel(source_pass=0), [16.25**0.5, 1.5])
    assert whole["norm"].dims == ("source_window", "source_pass")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contributions_sum_to_the_state(random_trace, dtype):
    rng = np.random.default_rng(5)
    trace = random_trace(dtype=dtype, carried=rng.normal(size=(2, 2, 2, 4, 3)))
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    for window, sleep_pass in [
        (w, p + 1) for w, count in enumerate((3, 2, 1)) for p in range(count)
    ]:
        states = trace["states"]["fast_weight"].isel(
            example=1, window=window, sleep_pass=sleep_pass
        )
        for parts, state in zip(
            parts_of(trace, (window, sleep_pass), example=1), states, strict=True
        ):
            size = float(abs(state).max())
            np.testing.assert_allclose(sum(parts.values()), state, atol=tolerance * size, rtol=0)
    norms = contribution_norms(trace, every_pass=True)
    real = np.isfinite(trace["states"]["fast_weight"].values[..., 0, 0])
    assert norms["unexplained"].values[real].max() < tolerance
    assert np.isnan(norms["unexplained"].values[~real]).all()
    shares = norms["share"].sum(("source_window", "source_pass")) + norms["carried_share"]
    np.testing.assert_allclose(shares.values[real], 1, atol=tolerance)
    assert norms["share"].dtype == dtype


def test_without_key_removal_the_sum_is_wrong(random_trace):
    # the formula used elsewhere: decays alone between a write and the state
    layer = next(layers_of(random_trace()))
    assert layer.corrects
    total = layer.carried_in
    for written in layer.written:
        step = transition(written, corrects=False)
        total = step.matrix @ total + np.swapaxes(step.reach, -1, -2) @ written.value
    state = layer.states[:, 2, 1]
    assert np.linalg.norm(total - state) > 0.3 * np.linalg.norm(state)


def test_a_contribution_is_what_is_missing_without_the_write(random_trace):
    # by definition: with keys, strengths and decays held, leave one value out and read again
    seed, at = 3, (1, 0, 1, slice(None), slice(None), 2)  # window 0, pass 2, token 2
    whole = random_trace(seed)
    value = np.nan_to_num(whole["writes"]["write_value"].values)
    value[at] = 0
    without = random_trace(seed, value=value)
    missing = (whole["states"]["fast_weight"] - without["states"]["fast_weight"]).isel(
        example=1, window=2, sleep_pass=1
    )
    norms = contribution_norms(whole, every_token=True)["norm"]
    np.testing.assert_allclose(
        norms.sel(example=1, window=2, source_window=0, source_pass=2, source_token=2),
        np.sqrt((missing**2).sum(("key", "value"))),
    )


def test_groups_of_tokens_agree(random_trace):
    trace = random_trace(4)
    one, all_passes = contribution_norms(trace), contribution_norms(trace, every_pass=True)
    tokens = contribution_norms(trace, every_token=True)
    # skipna=False: a pass that a window did not have is NaN, not 0
    np.testing.assert_allclose(
        tokens["share"].sum("source_token", skipna=False), one["share"], atol=1e-12
    )
    assert one["share"].isnull().equals(one["norm"].isnull())
    assert one["share"].sel(source_window=2, source_pass=2).isnull().all()
    for w, count in enumerate((3, 2, 1)):
        np.testing.assert_array_equal(
            all_passes["norm"].sel(window=w, sleep_pass=count), one["norm"].sel(window=w)
        )
    # what is carried into a window is what the one before left
    np.testing.assert_array_equal(
        all_passes["norm"].sel(window=1, sleep_pass=0), one["norm"].sel(window=0)
    )
    assert (
        all_passes["norm"].sel(window=0, sleep_pass=1, source_pass=2, source_window=0) == 0
    ).all()


def test_more_examples_than_are_computed_together(random_trace, monkeypatch):
    trace = random_trace(6, examples=5)
    whole = contribution_norms(trace)
    monkeypatch.setattr("workbench.instruments.linear.CHUNK", 2)
    assert whole.equals(contribution_norms(trace))


def test_an_empty_memory_has_no_shares(random_trace):
    nothing = np.zeros((2, 3, 3, 2, 2, 5, 3))
    found = contribution_norms(random_trace(value=nothing))
    assert (found["norm"].fillna(0) == 0).all()
    assert found["share"].isnull().all()
    assert (found["unexplained"] == 0).all()


def test_order_of_time(random_trace):
    for layer in layers_of(random_trace()):
        seen = [(w.window, w.sleep_pass, len(s)) for w, s, _ in forward(layer)]
        assert seen == [(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 1, 4), (1, 2, 5), (2, 1, 6)]


def test_wrong_use(random_trace):
    trace = random_trace()
    with pytest.raises(WorkbenchError, match="convention 'both'.*left of each write"):
        contribution_norms(trace, convention="both")
    trace["states"]["fast_weight"].values[:, 1] *= 2
    with pytest.raises(WorkbenchError, match="writes that leave out"):
        contribution_norms(trace)


def booked_by_a_loop(trace, example, layer, head):
    """Both conventions by the slow way: S and every token's part of it, token by token.

    Returns S, what is left of the state carried in, and the parts by (window, pass); twice: with
    removals taken from older writes, and with each change booked to its own token.
    """
    writes = trace["writes"].to_dataset().isel(example=example, layer=layer, gdn_head=head)
    states = trace["states"]["fast_weight"].isel(example=example, layer=layer, gdn_head=head)
    corrects = bool(writes["corrects"])
    state = states.values[0, 0].astype(np.float64)
    kept, changed = {"carried": state.copy()}, {"carried": state.copy()}
    for window, count in enumerate(trace["n_passes"].values):
        for sleep_pass in range(1, count + 1):
            for token in range(writes.sizes["token"]):
                at = {"window": window, "sleep_pass": sleep_pass - 1, "token": token}
                one = writes.isel(at)
                k, v, b, g = (
                    np.nan_to_num(one[name].values.astype(np.float64))
                    for name in ("write_key", "write_value", "beta", "log_decay")
                )
                decay = np.exp(g)
                held = decay * k @ state if corrects else 0.0 * v
                added = b * np.outer(k, v - held)
                eraser = np.eye(len(k)) - (b * np.outer(k, k) if corrects else 0.0)
                kept = {name: decay * eraser @ part for name, part in kept.items()}
                changed = {name: decay * part for name, part in changed.items()}
                place = (window, sleep_pass)
                kept[place] = kept.get(place, 0.0) + b * np.outer(k, v)
                changed[place] = changed.get(place, 0.0) + added
                state = decay * state + added
    return state, kept, changed


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_both_conventions_are_those_of_a_plain_loop_and_sum_to_the_state(random_trace, convention):
    rng = np.random.default_rng(7)
    trace = random_trace(8, carried=rng.normal(size=(2, 2, 2, 4, 3)))
    found = parts_of(trace, (2, 1), example=1, convention=convention)
    norms = contribution_norms(trace, convention=convention).isel(example=1, window=2)
    tokens = contribution_norms(trace, convention=convention, every_token=True)
    assert norms.attrs["convention"] == convention
    for layer in (0, 1):
        for head in (0, 1):
            state, *both = booked_by_a_loop(trace, 1, layer, head)
            parts = both[CONVENTIONS.index(convention)]
            assert found[layer].keys() == parts.keys()
            for place, part in parts.items():
                np.testing.assert_allclose(found[layer][place][head], part, atol=1e-12)
            np.testing.assert_allclose(sum(parts.values()), state, atol=1e-12)
            parts.pop("carried")
            for (window, sleep_pass), part in parts.items():
                at = {"source_window": window, "source_pass": sleep_pass}
                share = norms["share"].isel(layer=layer, gdn_head=head).sel(at)
                assert share.item() == pytest.approx((part * state).sum() / (state**2).sum())
    total = norms["share"].sum(("source_window", "source_pass")) + norms["carried_share"]
    np.testing.assert_allclose(total, 1, atol=1e-12)
    summed = tokens["share"].isel(example=1, window=2).sum("source_token", skipna=False)
    np.testing.assert_allclose(summed, norms["share"], atol=1e-12)


def test_the_conventions_on_paper(paper):
    # |S|^2 = 18.5; window 1 halved (1, 0, 0) and added (0, 0, 1.5), so its change is (-0.5, 0, 1.5)
    left, changed = (
        contribution_norms(paper, convention=name).isel(example=0, window=1, gdn_head=0)
        for name in CONVENTIONS
    )
    np.testing.assert_allclose(
        left["share"].isel(layer=0, source_pass=0), [16.25 / 18.5, 2.25 / 18.5]
    )
    np.testing.assert_allclose(
        changed["share"].isel(layer=0, source_pass=0), [16.5 / 18.5, 2 / 18.5]
    )
    # the outer product removes nothing
    np.testing.assert_allclose(left["share"].isel(layer=1), changed["share"].isel(layer=1))
