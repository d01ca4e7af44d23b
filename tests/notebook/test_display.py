from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    import plotly.io as pio
    import xarray as xr
    from panel.io.state import state

    renderer, template = pio.renderers.default, pio.templates.default
    options = {name: xr.get_options()[name] for name in ("arithmetic_join", "keep_attrs")}
    yield
    pio.renderers.default, pio.templates.default = renderer, template
    xr.set_options(**options)
    state.reset()


def test_setup_makes_figures_data_and_arithmetic_exact():
    import plotly.io as pio
    import xarray as xr

    from workbench.notebook import setup

    setup(panel=False)
    assert pio.renderers.default == "plotly_mimetype"
    assert pio.templates.default == "workbench"
    left = xr.DataArray([1, 2], dims="sleep_pass", coords={"sleep_pass": [0, 1]})
    right = xr.DataArray([1, 2], dims="sleep_pass", coords={"sleep_pass": [1, 2]})
    with pytest.raises(ValueError, match="exact"):
        left + right


def test_setup_loads_panel_inline():
    import panel as pn

    from workbench.notebook import setup

    setup(theme="dark")
    assert pn.config.inline
    assert pn.config.theme == "dark"
