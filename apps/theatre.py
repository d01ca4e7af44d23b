"""The theatre in Panel: ``panel serve apps/theatre.py --address 127.0.0.1``.

There is no authentication, so keep the address: without it Panel listens to other machines, too.
``workbench serve`` refuses that by itself, and serves everything else.
"""

import panel as pn

from workbench.views.parts import theatre

if pn.state.served:
    pn.extension()
    theatre.page().servable(title="Theatre - Sleep workbench")
