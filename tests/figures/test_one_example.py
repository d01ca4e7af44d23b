"""Figures of one example that was changed or attributed: data in them is what went in."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.figures.attribution import attribution_bars, attribution_matrix
from workbench.figures.export import drawn
from workbench.figures.shifts import LOOKS, answer_shifts
from workbench.figures.theme import BYTES
from workbench.instruments.patching.pairs import ERASED, PATCHED
from workbench.views.interventions.words import NAMES

TITLES = {"noise": "needed?", "denoise": "enough?", "": "one"}
UNITS = {"noise": "donor minus own", "denoise": "own minus donor", "": "nat"}
CONTROLS = ["intact", "patch", "unrelated donor", "random of equal norm", "donor"]


def shifts():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, len(CONTROLS), 3))
    values[:, :, 1] = np.nan
    index = {dims.DIRECTION: ["noise", "denoise"], dims.CONTROL: CONTROLS}
    return xr.DataArray(values, index, (dims.DIRECTION, dims.CONTROL, dims.QUERY))


def test_every_memory_that_is_read_on_with_has_its_look_and_its_word():
    assert set(LOOKS) == set(NAMES) == {*PATCHED, *ERASED}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_query_has_its_marks_and_a_line_from_intact_to_changed(theme):
    given = shifts()
    figure = answer_shifts(given, queries=["a", "b", "c"], titles=TITLES, units=UNITS, theme=theme)
    assert [note.text for note in figure.layout.annotations[:2]] == ["needed?", "enough?"]
    titles = [figure.layout[axis].title.text for axis in ("xaxis", "xaxis2")]
    assert titles == [UNITS["noise"], UNITS["denoise"]]
    for panel, way in enumerate(given[dims.DIRECTION].values):
        axis = "x" if not panel else "x2"
        here = [t for t in figure.data if t.xaxis == axis]
        for control in CONTROLS:
            (marks,) = (t for t in here if t.name == control)
            np.testing.assert_allclose(marks.x, given.sel(direction=way, control=control), 1e-6)
            assert marks.showlegend == (panel == 0)
        (line,) = (t for t in here if t.mode == "lines")
        ends = np.asarray(line.x).reshape(-1, 3)
        np.testing.assert_allclose(ends[:, 0], given.sel(direction=way, control="intact"), 1e-6)
        np.testing.assert_allclose(ends[:, 1], given.sel(direction=way, control="patch"), 1e-6)
        assert np.isnan(ends[:, 2]).all(), "lines of two queries are apart"
    low, high = figure.layout.xaxis.range
    assert low < np.nanmin(given) and high > np.nanmax(given)
    assert len(figure.to_json()) < BYTES
    drawn(figure)


def test_without_directions_there_is_one_panel():
    given = shifts().isel(direction=0, drop=True).sel(control=["intact", "random of equal norm"])
    given = xr.concat(
        [given, given.isel(control=[0]).assign_coords(control=["changed"])], dims.CONTROL
    )
    figure = answer_shifts(given, queries=["a", "b", "c"], titles=TITLES, units=UNITS)
    assert {t.name for t in figure.data if t.mode == "markers"} <= set(LOOKS)
    assert len(figure.layout.shapes) == 1
    drawn(figure)


def test_bars_carry_their_numbers_and_a_sign_by_colour():
    figure = attribution_bars(np.array([2.0, -1.0, 0.001]), ["pass 1", "pass 2", "pass 3"])
    (bar,) = figure.data
    assert list(bar.text) == ["2.00", "−1.00", "0"]
    assert bar.marker.color[0] != bar.marker.color[1]
    assert list(figure.layout.yaxis.ticktext) == ["pass 1", "pass 2", "pass 3"]
    assert figure.layout.xaxis.range[0] < -1 and figure.layout.xaxis.range[1] > 2
    drawn(figure)
    drawn(attribution_bars(np.zeros(2), ["a", "b"], theme="dark"))


@pytest.mark.parametrize("layers", [1, 2])
def test_heads_stand_in_rows_and_passes_in_columns(layers):
    values = np.arange(3.0 * layers * 2).reshape(3, layers, 2)
    index = {dims.SLEEP_PASS: [1, 2, 3], dims.LAYER: list(range(1, layers + 1))}
    given = xr.DataArray(values, index, (dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD))
    figure = attribution_matrix(given)
    matrix = figure.data[0]
    np.testing.assert_allclose(np.asarray(matrix.z), values.reshape(3, -1).T)
    names = list(figure.layout.yaxis.ticktext)
    assert names[0] == ("head 0" if layers == 1 else "layer 1 head 0")
    assert len(names) == 2 * layers and list(matrix.x) == [1, 2, 3]
    assert figure.layout.coloraxis.cmax == values.max() == -figure.layout.coloraxis.cmin
    drawn(figure)
