"""The lab: runs and sweeps are started, watched and compared."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "experiment",
    "Experiment",
    10,
    document="workbench.views.lab.page:document",
    routes="workbench.views.lab.answers:routes",
    old={"lab": {}},
)
