"""The page of findings: questions, their answers, and how sure they are."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry("results", "Results", 80, "workbench.views.results.page:Results.in_page")
