"""The bundled model and traces that the notebooks look into, loaded once."""

import pytest

import workbench
from workbench.tasks import batch_generator
from workbench.trace import load_trace


@pytest.fixture(scope="session")
def checkpoint():
    return workbench.load("depo-n8-any")


@pytest.fixture(scope="session")
def bundled(checkpoint):
    """The model, 64 rings and a sleep of 4 passes, as the first notebooks have them."""
    batch = checkpoint.task.sample(64, batch_generator(1, 0, "notebook"))
    return checkpoint.model, batch, checkpoint.sleep.with_passes(4)


@pytest.fixture(scope="session")
def trace():
    return load_trace("depo-n8-any")


@pytest.fixture(scope="session")
def two():
    """The trace of a model that sleeps on two windows."""
    return load_trace("depo-n8-w2-any")
