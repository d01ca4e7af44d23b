"""Measurements as tables: every bundled one has its tables, and cells say what the data hold."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.lab.kinds import KINDS
from workbench.lab.measured import read_measurement
from workbench.views.measured_words import TABLES, cell, measurements, tables


def test_every_kind_has_its_tables():
    assert set(TABLES) == set(KINDS)


@pytest.mark.parametrize("name", measurements())
def test_every_bundled_measurement_is_told(name):
    data, origin = read_measurement(measurements()[name])
    assert name.startswith(f"{data.attrs['kind']}-{origin['checkpoint']}")
    found = tables(data)
    assert found
    for rows in found.values():
        assert len(rows) > 1 and len({len(row) for row in rows}) == 1
        assert any(text for row in rows[1:] for text in row[1:])
    assert not origin["commit"]["uncommitted_changes"]


def test_measurements_of_one_kind_are_found_by_it():
    assert set(measurements("lens")) == {n for n in measurements() if n.startswith("lens-")}


def test_a_cell_has_its_interval_and_no_minus_zero():
    data = xr.Dataset({"a": -0.001, "a_low": -0.25, "a_high": 0.24, "b": np.nan, "c": 1.0})
    assert cell(data, "a") == "0.00 [−0.25, 0.24]"
    assert cell(data, "a", bounds=False) == "0.00"
    assert cell(data, "b") == ""
    assert cell(data, "c") == "1.00"


def test_the_lens_is_told_with_its_chance_lines():
    data, _ = read_measurement(measurements()["lens-depo-n8-any"])
    (rows,) = tables(data).values()
    assert rows[0] == ["if it woke", "1 hop", "2 hops", "3 hops", "4 hops"]
    last = rows[1 + data.sizes[dims.SLEEP_PASS] - 1]
    assert last[0] == "after pass 4" and last[1].startswith("1.00 [")
    assert rows[-1] == ["chance: guess among other nodes", "0.14", "0.14", "0.14", "0.14"]
