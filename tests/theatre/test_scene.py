"""A scene holds what the plain loop, the trace and the instruments say."""

import json

import numpy as np
import pytest
import torch
from scenes import decode

from workbench import dims
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.change import change
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.spectra import spectra
from workbench.sleep.reference import reference
from workbench.tasks import task
from workbench.theatre import scene as scenes
from workbench.theatre.container import encode
from workbench.theatre.problem import drawn, typed
from workbench.theatre.recording import of_trace, read_example
from workbench.theatre.scene import head_of, scene_of
from workbench.trace import origin_of

HALF = {"rtol": 2e-3, "atol": 1e-4}
"""What float16 loses."""


def read(checkpoint, passes=3, example=0, **changes):
    sleep = checkpoint.sleep.with_passes(passes).model_copy(update=changes)
    problem = drawn(checkpoint.task, 0, example)
    origin = origin_of(checkpoint, seed=0)
    return read_example(
        checkpoint.model, problem, sleep, origin=origin, number=example, examples=16
    )


@pytest.fixture(params=["ring", "ring-two", "rule"], scope="module")
def checkpoint(request, checkpoints):
    return checkpoints[request.param]


@pytest.fixture(scope="module")
def recording(checkpoint):
    return read(checkpoint)


@pytest.fixture(scope="module")
def scene(recording):
    return scene_of(recording)


@torch.no_grad()
def by_plain_loop(checkpoint, batch, passes, **options):
    """Return S [place, layer, head, key, value], and each query's probability and correctness."""
    logits, states = reference(checkpoint.model, batch, checkpoint.sleep.window, passes, **options)
    stacked = [np.stack([s[i][0].numpy() for i in sorted(s)]) for s in states]
    log_prob, best = np.zeros(batch.tokens.shape[1]), np.zeros(batch.tokens.shape[1], int)
    spans = [
        s for s in batch.windows(checkpoint.sleep.window) if batch.loss_mask[0, slice(*s)].any()
    ]
    for values, (start, stop) in zip(logits, spans, strict=True):
        for at in range(start + 1, stop):
            here = torch.log_softmax(values[0, at - 1 - start], -1)
            log_prob[at], best[at] = here[batch.tokens[0, at]], here.argmax()
    answers = [batch.answer_of[0] == q for q in np.flatnonzero(batch.difficulty[0] >= 0)]
    right = np.array([np.exp(log_prob[at].sum()) for at in answers])
    return stacked, right, np.array([(best == batch.tokens[0])[at].all() for at in answers])


def test_states_and_answers_are_those_of_the_plain_loop(checkpoint, recording, scene):
    batch, places = recording.problem.batch, [tuple(b) for b in scene.header["boundaries"]]
    states, _, _ = by_plain_loop(checkpoint, batch, 3)
    passes = [at for at, (_, sleep_pass) in enumerate(places) if sleep_pass]
    np.testing.assert_allclose(scene.arrays["fast_weight"].values[passes], states, **HALF)
    assert not scene.arrays["fast_weight"].values[0].any()
    asleep = [e for e, entry in enumerate(scene.header["entries"]) if not entry["awake"]]
    if len(asleep) > 1:
        return  # woken early, the windows still to come are not read
    for number in (1, 2, 3):
        _, right, correct = by_plain_loop(checkpoint, batch, number)
        at = places.index((0, number))
        np.testing.assert_allclose(scene.arrays["right_probability"].values[at], right, rtol=1e-4)
        np.testing.assert_array_equal(scene.arrays["correct"].values[at], correct)
        assert not scene.arrays["given"].values[at].any()


@pytest.mark.parametrize("name", ["ring", "ring-two"])
def test_a_sleep_after_every_prediction_is_that_of_the_plain_loop(checkpoints, name):
    checkpoint = checkpoints[name]
    recording = read(checkpoint, 2, order="predict_then_sleep")
    scene = scene_of(recording)
    states, right, correct = by_plain_loop(
        checkpoint, recording.problem.batch, 2, predict_then_sleep=True
    )
    passes = np.array([sleep_pass for _, sleep_pass in scene.header["boundaries"]])
    np.testing.assert_allclose(scene.arrays["fast_weight"].values[passes > 0], states, **HALF)
    np.testing.assert_allclose(scene.arrays["right_probability"].values[-1], right, rtol=1e-4)
    np.testing.assert_array_equal(scene.arrays["correct"].values[-1], correct)
    assert scene.arrays["given"].values[-1].all()
    windows = [entry["window"] for entry in scene.header["entries"]]
    assert len(windows) > len(set(windows))


def test_numbers_of_heads_are_those_of_the_instruments(recording, scene):
    trace = recording.trace
    at = {dims.EXAMPLE: 0}
    spectrum, changes = spectra(trace).isel(at), change(trace).isel(at)
    share = contribution_norms(trace, every_pass=True)["share"].isel(at)
    for row, (entry, sleep_pass) in enumerate(scene.header["boundaries"]):
        here = {dims.WINDOW: entry, dims.SLEEP_PASS: sleep_pass}
        arrays = scene.arrays.isel({dims.BOUNDARY: row})
        slept = changes.isel(here)
        asleep, replay = slept.sel(procedure="sleep"), slept.sel(procedure="frozen replay")
        baseline = replay["relative_change"].values
        if scene.header["entries"][entry]["awake"]:
            baseline = np.full_like(baseline, np.nan)
        for name, expected in (
            ("norm", spectrum["norm"].isel(here)),
            ("effective_rank", spectrum["effective_rank"].isel(here)),
            ("relative_change", asleep["relative_change"]),
            ("memory_change", asleep["memory_change"]),
            ("baseline_change", baseline),
        ):
            np.testing.assert_allclose(arrays[name], expected, rtol=1e-4, err_msg=name)
        by_window = share.isel(here).sum(dims.SOURCE_PASS, skipna=True, min_count=1)
        for number, window in enumerate(scene.header["entries"]):
            found = arrays["share"].values[..., window["start"] : window["stop"]].sum(-1)
            expected = by_window.isel({dims.SOURCE_WINDOW: number})
            np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)


def test_the_writes_of_a_scene_rebuild_its_memory_token_by_token(checkpoint, scene):
    """One rank-1 write after the other, as a browser may do it; each one's share comes out too."""
    values = {name: a.values.astype(np.float64) for name, a in scene.arrays.data_vars.items()}
    shape = values["fast_weight"].shape[1:]
    parts, of_token = np.zeros((0, *shape)), []
    for row, (entry, sleep_pass) in enumerate(scene.header["boundaries"]):
        start, stop = (scene.header["entries"][entry][end] for end in ("start", "stop"))
        for token in range(stop - start) if sleep_pass else ():
            k, v = (values[f"write_{n}"][row, :, :, token] for n in ("key", "value"))
            b, a = values["beta"][row, ..., token], np.exp(values["log_decay"][row, ..., token])
            parts = a[..., None, None] * parts
            held = np.einsum("lhk,plhkv->plhv", k, parts)
            parts = parts - np.einsum("lh,lhk,plhv->plhkv", b, k, held)
            parts = np.concatenate((parts, np.einsum("lh,lhk,lhv->lhkv", b, k, v)[None]))
            of_token.append(start + token)
        state = parts.sum(0)
        np.testing.assert_allclose(state, values["fast_weight"][row], rtol=0.02, atol=0.02)
        if not len(parts):
            assert np.isnan(values["share"][row]).all()
            continue
        share = np.einsum("plhkv,lhkv->plh", parts, state) / (state**2).sum((-2, -1))
        expected = np.zeros((*shape[:2], len(scene.header["symbols"])))
        for token, one in zip(of_token, share, strict=True):
            expected[..., token] += one
        np.testing.assert_allclose(values["share"][row], expected, atol=0.02)
        np.testing.assert_allclose(values["share"][row].sum(-1), 1, atol=5e-3)


def test_a_trace_gives_the_same_numbers_without_letters(recording, scene):
    found = scene_of(of_trace(recording.trace))
    for name, values in found.arrays.data_vars.items():
        known = np.isfinite(values.values.astype(float))
        np.testing.assert_array_equal(values.values[known], scene.arrays[name].values[known], name)
    assert set(scene.arrays.data_vars) - set(found.arrays.data_vars) == {"probability"}
    assert found.header["candidates"] == [] and found.header["source"]["kind"] == "trace"
    assert {text for row in found.header["said"] for text in row} == {None}
    for name in ("model", "picture", "entries", "boundaries", "symbols", "digest", "task"):
        assert found.header[name] == scene.header[name]


def test_a_header_is_plain_and_says_who_reads_what(checkpoint, recording, scene):
    header = decode(encode(scene)).header
    assert header == scene.header | {"schema": "sleep-scene/1"}
    assert len(json.dumps(header)) < 30_000
    problem = recording.problem
    assert header["model"]["name"] == checkpoint.name
    assert (header["task"]["input"], header["task"]["queries"]) == problem.as_typed
    assert header["picture"]["kind"] == type(problem.picture).__name__.lower()
    assert [i["tokens"] for i in header["picture"]["items"]] == [
        [i.tokens.start, i.tokens.stop] for i in problem.picture.items
    ]
    assert [q["answer"] for q in header["queries"]] == [q.answer for q in problem.queries]
    said = np.array(header["said"])
    correct = scene.arrays["correct"].values.astype(bool)
    right = np.array([query["answer"] for query in header["queries"]])
    np.testing.assert_array_equal(said == right, correct)
    best = scene.arrays["probability"].values[..., :-1].argmax(-1)  # without "other"
    letters = len(header["candidates"][0])
    right_at = np.array([header["candidates"].index(answer[:letters]) for answer in right])
    if header["one_symbol"]:
        shares = scene.arrays["probability"].values
        found = np.take_along_axis(shares, right_at[None, :, None], -1)[..., 0]
        np.testing.assert_allclose(found, scene.arrays["right_probability"].values, **HALF)
        assert (best == right_at)[correct].all()
    again = f"workbench.theatre({checkpoint.name!r}, seed=0, example=0, passes=3)"
    assert again in header["source"]["python"]


def test_what_attention_can_see_follows_the_eviction(checkpoints):
    for eviction, kept in (("hard", 0), ("sliding", 7)):
        scene = scene_of(read(checkpoints["ring-two"], 2, eviction=eviction))
        for (entry, sleep_pass), (start, stop) in zip(
            scene.header["boundaries"], scene.header["cached"], strict=True
        ):
            window = scene.header["entries"][entry]
            assert start == window["start"] - min(kept, window["start"])
            assert stop == (window["stop"] if sleep_pass else window["start"])


def test_a_sleep_that_keeps_its_last_pass_alone_still_adds_up(checkpoints):
    scene = scene_of(read(checkpoints["ring"], 2, write="last_pass"))
    assert scene.header["missing"] == {}
    total = scene.arrays["share"].sum("token", skipna=False).isel(boundary=slice(1, None))
    known = np.isfinite(total.values)
    assert known.any()
    np.testing.assert_allclose(total.values[known], 1, atol=2e-2)


def test_a_large_scene_is_an_overview_and_heads_are_asked_for(recording, scene, monkeypatch):
    monkeypatch.setattr(scenes, "LARGEST", 1000)
    overview = scene_of(recording)
    assert overview.header["asked"] == list(scenes.ASKED)
    assert set(overview.arrays.data_vars) == set(scene.arrays.data_vars) - set(scenes.ASKED)
    assert overview.header["digest"] == scene.header["digest"]
    layer = scene.header["layers"][-1]
    patch = decode(encode(head_of(recording, layer, 1)))
    assert patch.header["patch"] == "states" and patch.header["digest"] == scene.header["digest"]
    assert set(patch.arrays.data_vars) == set(scenes.ASKED)
    for name, values in patch.arrays.astype(float).data_vars.items():
        wanted = scene.arrays[name].values[:, -1, 1].astype(float)
        np.testing.assert_allclose(values.values[:, 0, 0], wanted, **HALF)
    for wrong in ((layer, 2), (layer, -1), (99, 0)):
        with pytest.raises(WorkbenchError, match="heads 0 to 1"):
            head_of(recording, *wrong)


def test_texts_and_sentences_are_scenes_too(tiny_model):
    made = task("text", corpus="kjv", window=16, windows=3)
    model = tiny_model(vocabulary=len(made.vocabulary), dtype="float32")
    sleep = SleepConfig(window=16, passes=1, order="predict_then_sleep")
    text = typed(made, "And Zarel begat Mokun, and so Zarel slept")
    scene = scene_of(read_example(model, text, sleep))
    assert scene.header["picture"]["kind"] == "passage" and scene.header["one_symbol"] is False
    assert [query["answer"] for query in scene.header["queries"]] == ["arel"]
    assert np.isfinite(scene.arrays["right_probability"].values[-1]).all()
    assert scene.header["source"]["python"] == [] and scene.header["model"]["name"] == ""

    made = task("variables", variables=4, names=4, given=2, sums=0.5)
    model = tiny_model(vocabulary=len(made.vocabulary), dtype="float32")
    read = typed(made, "a 3 =, c d +1, b 4 =, d a b", "d")
    scene = scene_of(read_example(model, read, SleepConfig(window=8, passes=1)))
    assert scene.header["queries"][0]["path"] == [0, 2, 3]
    assert scene.header["queries"][0]["spare"] == [1]
    assert [item["role"] for item in scene.header["picture"]["items"]] == [""] * 4


def test_a_trace_of_an_unknown_task_has_tokens_alone(recording):
    trace = recording.trace.copy()
    trace.attrs["config_json"] = ""
    header = scene_of(of_trace(trace)).header
    assert set(header["task"].values()) == {""} and header["picture"]["kind"] == "tokens"
    assert header["symbols"] == [
        recording.problem.task.vocabulary[t] for t in recording.problem.batch.tokens[0]
    ]
    assert [query["label"] for query in header["queries"]][:1] == ["query 1"]
    with pytest.raises(WorkbenchError, match="example 1 of a trace; expected 0 to 0"):
        of_trace(trace, 1)
