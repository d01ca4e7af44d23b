"""Measurements as tables: every bundled one has its tables, and cells say what the data hold."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.measurements.catalogue import measurement, tables
from workbench.measurements.records import read_measurement
from workbench.measurements.shelf import bundled_records
from workbench.measurements.tables import cell


def charts_of(data):
    return measurement(data.attrs["kind"]).charts(data)


@pytest.mark.parametrize("name", bundled_records())
def test_every_bundled_measurement_is_told(name):
    data, origin = read_measurement(bundled_records()[name])
    assert name.startswith(f"{data.attrs['kind']}-{origin['checkpoint']}")
    found = tables(data)
    assert found
    for rows in found.values():
        assert len(rows) > 1 and len({len(row) for row in rows}) == 1
        assert any(text for row in rows[1:] for text in row[1:])
    assert not origin["commit"]["uncommitted_changes"]


def test_measurements_of_one_kind_are_found_by_it():
    assert set(bundled_records("lens")) == {n for n in bundled_records() if n.startswith("lens-")}


def test_a_cell_has_its_interval_and_no_minus_zero():
    data = xr.Dataset({"a": -0.001, "a_low": -0.25, "a_high": 0.24, "b": np.nan, "c": 1.0})
    assert cell(data, "a") == "0.00 [−0.25, 0.24]"
    assert cell(data, "b") == ""
    assert cell(data, "c") == "1.00"


def test_the_lens_is_told_with_its_chance_lines():
    data, _ = read_measurement(bundled_records()["lens-depo-n8-any"])
    (rows,) = tables(data).values()
    assert rows[0] == ["if it woke", "1 hop", "2 hops", "3 hops", "4 hops"]
    last = rows[1 + data.sizes[dims.SLEEP_PASS] - 1]
    assert last[0] == "after pass 4" and last[1].startswith("1.00 [")
    assert rows[-1] == ["chance: guess among other nodes", "0.14", "0.14", "0.14", "0.14"]


@pytest.mark.parametrize("name", bundled_records("patches"))
def test_patches_are_held_against_an_unrelated_donor(name):
    """By the formula, from the recorded effects; and chance is a guess among the answers."""
    data, _ = read_measurement(bundled_records()[name])
    patch, other = (data["effect"].sel(control=c, drop=True) for c in ("patch", "unrelated donor"))
    np.testing.assert_allclose(data["beyond"], (patch - other) / (1 - other), atol=1e-9)
    both = data["became_donor"].sel(control=["patch", "unrelated donor"])
    more = -both.diff("control").squeeze("control", drop=True)
    np.testing.assert_allclose(data["became_more"], more, atol=1e-9)
    # another node of a ring of 8, or one of 5 values; deeper ones are fewer
    within = (1 / 7, 0.012) if name.startswith("patches-depo") else (1 / 5, 0.04)
    np.testing.assert_allclose(data["chance"], within[0], atol=within[1])
    for quantity in ("beyond", "became_more"):
        low, high = (data[f"{quantity}_{end}"] for end in ("low", "high"))
        there = data[quantity].notnull()
        assert (
            ((low <= data[quantity] + 1e-12) & (data[quantity] <= high + 1e-12))
            .where(there, True)
            .all()
        )
    found = tables(data)
    first = next(iter(found.values()))
    assert first[-1][0] == "chance: another context's answer"
    assert not any(row[0].startswith("effect") for rows in found.values() for row in rows[1:])


@pytest.mark.parametrize("name", bundled_records("probes"))
def test_probes_are_held_against_the_text_and_a_replay(name):
    data, _ = read_measurement(bundled_records()[name])
    assert {"input, linear", "input, quadratic", "frozen replay"} <= set(data.baseline.values)
    assert data.attrs["untrained_models"] >= 3
    shares = data["accuracy"].mean("seed") - data["baseline_accuracy"].mean("seed")
    np.testing.assert_allclose(data["gain"].transpose(*shares.dims), shares, atol=5e-3)
    replay = data["baseline_accuracy"].sel(baseline="frozen replay")
    assert replay.sel(sleep_pass=[0, 1]).isnull().all()
    last = int(data.sleep_pass[-1])
    assert replay.sel(sleep_pass=slice(2, last)).notnull().all()
    rows = next(iter(tables(data).values()))
    labels = [row[0] for row in rows]
    assert "untrained weights, after pass 1" in labels and "frozen replay, after pass 2" in labels
    assert "frozen replay, after pass 1" not in labels
    assert labels[-1] == f"above the best linear baseline, after pass {last}"


def test_a_quadratic_decoder_of_the_text_is_no_bar_for_a_linear_probe():
    data, _ = read_measurement(bundled_records()["probes-depo-n8-any"])
    two = data["baseline_accuracy"].sel(target="2 hops", sleep_pass=4).mean("seed").squeeze()
    assert two.sel(baseline="input, quadratic") > 0.99
    assert two.sel(baseline="input, linear") < 0.25
    row = tables(data)["told right"][-1]
    best = two.drop_sel(baseline="input, quadratic").max()
    here = data["accuracy"].sel(target="2 hops", sleep_pass=4).mean()
    assert row[2].startswith(f"{float(here - best):.2f} [")


def test_parts_are_drawn_against_the_unrelated_donor():
    data, _ = read_measurement(bundled_records()["patches-depo-n8-any-heads"])
    titles = [shown.title for shown in charts_of(data)]
    assert titles == [
        f"{title}, {way}"
        for way in ("denoise", "noise")
        for title in (
            "Became the donor's by part, minus an unrelated donor's",
            "Effect by part, beyond an unrelated donor's",
        )
    ]
    z = charts_of(data)[3].draw(theme="light").data[0].z
    here = data["beyond"].sel(direction="noise", difficulty=1).squeeze("window")
    np.testing.assert_allclose(z, here.transpose("component", "sleep_pass"), atol=1e-6)


@pytest.mark.parametrize(("name", "new"), [
    ("patches-depo-n8-any", ("beyond", "became_more", "chance")),
    ("patches-depo-n8-any-heads", ("beyond", "became_more", "chance")),
    ("probes-depo-n8-any", ("gain",)),
])  # fmt: skip
def test_a_measurement_made_before_these_comparisons_is_still_shown(name, new):
    data, _ = read_measurement(bundled_records()[name])
    old = data.drop_vars([str(v) for v in data if str(v).startswith(new)])
    assert 0 < len(tables(old)) <= len(tables(data))
    for shown in charts_of(old):
        assert shown.draw(theme="light").data


def test_older_measurements_of_memories_attributions_and_erasures_are_still_shown():
    memory, _ = read_measurement(bundled_records()["memory-depo-n8-any"])
    both = list(tables(memory))
    left, changed = (name for name in both if name.startswith("shares of S"))
    older = memory.isel({dims.CONVENTION: 0}, drop=True)
    assert list(tables(older)) == [name for name in both if name != changed]
    assert tables(older)[left] == tables(memory)[left] != tables(memory)[changed]
    owed, _ = read_measurement(bundled_records()["attribution-depo-n8-any-passes"])
    (rows,) = tables(owed).values()
    (without,) = tables(owed.drop_vars("unexplained_by_difficulty")).values()
    assert rows[:-1] == without and rows[-1][0] == "unexplained, median"
    erased, _ = read_measurement(bundled_records()["erasure-depo-n8-w2-any"])
    decoder, model = tables(erased)
    assert list(tables(erased.drop_vars("accuracy"))) == [decoder]
    assert [row[0] for row in tables(erased)[model]] == [row[0] for row in tables(erased)[decoder]]
