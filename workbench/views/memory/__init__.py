"""The memory page: what S holds and where it comes from."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "memory", "Memory", 20, "workbench.views.memory.page:Memory.in_page", explains_words=True
)
