"""Notices for the user: a warning, or an error that happened in a callback."""

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
    """Show the user an error in a callback; a bug goes to the log as well."""
    message = described(error, "error in a callback")
    if pn.state.notifications is not None:
        pn.state.notifications.error(message, duration=12_000)


def described(error: BaseException, what: str) -> str:
    """Return an error in a line; a bug goes to the log as well, under the name `what`."""
    if isinstance(error, WorkbenchError):
        return str(error)
    logger.error(what, exc_info=error)
    return f"{type(error).__name__}: {error} (a bug; the terminal has the details)"
