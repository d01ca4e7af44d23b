"""The stepper; ``panel serve apps/*.py --index home`` serves it next to the other apps."""

from workbench.views import pages

pages.configure()
pages.stepper().servable()
