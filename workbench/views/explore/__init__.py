"""Explore: the theatre in the dashboards, with every model of this server."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "explore",
    "Explore",
    5,
    document="workbench.views.explore.page:document",
    routes="workbench.views.explore.page:routes",
    old={
        "stepper": {},
        "memory": {"lens": "memory"},
        "interventions": {"lens": "cause"},
        "attribution": {"lens": "credit"},
    },
)
