"""The bundled traces are whole, small, and what their checkpoints do."""

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

import workbench
from workbench.config import SleepConfig
from workbench.paths import bundled_checkpoints, bundled_traces
from workbench.tasks import draw
from workbench.trace import STREAM, batch_of, load_trace, record
from workbench.training.evaluation import default_passes

RENAMED = {"token_id": "tokens", "valid_mask": "valid", "is_target": "loss_mask"}
NAMES = sorted(bundled_checkpoints())
EACH = [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])]


def test_every_checkpoint_has_one():
    assert sorted(bundled_traces()) == NAMES


@pytest.mark.parametrize("name", EACH)
def test_one_of_the_earlier_schema_is_read_under_the_names_of_a_batch(name):
    with ZipStore(bundled_traces()[name], mode="r") as store:
        stored = zarr.open_group(store, mode="r", use_consolidated=False)
        found = load_trace(name)
        assert found.attrs["schema"] == "sleep-trace/2"
        earlier = stored.attrs["schema"] == "sleep-trace/1"
        assert earlier == (name.startswith(("depo-", "rule110-")) and "held-out" not in name)
        for old, new in RENAMED.items() if earlier else ():
            assert old not in found["inputs"]
            np.testing.assert_array_equal(found["inputs"][new], stored["inputs"][old][:])


@pytest.mark.parametrize("name", EACH)
def test_it_is_small_and_recorded_again_it_is_the_same(name):
    assert bundled_traces()[name].stat().st_size <= 4_000_000
    checkpoint = workbench.load(name)
    trace = load_trace(name, checkpoint=checkpoint)
    attrs = trace.attrs
    assert attrs["checkpoint"] == name and {"states", "writes"} <= set(trace.children)
    assert attrs["n_sleep"] == default_passes(checkpoint.sleep)[-1]
    assert trace.sizes["example"] >= (3 if name == "text-names" else 8)  # its texts are long
    sleep = SleepConfig.model_validate_json(attrs["sleep_json"])
    assert sleep == checkpoint.sleep.with_passes(attrs["n_sleep"])
    batch = batch_of(trace)
    drawn = draw(checkpoint.task, trace.sizes["example"], attrs["seed"], 0, STREAM)
    np.testing.assert_array_equal(drawn.tokens, batch.tokens)
    again = record(checkpoint.model, batch.examples(slice(2)), sleep)
    first = trace.isel(example=slice(2))
    for group in ("states", "writes", "readout"):
        for variable in first[group].data_vars:
            found, stored = again[group][variable].values, first[group][variable].values
            if stored.dtype.kind == "f":
                np.testing.assert_allclose(found, stored, atol=1e-4, rtol=1e-4)
    if checkpoint.task.measure is None:  # a text's names are asked on the way, not at its end
        right = [
            trace["readout"]["correct"].isel(window=i) for i in np.flatnonzero(trace["asleep"])
        ]
        assert right[-1].isel(sleep_pass=-1).mean() > right[0].isel(sleep_pass=0).mean() + 0.2
