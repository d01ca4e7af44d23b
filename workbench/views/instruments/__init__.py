"""The page of measurements over many examples."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "instruments",
    "Instruments",
    50,
    "workbench.views.instruments.page:Measured.in_page",
    explains_words=True,
)
