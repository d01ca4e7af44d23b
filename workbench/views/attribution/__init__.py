"""The page of attribution: which pass, window or head an answer is owed to."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "attribution",
    "Attribution",
    40,
    "workbench.views.attribution.page:Attribution.in_page",
    explains_words=True,
)
