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


@pytest.fixture
def interpreter(monkeypatch):
    """Run Triton's kernels in its interpreter, which takes half the time with this patch.

    At every call of one device function by another it looks through triton.language for what it
    has replaced already; here it does so only at the first call of each module's functions.
    """
    from triton.runtime import interpreter

    def call(function, *arguments, **options):
        if function.fn.__module__ not in patched:
            patched.add(function.fn.__module__)
            interpreter._patch_lang(function.fn)
        return function.rewrite()(*arguments, **options)

    patched = set()
    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", call)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
