"""The stepper: one sleep, pass by pass."""

from workbench.views.site.entry import PageEntry

PAGE = PageEntry(
    "stepper", "Stepper", 10, "workbench.views.stepper.page:Stepper.in_page", explains_words=True
)
