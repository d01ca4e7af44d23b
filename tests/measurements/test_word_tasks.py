"""Every measurement on tasks of words: queries read alone, a question asked first, and text."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from workbench.config import Experiment, ModelConfig, SleepConfig
from workbench.errors import WorkbenchError
from workbench.measurements.base import Reporter
from workbench.measurements.catalogue import measure, measurement, measurements, tables
from workbench.model import HybridModel
from workbench.tasks import task as make_task
from workbench.training.checkpoints import Checkpoint

TASKS = {
    "variables": ({"variables": 5, "names": 6, "given": 2, "max_depth": 3}, 9),
    "gsm_infinite": (
        {"max_operations": 3, "places": 2, "things": 3, "length": 90, "totals": 0.0, "modulus": 5},
        45,
    ),
    "text": ({"window": 16, "windows": 4, "recalled": 1}, 16),
}
"""Settings of each task, and the window: the queries of the first are longer than one."""
LEAST = {"probes": 60, "steering": 60, "recovery": 70, "erasure": 50}
REFUSED = {
    "text": {
        "patches": "where no context decides the answers; expected a task",
        **dict.fromkeys(("probes", "steering", "erasure"), "a probe of text; expected a task that"),
    }
}
"""What makes no sense of a task, and why."""


@pytest.fixture(scope="module", params=TASKS)
def checkpoint(request):
    settings, window = TASKS[request.param]
    made = make_task(request.param, **settings)
    sizes = {"attention_heads": 2, "gdn_heads": 2, "key_dim": 4, "value_dim": 4, "mlp_width": 8}
    model = ModelConfig(vocabulary=len(made.vocabulary), width=16, **sizes)
    order = "mask" if made.determined else "predict_then_sleep"
    sleep = SleepConfig(window=window, passes=2, order=order)
    experiment = Experiment(model=model, sleep=sleep, task=made.config)
    network = HybridModel(model, seed=0).eval().requires_grad_(False)
    return Checkpoint("tiny", Path(), network, experiment, {"hashes": {}})


@pytest.mark.parametrize("kind", measurements())
def test_every_measurement_on_a_task_of_words(checkpoint, kind):
    settings = {"examples": LEAST.get(kind, 4)}
    fields = measurement(kind).settings.model_fields
    settings |= {"splits": 1} if "splits" in fields else {}
    settings |= {"others": 1} if "others" in fields else {}
    if why := REFUSED.get(checkpoint.task.name, {}).get(kind):
        with pytest.raises(WorkbenchError, match=why):
            measure(checkpoint, kind, measurement(kind).settings(**settings), Reporter())
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(checkpoint, kind, measurement(kind).settings(**settings), Reporter())
        assert found.attrs["difficulty_name"] == checkpoint.task.difficulty_name
        rows = [row for table in tables(found).values() for row in table[1:]]
        assert any(text for row in rows for text in row[1:])
        for chart in measurement(kind).charts(found):
            chart.draw()
    assert any(
        np.isfinite(values).any() for values in found.data_vars.values() if values.dtype.kind == "f"
    )
