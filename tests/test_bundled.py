"""The bundled checkpoints show what their cards, and the paper, say they show."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench
from workbench.paths import bundled_checkpoints, data_folder
from workbench.sleep import Wake
from workbench.tasks import batch_generator
from workbench.training.evaluation import answers_right, evaluate

RESULTS = sorted((data_folder() / "results").glob("*.json"))
EXPECTED = (
    [f"depo-n8-{kind}" for kind in ("any", "n1", "n2", "n4", "w2-any")]
    + [f"depo-n8-held-out-{kind}" for kind in ("any", "n1", "n4")]
    + [f"rule110-w12-t8-{kind}" for kind in ("any", "n1", "n3")]
    + ["text-names", "variables-any", "variables-story"]
)  # fmt: skip
UNUSED_SEED = 31_337
"""Drawn by nothing but this file."""


@pytest.fixture(scope="module")
def make_script():
    """Return the script that makes the bundled data, as a module."""
    path = data_folder() / "make.py"
    spec = importlib.util.spec_from_file_location("make_bundled_data", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def accuracy(name, n, count=400):
    """Return accuracy by difficulty, int keys, on examples nobody has used."""
    checkpoint = workbench.load(name)
    sleep = checkpoint.sleep
    result = evaluate(
        checkpoint.model,
        checkpoint.task,
        sleep,
        passes=(n,),
        count=count,
        seed=UNUSED_SEED,
        latency=False,
    )
    return {int(level): value for level, value in result[str(n)]["accuracy"].items()}


def test_all_are_here_and_small():
    found = bundled_checkpoints()
    assert sorted(found) == sorted(EXPECTED)
    for folder in found.values():
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 1_000_000


@pytest.mark.parametrize("name", EXPECTED)
def test_each_was_trained_from_the_committed_configuration(name):
    checkpoint = workbench.load(name)
    from workbench.config import load_experiment

    committed = load_experiment(data_folder() / "configs" / f"{name}.toml")
    task, training = committed.task, committed.training
    assert (checkpoint.experiment.task, checkpoint.experiment.training) == (task, training)
    assert checkpoint.experiment.sleep == committed.sleep
    assert checkpoint.name == name


def test_one_model_answers_more_hops_the_longer_it_sleeps():
    few, many = accuracy("depo-n8-any", 1), accuracy("depo-n8-any", 4)
    assert few[3] <= 0.6
    assert min(many.values()) >= 0.97


def test_four_passes_learn_what_one_does_not_at_the_same_budget():
    four, one = accuracy("depo-n8-n4", 4), accuracy("depo-n8-n1", 1)
    assert min(four.values()) >= 0.98
    assert one[3] < 0.7 and one[4] < 0.7
    budgets = {workbench.load(f"depo-n8-{n}").provenance["budget"]["tokens"] for n in
               ("n1", "n2", "n4", "any")}  # fmt: skip
    assert len(budgets) == 1


def test_a_second_window_builds_on_what_the_first_sleep_stored():
    checkpoint = workbench.load("depo-n8-w2-any")
    sleep = checkpoint.sleep.with_passes(4)
    assert checkpoint.task.context_tokens == 2 * sleep.window
    batch = checkpoint.task.sample(200, batch_generator(UNUSED_SEED, 0))
    both = answers_right(checkpoint.model, batch, sleep).mean()
    half = batch.token_range(sleep.window, batch.tokens.shape[1])  # the first window never came
    assert both - answers_right(checkpoint.model, half, sleep).mean() > 0.2


def rounded(numbers):
    """Return nested numbers without the digits that the order of a sum may change."""
    return json.loads(json.dumps(numbers), parse_float=lambda text: round(float(text), 12))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_hold_their_seeds_and_the_spread_over_them(path, make_script):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert "0" in record["seeds"]
    assert len(record["seeds"]) >= 3
    scores = [make_script.seed_scores(seed) for seed in record["seeds"].values()]
    assert rounded(record["over_seeds"]) == rounded(make_script.over_seeds(scores))


def test_every_checkpoint_has_results_and_was_their_first_seed():
    assert [path.stem for path in RESULTS] == sorted(EXPECTED)
    for path in RESULTS:
        record = json.loads(path.read_text(encoding="utf-8"))
        bundled = workbench.load(path.stem).provenance["hashes"]["model.safetensors"]
        assert record["seeds"]["0"]["weights_sha256"] == bundled


def test_the_tables_of_the_docs_are_those_of_the_results(make_script):
    text = (Path(__file__).parents[1] / "docs" / "method.md").read_text(encoding="utf-8")
    assert make_script.with_tables(text, make_script.read_results()) == text


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_card_shows_every_training_seed(path, make_script):
    record = json.loads(path.read_text(encoding="utf-8"))
    card = (data_folder() / "checkpoints" / path.stem / "card.md").read_text(encoding="utf-8")
    assert make_script.with_seeds(card, record) == card
    shown = card.partition(make_script.SEEDS_TITLE)[2]
    for seed in record["seeds"]:
        assert f"| {seed} | " in shown


def test_first_queries_are_those_of_the_recorded_examples():
    """Read from the logits of the first answer, by hand; one in eight queries is a first one."""
    checkpoint = workbench.load("depo-n8-n2")
    metrics = checkpoint.provenance["metrics"]
    batch = checkpoint.task.sample(
        metrics["count"], batch_generator(metrics["seed"], 0, "evaluation")
    )
    place = checkpoint.task.context_tokens + 2  # k, start, ANS: the answer is read at ANS
    with torch.no_grad():
        events = list(workbench.read(checkpoint.model, batch, checkpoint.sleep.with_passes(2)))
    wake = next(event for event in events if isinstance(event, Wake))
    said = wake.logits[:, 2].argmax(dim=-1).numpy()
    right = said == batch.tokens[:, place + 1]
    first = metrics["passes"]["2"]["first"]
    for level, share in first["accuracy"].items():
        assert right[batch.difficulty[:, 0] == int(level)].mean() == pytest.approx(share, abs=0.01)
    pooled = metrics["passes"]["2"]["accuracy"]["4"]
    assert first["accuracy"]["4"] < pooled, "earlier answers help this model at 4 hops"


def test_solvers_agree_with_the_bundled_tasks():
    for name in EXPECTED:
        task = workbench.load(name).task
        if task.measure is not None:  # nothing determines how a text goes on
            continue
        batch = task.sample(20, batch_generator(UNUSED_SEED, 1))
        np.testing.assert_array_equal(task.solve(batch), batch.tokens)
