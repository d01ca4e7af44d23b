"""The home page."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry("./", "Home", 0, "workbench.views.home.page:body", plotly=False)
