"""Evaluation of a model that knows every answer, of one that knows none, and of a real one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.config import ModelConfig, RandomPasses, SleepConfig, UntilMemorySettles
from workbench.errors import WorkbenchError
from workbench.model import HybridModel, Memory
from workbench.sleep import Wake, read
from workbench.sleep.reference import reference
from workbench.tasks import EVALUATION, batch_generator, draw, task
from workbench.training.evaluation import (
    BLIND,
    answers_without_context,
    check_layout,
    default_passes,
    evaluate,
    own_answers,
    summarise,
)

DEPO = {"nodes": 4, "names": "single", "max_hops": 3, "queries": 2}


class Oracle:
    """A model that sees the next token, and says another one where it is told to err."""

    depth = 1
    device = torch.device("cpu")

    def __init__(self, symbols, *, shift=0):
        self.symbols, self.shift = symbols, shift

    def empty_memory(self, batch):
        return Memory()

    def embed(self, tokens):
        said = (tokens.roll(-1, dims=1) + self.shift) % self.symbols
        return torch.nn.functional.one_hot(said, self.symbols).float()

    def blocks(self, hidden, memory, **options):
        return hidden, memory

    def normalise(self, hidden):
        return hidden

    def logits(self, hidden, *, normalise=True):
        return hidden


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (1, 0.0)])
def test_all_right_and_all_wrong(shift, score):
    depo = task("depo", **DEPO)
    model = Oracle(len(depo.vocabulary), shift=shift)
    result = evaluate(model, depo, SleepConfig(window=8), passes=(1, 3), count=40, seed=5)
    assert list(result) == ["1", "3"]
    for entry in result.values():
        assert entry["accuracy"] == {"1": score, "2": score, "3": score}
        assert entry["exact"] == score
        assert all(low <= score <= high for low, high in entry["interval"]["accuracy"].values())


def test_logits_of_nan_are_not_scored_as_wrong():
    depo = task("depo", **DEPO)
    model = Oracle(len(depo.vocabulary))
    model.logits = lambda hidden, normalise=True: hidden * float("nan")
    with pytest.raises(WorkbenchError, match="logits that are NaN or infinite"):
        evaluate(model, depo, SleepConfig(window=8), passes=(1,), count=8, seed=5)


def test_more_examples_than_fit_are_refused_before_they_are_drawn():
    depo = task("depo", **DEPO)
    with pytest.raises(WorkbenchError, match="000 examples of 16 tokens of depo needs"):
        evaluate(Oracle(9), depo, SleepConfig(window=8), passes=(1,), count=10**12, seed=5)


def test_the_record_is_complete(tiny_model):
    depo = task("depo", **DEPO)
    model = tiny_model(vocabulary=len(depo.vocabulary), dtype="float32")
    told = []
    options = {"passes": (2,), "count": 30, "seed": 5, "batch_size": 8}
    sleep = SleepConfig(window=8)
    result = evaluate(model, depo, sleep, on_progress=told.append, **options)["2"]
    assert told == [8, 8, 8, 6]
    assert set(result) == {
        "accuracy", "exact", "first", "interval", "chance",
        "sleep_ms_per_window", "wake_ms_per_token",
    }  # fmt: skip
    assert result["sleep_ms_per_window"] > 0 and result["wake_ms_per_token"] > 0
    expected = {name: line.accuracy for name, line in depo.chance().items()}
    assert {n: {int(k): v for k, v in line["accuracy"].items()}
            for n, line in result["chance"].items() if n != BLIND} == expected  # fmt: skip
    batch = depo.sample(30, batch_generator(5, 0, EVALUATION))
    blind = answers_without_context(model, batch, depo.context_tokens, sleep, 7)
    assert result["chance"][BLIND]["exact"] == blind.all(axis=1).mean()
    first = result["chance"][BLIND]["first"]
    assert first == {
        str(k): blind[batch.difficulty[:, 0] == k, 0].mean() for k in depo.difficulties
    }
    line = result["chance"]["guess from earlier answers"]
    assert line["first"] == pytest.approx({"1": 1 / 3, "2": 1 / 3, "3": 1 / 3})
    assert all(line["exact"] is not None for line in result["chance"].values())
    again = evaluate(model, depo, sleep, latency=False, **{**options, "batch_size": 30})["2"]
    assert again == {k: v for k, v in result.items() if not k.endswith(("window", "token"))}
    assert again != evaluate(model, depo, sleep, latency=False, **{**options, "seed": 6})["2"]


def test_bits_are_those_of_a_softmax_in_numpy_on_the_reference_loop(tiny_model):
    text = task("text", window=12, windows=3)
    model = tiny_model(vocabulary=len(text.vocabulary), dtype="float32")
    found = evaluate(
        model, text, SleepConfig(window=12), passes=(1,), count=20, seed=4, batch_size=7
    )["1"]["bits"]
    batch = draw(text, 20, 4, 0, EVALUATION)
    bits = np.zeros(batch.tokens.shape)
    for window, logits in enumerate(reference(model, batch, 12, 1)[0]):
        odds = np.exp(logits.detach().numpy().astype(float))
        odds /= odds.sum(axis=-1, keepdims=True)
        for example, token in np.ndindex(20, 11):
            here = example, 12 * window + token + 1
            bits[here] = -np.log2(odds[example, token, batch.tokens[here]])
    assert set(found) == {"all", "repeated words", "first window", "rest"} | (
        {"names"} if (batch.answer_of >= 0).any() else set()
    )
    for name, mask in {"all": batch.loss_mask, **text.groups(batch)}.items():
        if mask.any():
            assert found[name]["bits"] == pytest.approx(bits[mask].mean(), rel=1e-5)
            assert found[name]["tokens"] == mask.sum()
    for section, entry in found["all"]["sections"].items():
        part = np.arange(36) // 12 == int(section) - 1
        assert entry["bits"] == pytest.approx(bits[batch.loss_mask & part].mean(), rel=1e-5)
    low, high = found["all"]["interval"]
    assert low < found["all"]["bits"] < high


def test_one_example_is_enough(tiny_model):
    depo = task("depo", **DEPO)
    model = tiny_model(vocabulary=len(depo.vocabulary), dtype="float32")
    result = evaluate(model, depo, SleepConfig(window=8), passes=(1,), count=1, seed=0)["1"]
    assert 1 <= len(result["accuracy"]) <= 2
    bounds = [result["interval"]["exact"], *result["interval"]["accuracy"].values()]
    assert all(0 <= low <= high <= 1 for low, high in bounds)
    with pytest.raises(WorkbenchError, match="count = 0; expected at least 1 example"):
        evaluate(model, depo, SleepConfig(window=8), passes=(1,), count=0, seed=0)


def test_without_a_sleep_there_is_no_time_asleep(tiny_model):
    """A window that holds the whole sequence: the baseline that keeps its cache."""
    depo = task("depo", **DEPO)
    model = tiny_model(vocabulary=len(depo.vocabulary), dtype="float32")
    result = evaluate(model, depo, SleepConfig(window=64), passes=(1,), count=3, seed=0)["1"]
    assert result["sleep_ms_per_window"] is None
    assert result["wake_ms_per_token"] > 0


def test_held_out_examples_are_not_those_of_training(monkeypatch):
    depo = task("depo", **DEPO)
    drawn = []
    sample = depo.sample
    monkeypatch.setattr(depo, "sample", lambda *given: drawn.append(sample(*given)) or drawn[-1])
    oracle = Oracle(len(depo.vocabulary))
    evaluate(oracle, depo, SleepConfig(window=8), passes=(1, 2), count=50, seed=3, latency=False)
    (batch,) = drawn
    held_out, trained = (sample(50, batch_generator(3, 0, *s)).tokens for s in ((EVALUATION,), ()))
    np.testing.assert_array_equal(batch.tokens, held_out)
    assert not np.array_equal(batch.tokens, trained)


def test_summary_by_hand():
    depo = task("depo", **DEPO)
    right = np.array([[True, True], [True, False], [False, False]])
    difficulty = np.array([[1, 2], [1, 2], [1, -1]])
    found = summarise(right, difficulty, depo)
    assert found["accuracy"] == {"1": pytest.approx(2 / 3), "2": 0.5}, "hops 3 were not asked"
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["first"]["accuracy"] == {"1": pytest.approx(2 / 3)}, "2 hops never come first"
    # Wilson, by hand: z = 1.96, p = 2/3, n = 3 / (3 / 2), one case a cluster
    assert found["first"]["interval"]["1"] == pytest.approx([0.1594, 0.9547], abs=1e-4)


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        (3, (3,)),
        (RandomPasses(low=0, high=2), (0, 1, 2)),
        (RandomPasses(low=1, high=4), (1, 2, 3, 4)),
        (RandomPasses(low=2, high=3), (1, 2, 3)),
        (UntilMemorySettles(cap=3), (1, 2, 3)),
    ],
)
def test_what_is_tested_by_default(passes, expected):
    sleep = SleepConfig(passes=passes, order="predict_then_sleep")
    assert default_passes(sleep) == expected


def test_a_label_at_the_start_of_a_window_is_refused():
    batch = task("depo", **DEPO).sample(2, batch_generator(0, 0))
    check_layout(batch, 8)
    for window in (5, 10):  # 8 context tokens, then k, q, ANS, answer
        with pytest.raises(WorkbenchError, match=f"window = {window} starts a window at a token"):
            check_layout(batch, window)
    with pytest.raises(WorkbenchError, match="a batch without labels"):
        check_layout(batch.token_range(0, 8), 8)


@pytest.mark.parametrize("window", [8, 12])
def test_a_model_writes_its_own_answers_one_token_after_the_other(window):
    """The same as reading everything again from the start before each token."""
    depo = task("depo", **DEPO | {"predict_ans": False})
    model = HybridModel(ModelConfig(vocabulary=len(depo.vocabulary), width=16), seed=0)
    sleep, batch = SleepConfig(window=window, passes=2), depo.sample(5, batch_generator(0, 0))
    tokens = batch.tokens.copy()
    with torch.no_grad():
        for column in np.flatnonzero(batch.loss_mask.any(axis=0)):
            events = list(read(model, replace(batch, tokens=tokens), sleep))
            for wake in (event for event in events if isinstance(event, Wake)):
                if wake.window.start < column < wake.window.stop:
                    logits = wake.logits[:, column - 1 - wake.window.start]
                    tokens[:, column] = logits.argmax(-1).numpy()
    np.testing.assert_array_equal(own_answers(model, batch, sleep), tokens)
    assert (tokens != batch.tokens).any()
