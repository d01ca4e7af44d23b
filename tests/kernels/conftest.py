"""Tests of the native backend need a C++ compiler: skipped without one, except where CI is set."""

import os

import pytest


def pytest_runtest_setup(item):
    call = getattr(item, "callspec", None)
    asks = "requires_native" in item.fixturenames
    named = [] if call is None else [x for x in call.params.values() if isinstance(x, str)]
    if not asks and "native" not in named:
        return
    from sleep_kernels.native import library

    why = library.problem()
    if why is not None and os.environ.get("CI") != "true":
        pytest.skip(f"backend 'native' does not serve: {why}")


@pytest.fixture
def requires_native() -> None:
    """Mark a test that needs the library; `pytest_runtest_setup` sees to it."""
