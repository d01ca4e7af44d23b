"""Experiments; ``panel serve apps/*.py --address 127.0.0.1`` serves Panel's pages.

There is no authentication, so keep the address: without it Panel listens to other machines, too.
``workbench serve`` refuses that by itself.
"""

import panel as pn

from workbench.views.site import pages

if pn.state.served:
    pages.configure()
    pages.build("experiment").servable()
