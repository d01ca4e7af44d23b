"""The summary of a memory: means over examples of what the instruments say, with intervals."""

import numpy as np
import pytest
import xarray as xr

import workbench
from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.change import SLEEP, change, replayed
from workbench.instruments.controls import REPLAY
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.readout import readout
from workbench.instruments.retention import retention
from workbench.instruments.summary import DIFFERENCE, memory_summary, over_examples
from workbench.tasks.base import EVALUATION, batch_generator
from workbench.trace import record


@pytest.fixture(scope="module")
def trace():
    """Five examples with two windows slept on."""
    checkpoint = workbench.load("depo-n8-w2-any")
    batch = checkpoint.task.sample(5, batch_generator(0, 0, EVALUATION))
    return record(checkpoint.model, batch, checkpoint.sleep.with_passes(3))


def test_an_interval_over_examples_is_student_s():
    values = xr.DataArray([[1.0, 5.0], [2.0, np.nan], [3.0, np.nan]], dims=("example", "layer"))
    found = over_examples("x", values)
    np.testing.assert_allclose(found["x"], [2.0, 5.0])
    half = 4.302653 / np.sqrt(3)  # t(0.975; 2) times a standard deviation of 1, over root 3
    np.testing.assert_allclose(found["x_low"], [2 - half, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["x_high"], [2 + half, np.nan], rtol=1e-6)


def test_without_a_sleep_there_is_nothing_to_compare():
    awake = {"asleep": xr.DataArray([False, False])}
    with pytest.raises(WorkbenchError, match="a trace in which no window was slept on"):
        memory_summary(awake)


def test_it_holds_the_means_of_the_instruments(trace):
    found = memory_summary(trace)
    assert list(found[dims.PROCEDURE].values) == [SLEEP, REPLAY, DIFFERENCE]
    assert list(found[dims.WINDOW].values) == [0, 1]
    for window in (0, 1):
        for procedure, one in (
            (SLEEP, trace.isel(window=[window])),
            (REPLAY, replayed(trace, window=window)),
        ):
            for convention in CONVENTIONS:
                norms = contribution_norms(one, convention=convention).isel(window=0)
                here = found.sel(procedure=procedure, window=window, convention=convention)
                share = norms["share"].isel(source_window=0).mean("example")
                np.testing.assert_allclose(here["written"], share.transpose(*here["written"].dims))
                np.testing.assert_allclose(here["carried"], norms["carried_share"].mean("example"))
    total = found["written"].sum("source_pass") + found["carried"]
    np.testing.assert_allclose(total.sel(procedure=[SLEEP, REPLAY]), 1, atol=1e-5)
    np.testing.assert_allclose(total.sel(procedure=DIFFERENCE), 0, atol=1e-5)
    changed = change(trace)["memory_change"].sel(window=[0, 1]).mean("example")
    np.testing.assert_allclose(
        found["memory_change"].sel(procedure=[SLEEP, REPLAY]), changed, rtol=1e-6
    )
    kept = retention(trace)["retention"].mean("example")
    np.testing.assert_allclose(found["retention"].transpose(*kept.dims), kept, rtol=1e-6)
    asked = readout(trace, source_window=1)
    np.testing.assert_allclose(
        found["retrieved"].sel(window=1), asked["accuracy"].sel(window=1).mean("example"), rtol=1e-6
    )
    np.testing.assert_allclose(found["retrieved_chance"], 1 / 8)
