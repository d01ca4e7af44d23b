"""A run that starts from a trained model: which rows it takes over, what it records, resuming."""

import hashlib
import json
import shutil

import pytest
import torch
from run_facts import assert_same_weights

from workbench.config import Experiment, load_experiment, to_toml
from workbench.errors import WorkbenchError
from workbench.lab.sweeps import identity
from workbench.model import HybridModel
from workbench.tasks import task
from workbench.training.loop import train
from workbench.training.start import first_weights

LARGER = ("task.nodes=5", "sleep.window=10")


@pytest.fixture
def grown(tiny_experiment, finished):
    """Return a maker of experiments on five nodes that start from the finished run on four."""

    def make(*overrides, checkpoint=finished, tokens=None):
        start = {"checkpoint": str(checkpoint), "tokens": tokens or {}}
        found = tiny_experiment(*LARGER, *overrides)
        symbols = len(task(found.task).vocabulary)
        data = found.model_dump() | {"model": {**found.model.model_dump(), "vocabulary": symbols}}
        data["training"]["start"] = start
        return Experiment.model_validate(data)

    return make


def test_symbols_are_taken_over_by_name_and_new_ones_are_those_of_a_new_model(
    grown, finished, weights_of, tiny_experiment
):
    experiment = grown("training.seed=7", tokens={"4": "1"})
    new, old = task(experiment.task).vocabulary, task(tiny_experiment().task).vocabulary
    assert "4" in new and "4" not in old
    before = weights_of(finished)
    fresh = HybridModel(experiment.model, seed=7).state_dict()
    found = first_weights(experiment, task(experiment.task)).weights
    plain = first_weights(grown("training.seed=7"), task(experiment.task)).weights
    assert found.keys() == before.keys()
    for name, tensor in found.items():
        if name not in ("embedding.weight", "head.weight"):
            assert torch.equal(tensor, before[name]), name
            continue
        for row, symbol in enumerate(new):
            same = "1" if symbol == "4" else symbol
            assert torch.equal(tensor[row], before[name][old.index(same)]), symbol
        assert torch.equal(plain[name][new.index("4")], fresh[name][new.index("4")])


def test_a_run_records_its_start_and_resumes_without_it(grown, finished, tmp_path):
    source = shutil.copytree(finished, tmp_path / "source-0")
    experiment = grown(checkpoint=str(tmp_path / "source-{seed}"))
    assert train(experiment, tmp_path / "whole") == "finished"
    stops = iter([False, False, True])
    assert train(experiment, tmp_path / "part", stop=lambda: next(stops)) == "stopped"
    shutil.rmtree(source)
    assert train(experiment, tmp_path / "part", resume=True) == "finished"
    assert_same_weights(tmp_path / "whole", tmp_path / "part")
    weights = (finished / "checkpoint" / "model.safetensors").read_bytes()
    for run in ("whole", "part"):
        record = json.loads((tmp_path / run / "checkpoint" / "provenance.json").read_text())
        said = record["started_from"]
        assert said["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        assert said["name"] == "tiny"
        card = (tmp_path / run / "checkpoint" / "card.md").read_text()
        assert "**Started from** the weights of tiny" in card


def test_it_is_a_setting_of_its_own(grown, tiny_experiment, tmp_path):
    experiment = grown(tokens={"4": "1"})
    (tmp_path / "one.toml").write_text(to_toml(experiment))
    assert load_experiment(tmp_path / "one.toml") == experiment
    assert "training.start" not in to_toml(tiny_experiment())
    assert identity(experiment) != identity(grown())


@pytest.mark.parametrize(
    ("overrides", "start", "match"),
    [
        (["model.mlp_width=16"], {}, r"mlp.* of shape .* expected .*; give \[model\]"),
        (["model.width=12"], {}, "embedding.weight of shape"),
        ([], {"tokens": {"9": "1"}}, "names '9'.*a symbol of the task of this run"),
        ([], {"tokens": {"4": "8"}}, "names '8'.*a symbol of the task of "),
        ([], {"checkpoint": "nowhere"}, "no checkpoint 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_folder_is_made(
    grown, tmp_path, overrides, start, match
):
    with pytest.raises(WorkbenchError, match=match) as caught:
        train(grown(*overrides, **start), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
