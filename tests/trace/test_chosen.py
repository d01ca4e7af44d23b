"""Chosen layers and heads, and a budget: parts of the whole recording, or a line that says no."""

import numpy as np
import pytest
import xarray as xr

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.provenance import contribution_norms
from workbench.trace import load_trace, record, recorded_bytes, save_trace

SLEEP = SleepConfig(window=4, passes=2)
ALL = ("states", "writes", "hidden")
STACK = ("attention", "gated_delta", "delta", "gated_delta")


def test_a_choice_is_that_part_of_the_whole(tiny_model, make_batch, tmp_path):
    model, batch = tiny_model(*STACK), make_batch(2, 2)
    whole = record(model, batch, SLEEP, keep=ALL)
    part = record(model, batch, SLEEP, keep=ALL, layers=(3, 1), heads=(1,))
    for group in ("states", "writes", "hidden"):
        for name, values in part[group].data_vars.items():
            expected = whole[group][name].sel(layer=[1, 3])
            if group != "hidden":
                expected = expected.isel(gdn_head=[1])
            np.testing.assert_array_equal(values.values, expected.values)
    xr.testing.assert_identical(part["readout"].to_dataset(), whole["readout"].to_dataset())
    assert part["states"]["gdn_head"].values.tolist() == [1]
    assert "gdn_head" not in whole["states"].coords
    stored = load_trace(save_trace(part, tmp_path / "part.zarr.zip"))
    xr.testing.assert_identical(stored["states"].to_dataset(), part["states"].to_dataset())
    shares = contribution_norms(stored)["share"]
    np.testing.assert_allclose(
        shares, contribution_norms(whole)["share"].sel(layer=[1, 3]).isel(gdn_head=[1]), atol=1e-6
    )


@pytest.mark.parametrize("keep", [(), ("states",), ALL])
@pytest.mark.parametrize("choice", [{}, {"layers": (1,)}, {"heads": (0,)}])
def test_what_is_told_is_what_it_takes(tiny_model, make_batch, keep, choice):
    model, batch = tiny_model(*STACK), make_batch(2, 2)
    trace = record(model, batch, SLEEP, keep=keep, **choice)
    taken = sum(v.nbytes for node in trace.children.values() for v in node.data_vars.values())
    assert recorded_bytes(model, batch, SLEEP, keep=keep, **choice) == taken
    record(model, batch, SLEEP, keep=keep, budget=taken / 1e6, **choice)
    with pytest.raises(WorkbenchError, match="fewer examples, layers or heads"):
        record(model, batch, SLEEP, keep=keep, budget=(taken - 1) / 1e6, **choice)


class Uneven:
    """A model whose last memory says that it is of another size than the others."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def empty_memory(self, batch):
        memory = self.model.empty_memory(batch)
        last = max(memory.fast_weights)
        memory.fast_weights[last] = memory.fast_weights[last][:, :1]
        return memory


def test_layers_of_different_sizes_are_refused_until_the_chosen_ones_agree(tiny_model, make_batch):
    model, batch = Uneven(tiny_model(*STACK)), make_batch(2, 2)
    with pytest.raises(WorkbenchError, match="such as 1,2"):
        recorded_bytes(model, batch, SLEEP)
    assert recorded_bytes(model, batch, SLEEP, layers=(1, 2)) > recorded_bytes(
        model, batch, SLEEP, layers=(3,)
    )


@pytest.mark.parametrize(
    ("choice", "said"),
    [({"layers": (0,)}, "layer 0"), ({"heads": (9,)}, "head 9"), ({"layers": ()}, "no layers")],
)
def test_what_does_not_exist_is_said(tiny_model, make_batch, choice, said):
    with pytest.raises(WorkbenchError, match=said):
        record(tiny_model(*STACK), make_batch(2, 2), SLEEP, **choice)
