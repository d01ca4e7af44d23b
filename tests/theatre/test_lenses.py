"""Causes and credits are those of a loop written by hand; refusals are one line at a field."""

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from patched_loop import patched_loop
from scenes import decode

from workbench.config import Experiment, ModelConfig, SleepConfig
from workbench.instruments.patching.context_swaps import swap_context
from workbench.model import HybridModel
from workbench.progress import Cancelled
from workbench.tasks import task as make_task
from workbench.theatre.asks import Asks
from workbench.theatre.lenses.cause_words import every
from workbench.theatre.problem import drawn_batch
from workbench.training.checkpoints import Checkpoint, load_checkpoint

BUNDLED = {
    "depo-n8-any": (0, 2),
    "rule110-w12-t8-any": (1, 1),
    "variables-any": (1, 0),
    "variables-story": (1, 3),
}
"""A boundary for each model."""


STORY = {"max_operations": 3, "places": 2, "things": 3, "length": 90, "modulus": 5, "totals": 0.0}
WORDS = {
    "variables": ({"variables": 5, "names": 6, "given": 2, "max_depth": 3}, 9, "mask"),
    "gsm_infinite": (STORY, 45, "mask"),
    "text": ({"window": 16, "windows": 4, "recalled": 1}, 16, "predict_then_sleep"),
}
"""Tasks of words: settings, window and order."""


def untrained(name):
    """Return a small untrained model of a task of words."""
    settings, window, order = WORDS[name]
    task = make_task(name, **settings)
    sizes = {"width": 16, "attention_heads": 2, "gdn_heads": 2, "key_dim": 4, "value_dim": 4}
    model = ModelConfig(vocabulary=len(task.vocabulary), mlp_width=8, **sizes)
    sleep = SleepConfig(window=window, passes=2, order=order)
    network = HybridModel(model, seed=0).eval().requires_grad_(False)
    about = {"name": name, "hashes": {"model.safetensors": name}}
    experiment = Experiment(model=model, sleep=sleep, task=task.config)
    return Checkpoint(name, Path(), network, experiment, about)


@pytest.fixture(scope="module")
def asks(checkpoints):
    known = {**checkpoints, **{name: untrained(name) for name in WORDS}}
    return Asks(lambda name: known[name] if name in known else load_checkpoint(name))


def ask(asks, what, name, progress=None, **changes):
    answer = asks.answer({"what": what, "name": name} | changes, progress)
    assert not answer.problem, answer.problem
    return answer.result


def alone(batch, example):
    return batch.examples(slice(example, example + 1))


def read_by_hand(checkpoint, passes, batch, query, at, change=None):
    """Return the logits at the first token of an answer, and S at a boundary."""
    one = batch.query(query) if batch.isolated else batch
    token = int((one.answer_of[0] == (0 if batch.isolated else query)).argmax())
    found, state = patched_loop(
        checkpoint.model, one, checkpoint.sleep.with_passes(passes), at, change
    )
    return found[token].numpy(), state


@pytest.mark.parametrize("name", BUNDLED)
def test_a_head_given_by_a_donor_does_what_a_loop_by_hand_does(asks, name):
    checkpoint = load_checkpoint(name)
    passes = 3
    window, sleep_pass = at = BUNDLED[name]
    place = {"example": 4, "N": passes, "window": window, "pass": sleep_pass}
    part = {"part": "head", "layer": 1, "head": 0}
    found = ask(asks, "cause", name, **place, **part)
    donor = found["asked"]["donor"]
    batch = drawn_batch(checkpoint.task, 0)
    one = alone(batch, 4)
    swapped = swap_context(checkpoint.task, one, alone(batch, donor))
    third = next(i for i in [*range(donor + 1, 16), *range(donor)] if i != 4)
    context = slice(checkpoint.task.context_tokens)
    tokens, valid = one.tokens.copy(), one.valid.copy()
    tokens[:, context] = batch.tokens[[third], context]
    valid[:, context] = batch.valid[[third], context]
    unrelated = replace(one, tokens=tokens, valid=valid)
    measured = 0
    for row in found["rows"]:
        if row["effect"] is None:
            continue
        query, measured = row["query"], measured + 1
        first = one.answer_of[0] == query
        token = np.flatnonzero(first & (one.tokens[0] != swapped.tokens[0]))[0]
        assert token == first.argmax(), "these answers differ from their first symbol on"
        own, other = one.tokens[0, token], swapped.tokens[0, token]
        for column, giver in ((1, swapped), (2, unrelated)):
            given = read_by_hand(checkpoint, passes, giver, query, at)[1]

            def change(states, given=given):
                states[1][:, 0] = given[1][:, 0]
                return states

            logits, _ = read_by_hand(checkpoint, passes, one, query, at, change)
            assert row["logit"][column] == pytest.approx(logits[other] - logits[own], abs=2e-3)
        assert row["effect"] == pytest.approx(row["logit"][1] - row["logit"][2], abs=2e-4)
        if measured == 2:
            break
    assert measured
    kept = read_by_hand(checkpoint, passes, swapped, 0, at)[1][1][0, 0].numpy()
    state = np.frombuffer(base64.b64decode(found["states"]["values"][1]), "<f4")
    np.testing.assert_allclose(state.reshape(kept.shape), kept, atol=1e-4)


def test_the_changed_sleep_is_a_scene_with_the_donors_head_in_it(asks):
    place = {"example": 5, "window": 0, "pass": 2, "N": 3}
    part = {"part": "head", "layer": 1, "head": 1}
    found = ask(asks, "cause", "depo-n8-any", **place, **part)
    sleep = {"what": "scene", "name": "depo-n8-any", "N": 3}
    asked = [sleep | {"example": n} for n in (5, found["asked"]["donor"])]
    asked.append(sleep | place | part | {"what": "cause", "scene": True})
    own, donor, scene = (decode(asks.answer(one).data) for one in asked)
    assert scene.header["source"]["changed"] == f"head 1 from example {found['asked']['donor'] + 1}"
    assert scene.header["digest"] != own.header["digest"]
    here = scene.header["boundaries"].index([0, 2])
    states, before, given = (s.arrays["fast_weight"].values for s in (scene, own, donor))
    np.testing.assert_array_equal(states[:here], before[:here])
    np.testing.assert_allclose(states[here, 0, 1], given[here, 0, 1], atol=5e-3)
    np.testing.assert_allclose(states[here, 0, [0, 2, 3]], before[here, 0, [0, 2, 3]], atol=5e-3)
    assert scene.header["said"][-1] == [row["said"][1] for row in found["rows"]]


def test_every_head_is_the_mean_effect_minus_its_control(asks):
    place = {"window": 1, "pass": 0, "action": "mean", "N": 2}
    told = []
    found = ask(asks, "cause", "ring", lambda *done: told.append(done), **place, every=True)
    assert told[-1] == (1, 2, "heads") and np.shape(found["heads"]) == (1, 2)
    controls = []
    for head in range(2):
        one = ask(asks, "cause", "ring", **place, part="head", head=head)
        before, after, control = np.transpose([row["logit"] for row in one["rows"]])
        assert found["heads"][0][head] == pytest.approx(np.mean(after - control), abs=1e-3)
        controls.append(control - before)
    assert found["spread"] == pytest.approx(np.sqrt(np.mean(np.square(controls))), abs=1e-3)


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        ([0.05, -0.9, 0.02], "No head stands out: the strongest effect minus control is +0.05 nat"),
        ([0.05, 3.0, 0.5], "Head 1 matters most: effect minus control +3.00 nat on average; then "),
        ([0.05, 3.0, 0.2], "on average. No other head stands out: controls alone move an answer"),
        ([-0.5, np.nan, -1.0], "No head stands out: the strongest effect minus control is −0.50"),
    ],
)
def test_a_head_is_named_only_beyond_what_controls_do(effects, words):
    examples = SimpleNamespace(head_words=lambda layer, head: f"head {head}")
    change = SimpleNamespace(patched=True)
    heads = [(1, head) for head in range(3)]
    assert words in every(examples, change, np.array(effects), heads, 0.3)["sentence"]


@pytest.mark.parametrize(
    "change",
    [{"part": "modes", "modes": 2, "way": "denoise"}, {"action": "scale", "percent": -50}],
)
def test_the_python_of_a_change_gives_its_numbers(asks, change):
    place = {"window": 0, "pass": 1, "example": 3, "N": 2} | change
    found = ask(asks, "cause", "depo-n8-any", **place)
    known = {}
    exec(found["python"], known)
    gaps = known["effect_minus_control"].values
    effects = [np.nan if row["effect"] is None else row["effect"] for row in found["rows"]]
    np.testing.assert_allclose(effects, gaps, atol=1e-4)
    file = ask(asks, "cause", "depo-n8-any", csv=True, **place)
    assert file["csv"].startswith("direction" if "way" in change else "control")
    assert file["file"].endswith("window-0-pass-1.csv")


WRONG = {
    "cause": [
        ({"donor": 0}, "donor", "donor 0 (example 1), which is the recipient itself; expected"),
        ({"donor": 16}, "donor", "0 to 15"),
        ({"donor": "x"}, "donor", "'x'"),
        ({"action": "burn"}, "action", "one of patch, zero, mean, scale, other"),
        ({"part": "soul"}, "part", "whole, layer, head"),
        ({"modes": 5, "part": "modes"}, "modes", "1 to 4"),
        ({"percent": 500}, "percent", "-200 to 400"),
        ({"changed": 2, "part": "change"}, "changed", "before that pass"),
        ({"changed": 7, "part": "change"}, "changed", "1 to 2"),
        ({"head": 2}, "head", "0 to 1"),
        ({"layer": 9, "part": "layer"}, "layer", "layer = 9; expected a layer with S: 1"),
        ({"layer": 0, "part": "whole"}, "layer", "layer = 0; expected a layer with S: 1"),
        ({"window": 2, "pass": 1}, "boundary", "up to window 2, pass 0, before the answers"),
        ({"input": "0>3 3>5 5>1 1>0", "action": "patch"}, "action", "with own text"),
    ],
    "credit": [
        ({"to": "luck"}, "to", "one of tokens, passes, passes and heads"),
        ({"to": "windows"}, "to", "'windows'"),
        ({"to": "tokens", "method": "input x gradient"}, "method", "shapley values, feature"),
        ({"to": "heads of S", "pass": 0, "baseline": "before the sleep"}, "baseline", "mean, zero"),
        ({"steps": 1}, "steps", "2 to 1000"),
        ({"to": "tokens", "samples": 0}, "samples", "1 to 10000"),
        ({"query": 8}, "query", "0 to 7"),
        ({"to": "heads of S", "window": 2, "pass": 1}, "boundary", "before the answers"),
    ],
}


@pytest.mark.parametrize(
    "what, changes, field, words", [(what, *row) for what in WRONG for row in WRONG[what]]
)
def test_what_does_not_fit_is_said_at_its_field_and_never_put_right(
    asks, what, changes, field, words
):
    found = ask(asks, what, "ring", **{"window": 0, "pass": 1, "N": 2} | changes)
    assert found["field"] == field and words in found["problem"]
    assert not {"rows", "values"} & found.keys()
    assert found["choices"]["last"] == [1, 0], "the form can still be filled"


@pytest.mark.parametrize("name", WORDS)
def test_every_action_and_subject_is_there_for_tasks_of_words(asks, name):
    place = {"window": 0 if name != "text" else 1, "pass": 2}
    actions = ask(asks, "cause", name, **place)["choices"]["actions"]
    assert ("patch" in actions) == (name != "text")
    for action in actions:
        found = ask(asks, "cause", name, action=action, part="layer", layer=1, **place)
        assert found["sentence"] and found["rows"], found.get("problem")
    for subject in ("passes and heads", "tokens", "heads of S"):
        found = ask(asks, "credit", name, to=subject, steps=4, **place)
        assert "sum to" in found["sure"] or "nothing" in found["sure"], found.get("problem")
    if name == "text":
        refused = ask(asks, "cause", name, action="patch", **place)
        assert refused["field"] == "action"
        assert "a patch in text, where no context decides the answers" in refused["problem"]


def test_all_of_s_at_the_end_reproduces_the_donor_and_a_step_back_does_not(asks):
    end = ask(asks, "cause", "ring", window=1, N=2, **{"pass": 0})
    assert "reproduces the other reading exactly" in end["exact"] and "0 nat" in end["exact"]
    names = [name for name, _ in end["columns"]]
    patch, donor = names.index("patch"), names.index("donor")
    assert all(row["logit"][patch] == row["logit"][donor] for row in end["rows"])
    earlier = ask(asks, "cause", "ring", window=0, N=2, **{"pass": 1})
    assert "After the last pass over the last window it does." in earlier["exact"]
    assert ask(asks, "cause", "ring", window=0, N=2, part="head", **{"pass": 1})["exact"] == ""


@pytest.mark.parametrize("seed", [0, 1])
def test_the_usual_donor_answers_at_least_one_question_differently(asks, seed):
    for example in range(16):
        place = {"seed": seed, "example": example, "window": 2, "pass": 0}
        assert any(row["effect"] is not None for row in ask(asks, "cause", "rule", **place)["rows"])


def test_own_text_can_be_erased(asks):
    given = {"input": "0>3 3>5 5>1 1>0", "queries": "2:5", "window": 1, "pass": 0}
    found = ask(asks, "cause", "ring", **given)
    assert found["asked"]["action"] == "zero" and len(found["rows"]) == 1
    assert set(found["choices"]["actions"]) == {"zero", "scale"}
    states = [np.frombuffer(base64.b64decode(v), "<f4") for v in found["states"]["values"]]
    assert states[0].any() and not states[1].any()
    credit = ask(asks, "credit", "ring", to="heads of S", baseline="zero", **given)
    assert credit["choices"]["baselines"] == ["zero"] and len(credit["values"]) == 2


@pytest.mark.parametrize("name", ["rule110-w12-t8-any", "variables-any"])
def test_what_ablation_takes_away_is_what_a_loop_by_hand_loses(asks, name):
    checkpoint = load_checkpoint(name)
    at = (2, 0) if name.startswith("rule") else (1, 0)
    place = {"window": at[0], "pass": at[1], "query": 1, "N": 2}
    how = {"to": "heads of S", "method": "feature ablation", "baseline": "zero"}
    found = ask(asks, "credit", name, **place, **how)
    one = alone(drawn_batch(checkpoint.task, 0), 0)
    answer = one.tokens[0, (one.answer_of[0] == 1).argmax()]
    full, _ = read_by_hand(checkpoint, 2, one, 1, at)
    against = np.argsort(full)[-1 if np.argmax(full) != answer else -2]

    def without(head):
        def change(states):
            states[1][:, head] = 0
            return states

        logits, _ = read_by_hand(checkpoint, 2, one, 1, at, change)
        return logits[answer] - logits[against]

    lost = [full[answer] - full[against] - without(head) for head in range(4)]
    np.testing.assert_allclose(found["values"], lost, atol=2e-3)
    assert f"“{checkpoint.task.vocabulary[answer]}”" in found["sentence"]
    assert "does not promise to add up" in found["sure"]


def test_the_python_of_a_credit_gives_its_numbers_and_the_check_its_words(asks):
    place = {"window": 0, "pass": 2, "N": 2, "example": 1, "query": 2, "steps": 8}
    told = []
    found = ask(asks, "credit", "depo-n8-any", lambda *done: told.append(done), **place)
    assert found["axes"] == ["sleep_pass", "layer", "gdn_head"] and found["shape"] == [2, 1, 4]
    assert told[-1][0] == told[-1][1] and told[-1][2] == "readings"
    known = {}
    exec(found["python"], known)
    np.testing.assert_allclose(known["attribution"].values.ravel(), found["values"], atol=1e-4)
    assert found["check"] is None
    checked = ask(asks, "credit", "depo-n8-any", **place, check=True)
    assert "3 copies of the model" in checked["check"] and checked["values"] == found["values"]
    file = ask(asks, "credit", "depo-n8-any", **place, csv=True)
    assert ",attribution," in file["csv"] and "passes-and-heads" in file["file"]


def test_of_a_large_memory_only_what_is_needed_is_read(asks, checkpoints, monkeypatch):
    place = {"window": 0, "pass": 1, "N": 2, "example": 3}
    found = [ask(asks, what, "ring", **place) for what in ("cause", "credit")]
    monkeypatch.setattr("workbench.theatre.scene.LARGEST", 1000)
    monkeypatch.setattr("workbench.theatre.lenses.examples.read_boundaries", None)
    fresh = Asks(checkpoints.__getitem__)
    cause, credit = (ask(fresh, what, "ring", **place) for what in ("cause", "credit"))
    assert cause["rows"] == found[0]["rows"]
    np.testing.assert_allclose(credit["values"], found[1]["values"], atol=1e-4)
    refused = ask(fresh, "cause", "ring", scene=True, **place)
    assert "too large to send at once" in refused["problem"]


def test_work_that_nobody_waits_for_ends_and_can_be_asked_again(asks):
    place = {"window": 0, "pass": 1, "N": 2, "example": 7, "to": "tokens", "samples": 1}

    def gone(done, total, unit):
        raise Cancelled

    with pytest.raises(Cancelled):
        asks.answer({"what": "credit", "name": "ring"} | place, gone)
    assert len(ask(asks, "credit", "ring", **place)["values"]) == 16
