"""Measurements as JSON: what is written is what is read, and damage is told."""

import json

import numpy as np
import pytest
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.measurements.records import SCHEMA, read_measurement, write_measurement


def measured():
    return xr.Dataset(
        {
            "accuracy": (("seed", "target"), np.array([[0.5, np.nan], [1 / 3, 1.0]], np.float32)),
            "exact": ((), 1 / 3),
            "count": ("target", [3, 4], {"units": "examples"}),
            "kept": ("target", [True, False]),
        },
        {"seed": [0, 1], "target": ["1 hop", "2 hops"]},
        {"baseline": "majority", "examples": 12},
    )


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "probes.json"
    write_measurement(path, measured(), {"kind": "probes"})
    dataset, provenance = read_measurement(path)
    xr.testing.assert_allclose(dataset, measured(), rtol=1e-6)
    assert float(dataset["exact"]) == 1 / 3
    assert dataset["kept"].dtype == bool and dataset["count"].attrs == {"units": "examples"}
    assert dataset.attrs == measured().attrs
    assert provenance == {"kind": "probes"}
    assert "0.3333333" in path.read_text() and "NaN" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.update(schema="sleep-measurement/0"), "sleep-measurement/0"),
        (lambda f: f.pop("schema"), "is not a measurement"),
        (lambda f: f["variables"]["count"].update(data=[3]), "damaged"),
        (lambda f: f["variables"]["count"].update(dims=["target", "x"]), "damaged"),
        (lambda f: f["variables"]["accuracy"].update(data=[[1]]), "damaged"),
        (lambda f: f["variables"]["accuracy"].update(kind="object"), "damaged"),
        (lambda f: f.pop("coords"), "damaged"),
        (lambda f: f["variables"]["count"].update(data=[3, 4.5]), "type float among .* int64"),
        (lambda f: f["variables"]["count"].update(data=[3, True]), "type bool"),
        (lambda f: f["variables"]["kept"].update(data=["x", "y"]), "type str"),
        (lambda f: f["coords"]["target"].update(data=[1, 2]), "type int among .* str"),
        (lambda f: f["variables"]["accuracy"].update(data=[[0.5, "1"], [1, 2]]), "type str"),
        (lambda f: f["variables"]["exact"].update(data={}), "type dict"),
        (lambda f: f.update(variables=[]), "damaged"),
        (lambda f: f.update(attrs={"kind": None}), "damaged"),
        (lambda f: f.update(provenance="x"), "damaged"),
        (lambda f: f["provenance"].update(settings=3), "damaged"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, change, said):
    path = tmp_path / "probes.json"
    write_measurement(path, measured(), {})
    found = json.loads(path.read_text())
    assert found["schema"] == SCHEMA
    del found["sha256"]  # as in files of earlier versions
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(WorkbenchError, match=said) as error:
        read_measurement(path)
    assert "\n" not in str(error.value)


def test_an_altered_number_is_refused(tmp_path):
    path = tmp_path / "probes.json"
    write_measurement(path, measured(), {"kind": "probes"})
    whole = path.read_text()
    path.write_text(whole.replace("0.5", "0.6"))
    with pytest.raises(WorkbenchError, match="was altered"):
        read_measurement(path)
    path.write_text(whole.replace(": ", ":\n"))  # not a change of content
    assert read_measurement(path)[1] == {"kind": "probes"}


def test_a_missing_or_truncated_file_is_told(tmp_path):
    path = tmp_path / "probes.json"
    with pytest.raises(WorkbenchError, match=r"probes\.json not found"):
        read_measurement(path)
    write_measurement(path, measured(), {})
    path.write_text(path.read_text()[:-40])
    with pytest.raises(WorkbenchError, match="is not valid JSON"):
        read_measurement(path)


def test_what_json_does_not_hold_is_refused(tmp_path):
    for wrong in (np.array([1j]), np.array([np.inf])):
        with pytest.raises(ValueError):
            write_measurement(tmp_path / "x.json", xr.Dataset({"a": ("seed", wrong)}), {})
    assert not list(tmp_path.iterdir())
