"""Setting a notebook up: everything a page needs comes from this machine."""

from __future__ import annotations

from workbench.figures.theme import Theme, template


def setup(*, panel: bool = True, theme: Theme = "light") -> None:
    """Prepare a notebook: Panel and Plotly offline, one look, arithmetic that drops nothing.

    Call it once, in the first cell. Figures are handed to JupyterLab as data, which its own
    Plotly extension draws; Panel's scripts are put into the page instead of being fetched.

    Parameters
    ----------
    panel : bool
        Load Panel too (about 1.5 s, and some megabytes in the notebook until its output is
        cleared). A notebook without widgets can leave it out.
    theme : {"light", "dark"}
        Of figures and of Panel.
    """
    import plotly.io as pio
    import xarray as xr

    # "plotly_mimetype+notebook", Plotly's default, would put 4.5 MB of script into the notebook.
    pio.renderers.default = "plotly_mimetype"
    pio.templates["workbench"] = template(theme)
    pio.templates.default = "workbench"
    # xarray's default keeps only the labels that both sides have, and says nothing.
    xr.set_options(arithmetic_join="exact", keep_attrs=True)
    if panel:
        import panel as pn

        design = "default" if theme == "light" else "dark"
        pn.extension("plotly", inline=True, theme=design)
