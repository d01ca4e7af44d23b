"""The lab: runs and sweeps are started, watched and compared."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "experiment", "Experiment", 10, "workbench.views.lab.page:Lab.in_page", old={"lab": {}}
)
