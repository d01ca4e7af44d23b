"""Telling the user: a warning, or an error that happened in a callback."""

from __future__ import annotations

import logging

import panel as pn

from workbench.errors import WorkbenchError

logger = logging.getLogger(__name__)


def warn(message: str) -> None:
    """Show a warning for ten seconds."""
    if pn.state.notifications is not None:
        pn.state.notifications.warning(message, duration=10_000)


def show_error(error: BaseException) -> None:
    """Tell the user about an error in a callback; one that is a bug goes to the log as well."""
    if isinstance(error, WorkbenchError):
        message = str(error)
    else:
        logger.error("error in a callback", exc_info=error)
        message = f"{type(error).__name__}: {error} (a bug; the terminal has the details)"
    if pn.state.notifications is not None:
        pn.state.notifications.error(message, duration=12_000)
