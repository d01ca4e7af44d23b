"""A notice for the user: an error that happened in a callback of Panel's."""

from __future__ import annotations

import panel as pn

from workbench.views.site.plain import described


def show_error(error: BaseException) -> None:
    """Show the user an error in a callback; a bug goes to the log as well."""
    message = described(error, "error in a callback")
    if pn.state.notifications is not None:
        pn.state.notifications.error(message, duration=12_000)
