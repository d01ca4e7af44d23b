"""The home page."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry("./", "Home", 0, document="workbench.views.home.page:document")
