"""Views are tested without a browser: construct, set params, look at the panes."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def fresh_panel() -> Iterator[None]:
    """Reset Panel's process-wide state: left-over threads and caches hang pytest at its exit."""
    yield
    from panel.io.state import state

    state.reset()
