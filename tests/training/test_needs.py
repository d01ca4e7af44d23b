"""Memory and threads: the estimate is a true lower bound, and what is too much is refused."""

import gc
import os

import pytest
import torch

from workbench import limits
from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.sleep import read
from workbench.tasks import batch_generator
from workbench.tasks import task as make_task
from workbench.training.fitting import expected_weights
from workbench.training.loop import train, with_vocabulary
from workbench.training.loss import masked_cross_entropy
from workbench.training.needs import check_threads, out_of_memory, training_bytes

LAYERS = 'model.layers=["attention", "gated_delta", "jet"]'


def kept_bytes(experiment, task):
    """Return the bytes that a step really keeps between its forward and its backward."""
    model = HybridModel(experiment.model)
    batch = task.sample(experiment.training.batch_size, batch_generator(0, 0))
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    gc.collect(0)  # nothing is young now; without collections all that is made stays young
    gc.disable()
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = masked_cross_entropy(read(model, batch, experiment.sleep))
        for one in gc.get_objects(generation=0):
            if isinstance(one, torch.Tensor):  # inputs of what is recomputed: Python holds them
                keep(one)
    finally:
        gc.enable()
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize(
    "options",
    [
        (), ("sleep.passes=4",), ("sleep.checkpointing=pass", "sleep.passes=4"),
        ("sleep.checkpointing=window", "sleep.passes=4"), ("sleep.loop=[1, 2]", "sleep.passes=3"),
        ("sleep.feed_back=false", "sleep.passes=3"), ("sleep.write=last_pass", "sleep.passes=3"),
        ("sleep.order=predict_then_sleep", "sleep.passes=3"), ("sleep.window=4",),
        ("sleep.eviction=sliding",), ("model.mlp_width=0",),
        ("model.width=64", "model.key_dim=16", "model.value_dim=16"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_estimate_is_less_than_what_a_step_keeps(tiny_experiment, options):
    experiment = tiny_experiment(LAYERS, *options)
    task = make_task(experiment.task)
    experiment = with_vocabulary(experiment, task)
    parameters = sum(p.numel() for p in HybridModel(experiment.model).parameters())
    activations = training_bytes(experiment, task) - 12 * parameters
    assert 0 < activations < kept_bytes(experiment, task)


def test_the_expected_weights_are_those_of_the_model():
    layers = ("attention", "jet", "gated_delta", "jet", "mamba2", "attention", "delta_negative")
    for config in (
        ModelConfig(vocabulary=5, layers=layers),
        ModelConfig(vocabulary=5, layers=("delta",), mlp_width=0),
    ):
        expected, found = expected_weights(config), HybridModel(config).state_dict()
        assert expected.keys() == found.keys()
        assert all(expected[n].shape == t.shape for n, t in found.items())
        assert all(expected[n].dtype == t.dtype for n, t in found.items())
        assert {t.device.type for t in expected.values()} == {"meta"}


def test_the_estimate_grows_with_every_size(tiny_experiment):
    def needed(*options):
        experiment = tiny_experiment(*options)
        task = make_task(experiment.task)
        return training_bytes(with_vocabulary(experiment, task), task)

    least = needed()
    for option in (
        "model.width=64", "model.key_dim=64", "model.value_dim=64", "model.mlp_width=64",
        "sleep.passes=9", 'sleep.passes={kind="random", low=1, high=9}', "training.batch_size=64",
        "task.queries=4",
    ):  # fmt: skip
        assert needed(option) > least, option
    assert needed("sleep.passes=9", "sleep.checkpointing=pass") <= needed("sleep.passes=9")
    assert needed("training.dtype=bfloat16") < least


HUGE = [
    "model.width=1048576", "model.key_dim=16384", "model.mlp_width=4194304",
    "model.gdn_heads=4096", "task.nodes=100000", "training.batch_size=16777216",
    "model.layers=" + str(["jet"] * 1024).replace("'", '"'),
]  # fmt: skip


@pytest.mark.parametrize("option", HUGE)
def test_what_the_machine_cannot_hold_is_refused_before_anything_is_written(
    tiny_experiment, tmp_path, monkeypatch, option
):
    monkeypatch.setattr(limits, "available_memory", lambda: 2**20)
    with pytest.raises(WorkbenchError, match="needs at least .*; expected at most 1.0 MB"):
        train(tiny_experiment(option), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_threads_are_limited_by_the_cores(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    check_threads(tiny_experiment("training.threads=8").training)
    with pytest.raises(WorkbenchError, match="threads = 9 on 2 cores; expected at most 8"):
        train(tiny_experiment("training.threads=9"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_allocation_that_fails_is_one_line():
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**62, dtype=torch.int8)
    for error in (failed.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):
        assert "more memory than there is" in str(out_of_memory(error))
    assert out_of_memory(RuntimeError("shapes differ")) is None
