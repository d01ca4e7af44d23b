"""The page of interventions: a memory is changed and the answers compared."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "interventions",
    "Interventions",
    30,
    "workbench.views.interventions.page:Interventions.in_page",
    explains_words=True,
)
