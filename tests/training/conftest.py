"""A run small enough to train in a blink: Depo on four nodes, one sleep and one wake window."""

import pytest


@pytest.fixture(scope="session")
def tiny_experiment():
    """Return a maker of experiments: ``tiny_experiment("training.steps=9", ...)``."""
    from workbench.config import Experiment, apply_overrides, build

    base = {
        "model": {"width": 8, "attention_heads": 2, "gdn_heads": 2, "key_dim": 4, "value_dim": 4},
        "sleep": {"window": 8, "passes": 2},
        "task": {"name": "depo", "nodes": 4, "names": "single", "max_hops": 2, "queries": 2},
        "training": {"steps": 6, "batch_size": 4, "warmup": 2, "log_every": 1, "eval_count": 12},
    }
    base["model"]["mlp_width"] = 8
    base["training"] |= {"checkpoint_every": 2, "muon_lr": 5e-3, "adamw_lr": 5e-3}
    return lambda *overrides: build(Experiment, apply_overrides(base, overrides), source="test")


@pytest.fixture(scope="session")
def finished(tiny_experiment, tmp_path_factory):
    """The folder of a finished run of six steps, evaluated at N = 1 and N = 2."""
    from workbench.training.loop import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    experiment = tiny_experiment("training.eval_passes=[1, 2]", "training.eval_every=3")
    assert train(experiment, folder) == "finished"
    return folder


@pytest.fixture(scope="session")
def weights_of():
    """Return the function that reads a finished run's weights."""
    from safetensors.torch import load_file

    return lambda folder: load_file(folder / "checkpoint" / "model.safetensors")
