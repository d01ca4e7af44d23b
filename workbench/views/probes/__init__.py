"""The page of probes: what can be decoded from the memory."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "probes", "Probes", 60, "workbench.views.probes.page:Probes.in_page", explains_words=True
)
