"""A trace says what happened: states rebuilt from the writes, nothing computed otherwise."""

import numpy as np
import pytest
import torch
import xarray as xr

from sleep_kernels.reference import scan
from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.sleep import SleepPass, Wake, read, wake_now
from workbench.tasks import batch_generator, task
from workbench.trace import answer_scores, batch_of, origin_of, record

RULES = ("gated_delta", "delta", "delta_negative", "mamba2", "linear_attention", "jet")
SLEEP = SleepConfig(window=4, passes=3)
OPTIONS = {
    "plain": {},
    "carried tails": {"conv_state": "carry"},
    "sliding": {"eviction": "sliding"},
    "a loop in the middle": {"loop": (1, 3)},
    "a loop at the top": {"loop": (2, 4)},
    "a loop below the memory": {"loop": (0, 1)},
    "last pass writes": {"write": "last_pass"},
    "last pass of a loop": {"write": "last_pass", "loop": (1, 3)},
    "rewrite only": {"feed_back": False},
    "norm inside": {"final_norm": "inside"},
    "awake for long": {"wake_passes": 2},
    "awake in a loop": {"wake_passes": 3, "loop": (1, 3), "conv_state": "carry"},
    "padding read": {"mask_padding": False},
}
STACK = ("attention", "gated_delta", "attention", "delta")


def rebuilt(trace, window):
    """S after each pass ``(example, sleep_pass, layer, gdn_head, key, value)``, from the writes."""
    writes = trace["writes"].to_dataset(inherit=False).isel(window=window)
    state = trace["states"]["fast_weight"].isel(window=window, sleep_pass=0)
    state, found = torch.tensor(state.values), []
    for sleep_pass in range(int(trace["n_passes"][window])):
        layers = []
        for i, corrects in enumerate(writes["corrects"].values):
            names = ("write_key", "write_value", "log_decay", "beta")
            k, v, log_decay, beta = (
                torch.tensor(writes[n].values[:, sleep_pass, i]).transpose(1, 2) for n in names
            )
            _, after = scan(None, k, v, log_decay, beta, state[:, i], 1.0, bool(corrects))
            layers.append(after)
        state = torch.stack(layers, 1)
        found.append(state)
    return torch.stack(found, 1)


def assert_rebuilt(trace, tolerance):
    fast_weight = trace["states"]["fast_weight"]
    for window, passes in enumerate(trace["n_passes"].values):
        states = fast_weight.values[:, window]  # (example, sleep_pass, layer, gdn_head, key, value)
        assert np.isnan(states[:, passes + 1 :]).all()
        stored = torch.tensor(states[:, 1 : passes + 1])
        torch.testing.assert_close(rebuilt(trace, window), stored, rtol=0, atol=tolerance)
        if window:  # what one window leaves is what the next is entered with
            left = fast_weight.values[:, window - 1, int(trace["n_passes"][window - 1])]
            np.testing.assert_array_equal(states[:, 0], left)


@pytest.mark.parametrize(
    ("rule", "dtype", "tolerance"),
    [*((rule, "float64", 1e-12) for rule in RULES), ("gated_delta", "float32", 1e-5)],
)
def test_every_state_is_what_was_written(tiny_model, make_batch, rule, dtype, tolerance):
    model = tiny_model("attention", rule, "attention", rule, dtype=dtype)
    batch = make_batch(2, 2, pads=(0, 1, 6), short=1)
    trace = record(model, batch, SLEEP)
    assert trace["n_passes"].values.tolist() == [3, 3, 1, 1]
    assert trace["states"]["layer"].values.tolist() == [1, 3]
    assert trace["writes"]["beta"].dtype == trace["states"]["fast_weight"].dtype == dtype
    assert_rebuilt(trace, tolerance)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_way_to_sleep_is_rebuilt_and_is_that_of_the_reading(tiny_model, make_batch, options):
    model, batch = tiny_model(*STACK), make_batch(2, 2, pads=(0, 1, 6), short=1)
    sleep = SleepConfig(window=4, passes=3, **options)
    trace = record(model, batch, sleep)
    assert_rebuilt(trace, 1e-12)
    with torch.no_grad():
        for event in read(model, batch, sleep):
            if not isinstance(event, SleepPass | Wake):
                continue
            at = event.window.index
            last = sleep.wake_passes if isinstance(event, Wake) else event.sleep_pass
            stored = trace["states"]["fast_weight"].isel(window=at, sleep_pass=last)
            for layer, state in event.memory.fast_weights.items():
                np.testing.assert_array_equal(stored.sel(layer=layer).values, state)
            if isinstance(event, SleepPass):
                wakes = wake_now(model, batch, sleep, event.memory, after=at)
                found = trace["readout"].to_dataset(inherit=False)
                found = found.isel(window=at, sleep_pass=last, drop=True)
                xr.testing.assert_equal(found, answer_scores(wakes, batch))
    norm = np.linalg.norm(trace["states"]["fast_weight"].values, axis=(-2, -1))
    np.testing.assert_allclose(trace["states"]["norm"].values, norm, rtol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"eviction": "sliding", "wake_passes": 2}, {"wake_writes": False}], ids=str
)
def test_a_window_predicted_and_slept_on_has_two_entries(tiny_model, make_batch, options):
    model, batch = tiny_model(*STACK), make_batch(0, 3, pads=(0, 1, 2), short=1)
    sleep = SleepConfig(window=4, passes=2, order="predict_then_sleep", **options)
    trace = record(model, batch, sleep)
    assert_rebuilt(trace, 1e-12)
    assert trace["of_window"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert trace["asleep"].values.tolist() == [False, True] * 3
    assert trace["n_passes"].values.tolist() == [sleep.wake_passes, 2] * 3
    readout = trace["readout"].to_dataset(inherit=False)
    with torch.no_grad():
        events = list(read(model, batch, sleep))
    for event in (e for e in events if isinstance(e, SleepPass | Wake)):
        awake = isinstance(event, Wake)
        entry = 2 * event.window.index + (not awake)
        last = sleep.wake_passes if awake else event.sleep_pass
        stored = trace["states"]["fast_weight"].isel(window=entry, sleep_pass=last)
        for layer, state in event.memory.fast_weights.items():
            np.testing.assert_array_equal(stored.sel(layer=layer).values, state)
        if awake:  # the answers given in this window, query by query
            given = answer_scores([event], batch).isel(query=event.window.index)
            found = readout.isel(window=entry, sleep_pass=0, query=event.window.index, drop=True)
            xr.testing.assert_equal(found, given)
    found = batch_of(trace)
    for name in ("tokens", "loss_mask", "valid", "answer_of", "difficulty"):
        np.testing.assert_array_equal(getattr(found, name), getattr(batch, name))


def test_without_passes_every_entry_is_awake(tiny_model, make_batch):
    sleep = SleepConfig(window=4, passes=0, order="predict_then_sleep")
    trace = record(tiny_model(*STACK), make_batch(1, 2), sleep)
    assert not trace["asleep"].any() and trace.attrs["n_sleep"] == 0
    assert_rebuilt(trace, 1e-12)


def test_parts_are_put_together(tiny_model, make_batch):
    model, batch, told = tiny_model(), make_batch(pads=(0, 1, 6, 0, 2)), []
    whole = record(model, batch, SLEEP)
    parts = record(model, batch, SLEEP, batch_size=2, on_progress=told.append)
    assert told == [2, 2, 1]
    assert parts["example"].values.tolist() == [0, 1, 2, 3, 4]
    for group in whole.children:
        xr.testing.assert_allclose(
            parts[group].to_dataset(), whole[group].to_dataset(), atol=1e-12, rtol=0
        )


@pytest.mark.parametrize("short", [0, 3])
def test_the_batch_comes_back(tiny_model, make_batch, short):
    batch = make_batch(2, 2, pads=(0, 1, 6), short=short)
    found = batch_of(record(tiny_model(), batch, SLEEP, keep=()))
    for name in ("tokens", "loss_mask", "valid", "answer_of", "difficulty"):
        np.testing.assert_array_equal(getattr(found, name), getattr(batch, name))


def test_hidden_is_what_each_block_left(tiny_model, make_batch):
    model, batch = tiny_model(*STACK), make_batch()
    trace = record(model, batch, SLEEP, keep=("hidden",))
    residual = trace["hidden"]["residual"]
    assert set(trace["states"].data_vars) == {"norm"} and "writes" not in trace.children
    assert residual.sizes == {
        "example": 3, "window": 3, "sleep_pass": 3, "layer": 4, "token": 4, "channel": 8,
    }  # fmt: skip
    with torch.no_grad():
        passes = [e for e in read(model, batch, SLEEP, every_output=True)]
        for event in (e for e in passes if isinstance(e, SleepPass)):
            top = residual.isel(window=event.window.index, layer=-1)
            np.testing.assert_array_equal(top.sel(sleep_pass=event.sleep_pass), event.hidden)
        first = model.blocks(
            model.embed(torch.as_tensor(batch.tokens[:, :4])), model.empty_memory(3), last=1
        )[0]
    np.testing.assert_array_equal(residual.isel(window=0, layer=0).sel(sleep_pass=1), first)
    assert np.isnan(residual.isel(window=2).sel(sleep_pass=[2, 3])).all()


class Silent:
    """A model that cannot tell what it writes."""

    def __init__(self, model):
        self._model = model
        for name in ("depth", "device", "vocabulary", "empty_memory", "embed", "blocks"):
            setattr(self, name, getattr(model, name))
        self.normalise, self.logits = model.normalise, model.logits


def test_a_model_that_cannot_tell_its_writes(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch()
    trace = record(Silent(model), batch, SLEEP, keep=("states",))
    xr.testing.assert_identical(
        trace["states"].to_dataset(), record(model, batch, SLEEP)["states"].to_dataset()
    )
    assert trace.attrs["backend"] == ""
    with pytest.raises(WorkbenchError, match="the writes of a Silent"):
        record(Silent(model), batch, SLEEP)


def test_only_sleep_is_recorded_too(tiny_model, make_batch):
    trace = record(tiny_model(), make_batch(2, 0), SLEEP)
    assert trace["asleep"].all() and trace["readout"].sizes["query"] == 0


def test_the_model_stays_as_it_was(tiny_model, make_batch):
    model = tiny_model().train()
    record(model, make_batch(), SLEEP)
    assert model.training


def test_what_cannot_be_recorded_is_said(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch()
    rule = SleepConfig(window=4, passes=RandomPasses(low=1, high=2))
    for refused, message in [
        (lambda: record(model, batch, rule), "passes 'random'"),
        (lambda: record(model, batch, SLEEP, keep=("stats",)), "keep = "),
        (lambda: record(model, batch, SLEEP, keep="states"), "keep = 'states'"),
        (lambda: record(model, batch.examples(slice(0, 0)), SLEEP), "at least one example"),
        (lambda: record(model, batch, SLEEP, origin={"name": "x"}), "origin with name"),
        (lambda: record(model, batch, SLEEP, origin={"seed": "x"}), "origin with seed"),
        (lambda: record(tiny_model("attention"), batch, SLEEP), "fast-weight layers"),
    ]:
        with pytest.raises(WorkbenchError, match=message):
            refused()


def test_examples_laid_out_otherwise_are_said(tiny_model, make_batch):
    batch = make_batch(2, 1)
    batch.loss_mask[0, 6] = True  # the first example alone has a label in window 1
    trace = record(tiny_model(), batch, SLEEP)
    assert trace["asleep"].values.tolist() == [True, False, False]
    with pytest.raises(WorkbenchError, match="batch_size=3"):
        record(tiny_model(), batch, SLEEP, batch_size=2)


def test_the_root_says_where_it_comes_from(tiny_model, make_batch):
    import workbench
    from workbench.tasks import batch_generator

    checkpoint = workbench.load("depo-n8-any")
    batch = checkpoint.task.sample(2, batch_generator(5, 0, "trace"))
    sleep = checkpoint.sleep.with_passes(2)
    attrs = record(
        checkpoint.model, batch, sleep, keep=(), origin=origin_of(checkpoint, seed=5)
    ).attrs
    digest = checkpoint.provenance["hashes"]["model.safetensors"]
    assert (attrs["checkpoint"], attrs["checkpoint_sha256"]) == ("depo-n8-any", digest)
    assert (attrs["n_sleep"], attrs["window_size"], attrs["seed"]) == (2, 16, 5)
    assert SleepConfig.model_validate_json(attrs["sleep_json"]) == sleep
    named = record(checkpoint.model, batch, sleep, keep=(), task=checkpoint.task).attrs
    assert (named["task"], named["seed"], named["checkpoint_sha256"]) == ("depo", -1, "")
    assert named["vocabulary_json"] == attrs["vocabulary_json"]


@pytest.mark.parametrize("window", [8, 5, 4])  # 8 tokens of context, two queries of 4 tokens
def test_isolated_queries_are_recorded_as_the_plain_loop_reads_each_alone(tiny_model, window):
    made = task("depo", nodes=4, max_hops=3, names="single", queries=3, isolated=True)
    batch = made.sample(2, batch_generator(0, 0))
    model = tiny_model(vocabulary=len(made.vocabulary))
    sleep = SleepConfig(window=window, passes=2)
    trace = record(model, batch, sleep, task=made)
    again = batch_of(trace)
    assert again.isolated == batch.isolated == 4
    for name in ("tokens", "valid", "loss_mask", "answer_of", "difficulty"):
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))
    slept = -(-batch.context_tokens // window)
    states = trace["states"]["fast_weight"].isel(layer=0)
    np.testing.assert_array_equal(states[:, slept, 1], states[:, slept, 0])  # queries leave S
    for query in range(3):
        begin = batch.context_tokens + 4 * query  # node, k, ANS, answer
        alone = np.hstack([batch.tokens[:, : batch.context_tokens], batch.tokens[:, begin:][:, :4]])
        with torch.no_grad():
            logits, after = plain_loop(model, alone, window, 2, batch.context_tokens)
        for number, state in enumerate(after):
            place = states[:, number // 2, 1 + number % 2]
            np.testing.assert_allclose(place, state, rtol=1e-9, atol=1e-12)
        said = torch.log_softmax(logits[:, 2], -1)[[0, 1], alone[:, -1]]
        kept = trace["readout"]["log_prob"].isel(window=slept - 1, sleep_pass=2, query=query)
        np.testing.assert_allclose(kept, said, rtol=1e-9)


def plain_loop(model, tokens, window, passes, context):
    """Return the logits of what comes after the context, and S after every pass over it."""
    tokens, s, states = torch.as_tensor(tokens), model.empty_memory(len(tokens)).fast_weights, []
    for start in range(0, context, window):
        h = model.embed(tokens[:, start : min(start + window, context)])
        for _ in range(passes):
            h, memory = model.blocks(h, Memory(s))
            s = memory.fast_weights
            states.append(next(iter(s.values())))
    h, _ = model.blocks(model.embed(tokens[:, context:]), Memory(s))
    return model.logits(h), states
