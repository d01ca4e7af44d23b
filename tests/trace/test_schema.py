"""A tree that is no whole trace is refused, each time with what is wrong with it."""

import numpy as np
import pytest
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.trace import SCHEMA, validate_trace


def without(group, name):
    def spoil(tree):
        tree[group] = xr.DataTree(tree[group].to_dataset(inherit=False).drop_vars(name))

    return spoil


def changed(group, **variables):
    def spoil(tree):
        found = tree[group].to_dataset(inherit=False)
        for name, change in variables.items():
            found[name] = change(found[name] if name in found else None)
        tree[group] = xr.DataTree(found)

    return spoil


def attribute(name, value):
    return lambda tree: tree.attrs.update({name: value})


def attached(name, dataset):
    def spoil(tree):
        tree[name] = xr.DataTree(dataset)

    return spoil


def cut(group, **sizes):
    def spoil(tree):
        tree[group] = xr.DataTree(tree[group].to_dataset(inherit=False).isel(sizes))

    return spoil


def forgotten(tree):
    tree["states"]["fast_weight"].values[1, 0, 2] = np.nan


def rooted(**coords):
    return lambda tree: tree.coords.update(coords)


OBJECTS = xr.Dataset({"a": ("x", np.array([{}, []], dtype=object))})
SPOILT = {
    "another schema": (attribute("schema", "sleep-trace/0"), "of schema 'sleep-trace/0'"),
    "no schema": (lambda tree: tree.attrs.pop("schema"), "a tree without a schema"),
    "no attribute": (lambda tree: tree.attrs.pop("seed"), "attribute seed = None"),
    "an attribute of another kind": (attribute("n_sleep", "2"), "attribute n_sleep = '2'"),
    "settings that are no JSON": (attribute("config_json", "{"), "config_json that is not JSON"),
    "an attribute that is not plain": (attribute("more", [1, 2]), "attribute more = "),
    "no group": (lambda tree: tree.__delitem__("readout"), "no group /readout"),
    "an unknown group": (attached("gradients", xr.Dataset()), "a group /gradients"),
    "a group inside a group": (attached("states/more", xr.Dataset()), "groups inside /states"),
    "no variable": (without("writes", "beta"), "/writes without beta"),
    "an unknown variable": (changed("inputs", loss=lambda _: ("example", [1, 2, 3])), "with loss"),
    "axes in another order": (
        changed("states", norm=lambda v: v.transpose("window", "example", ...)),
        r"/states/norm \('window', 'example'",
    ),
    "another dtype": (
        changed("inputs", tokens=lambda v: v.astype("float32")),
        "/inputs/tokens of dtype float32",
    ),
    "half precision": (
        changed("states", norm=lambda v: v.astype("float16")),
        "/states/norm of dtype float16",
    ),
    "fewer heads": (cut("writes", gdn_head=slice(1)), "/writes with gdn_head = 1; expected 2"),
    "fewer tokens": (cut("inputs", token=slice(3)), "/inputs with token = 3; expected 4"),
    "fewer passes": (cut("states", sleep_pass=slice(2)), r"/states with sleep_pass = \[0, 1\]"),
    "passes from zero": (
        changed("writes", sleep_pass=lambda v: v - 1),
        r"/writes with sleep_pass = \[0, 1\]",
    ),
    "another layer": (changed("writes", layer=lambda v: v + 1), r"/writes with layer = \[2\]"),
    "no rule": (without("writes", "corrects"), "without corrects"),
    "no layers": (without("states", "layer"), "/states without the coordinate layer"),
    "a pass that is not there": (forgotten, "NaN in /states/fast_weight of window 0"),
    "no pass at all": (rooted(n_passes=("window", [2, 2, 0])), "n_passes below 1"),
    "asleep in numbers": (rooted(asleep=("window", [1, 1, 0])), "asleep of every window"),
    "objects": (attached("spectra", OBJECTS), "/spectra: a holds Python objects"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT)
def test_what_is_wrong_is_said(small_trace, spoil, message):
    spoil(small_trace)
    with pytest.raises(WorkbenchError, match=message):
        validate_trace(small_trace)


def test_a_trace_is_valid_with_what_is_attached(small_trace):
    assert small_trace.attrs["schema"] == SCHEMA
    small_trace["spectra"] = xr.DataTree(xr.Dataset({"effective_rank": ("example", [1.0, 2, 3])}))
    small_trace["probes/successor"] = xr.DataTree(xr.Dataset({"accuracy": ("seed", [0.5])}))
    validate_trace(small_trace)
