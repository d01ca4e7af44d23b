"""Notices for the user: a warning, or an error that happened in a callback."""

from __future__ import annotations

import panel as pn

from workbench.views.site.plain import described


def warn(message: str) -> None:
    """Show a warning for ten seconds."""
    if pn.state.notifications is not None:
        pn.state.notifications.warning(message, duration=10_000)


def show_error(error: BaseException) -> None:
    """Show the user an error in a callback; a bug goes to the log as well."""
    message = described(error, "error in a callback")
    if pn.state.notifications is not None:
        pn.state.notifications.error(message, duration=12_000)
