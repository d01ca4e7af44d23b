"""A run small enough to train in a blink: Depo on four nodes, one sleep and one wake window."""

import pytest
from tiny import tiny_run


@pytest.fixture(scope="session")
def tiny_experiment():
    """Return a maker of experiments: ``tiny_experiment("training.steps=9", ...)``."""
    settings = {"steps": 6, "eval_every": 0, "eval_count": 12, "checkpoint_every": 2}
    settings |= {"muon_lr": 5e-3, "adamw_lr": 5e-3}
    plain = [f"training.{name}={value}" for name, value in settings.items()]
    return lambda *overrides: tiny_run(*plain, *overrides)


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
