"""The lab: runs and sweeps are started, watched and compared."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry("lab", "Lab", 70, "workbench.views.lab.page:Lab.in_page")
