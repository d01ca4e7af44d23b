"""Explore: the theatre in the dashboards, with every model of this server."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "explore",
    "Explore",
    5,
    "workbench.views.explore.page:Explore.in_page",
    plotly=False,
    old=("stepper", "memory", "interventions", "attribution"),
    moved="workbench.views.explore.moved:moved",
)
