"""The page of findings: every question with its answer, figure, certainty and data."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "findings",
    "Findings",
    40,
    document="workbench.views.findings.page:document",
    routes="workbench.views.findings.routes:routes",
    old={"results": {}, "instruments": {}, "probes": {}},
)
