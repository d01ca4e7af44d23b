"""What works on this machine, and why the rest does not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple

from workbench.errors import WorkbenchError

REQUIRED = ("torch", "panel", "plotly")
INSTALLED_BY = {
    "jupyterlab": "; `python3 run.py lab` installs it",
    "triton": "; optional, kernels on a GPU: pip install -c constraints.txt -e '.[gpu]'",
    "transformers": "; optional, a peer in `python3 run.py bench`, which installs it",
    "flash-linear-attention": "; optional, a peer in `python3 run.py bench`, which installs it",
    "flash-attn": "; optional, faster attention on a GPU",
}
"""How to install a missing package."""


class Check(NamedTuple):
    """One check: a version, a device or the reason, and whether the bundled scale needs it."""

    name: str
    ok: bool
    finding: str
    required: bool


def examine() -> list[Check]:
    """Look at Python, torch, devices, kernel backends, compiler, browser and checkpoints."""
    checks = [
        Check("python", sys.version_info >= (3, 11), platform.python_version(), True),
        *_packages(),
    ]
    without = _torch_problem()
    if without is not None:
        checks.append(Check("import torch", False, without, True))
    else:
        checks += _finding("devices", _devices, required=True)
        checks += _finding("kernels", _backends, required=True)
        checks += _finding("torch.compile on the CPU", _compiler, required=False)
    checks += _finding("browser tests", _browser, required=False)
    if without is None:
        checks += _finding("checkpoints", _checkpoints, required=True)
    return checks


def _finding(name: str, probe: Callable[[], list[Check]], *, required: bool) -> list[Check]:
    """Return what a probe found; a probe that fails is a failed check."""
    try:
        return probe()
    except Exception as error:
        return [Check(name, False, _words(error), required)]


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _torch_problem() -> str | None:
    """Return why torch cannot be used, or None; it may be installed but fail to load."""
    if importlib.util.find_spec("torch") is None:
        return "not installed: install the project again"
    try:
        import torch  # noqa: F401
    except Exception as error:
        return f"{_words(error)}; install the project again"
    return None


def _compiler() -> list[Check]:
    from workbench.training.compiling import inductor_compiler, trial

    problem = trial()
    found = f"compiles with {inductor_compiler()}"
    if problem is not None:
        found = f"{problem}; use training.compile=false"
    return [Check("torch.compile on the CPU", problem is None, found, False)]


def _browser() -> list[Check]:
    named = os.environ.get("WORKBENCH_CHROMIUM")
    if importlib.util.find_spec("playwright") is None:
        missing = "playwright is not installed: pip install -c constraints.txt -e '.[test]'"
        return [Check("browser tests", False, missing, False)]
    browser = shutil.which(named or "chromium")
    why = "no Chromium: install it, or name it in $WORKBENCH_CHROMIUM"
    if named:
        why = f"$WORKBENCH_CHROMIUM is {named!r}, which is not a program"
    return [Check("browser tests", browser is not None, browser or why, False)]


def _packages() -> list[Check]:
    from importlib import metadata

    checks = []
    for name in (*REQUIRED, *INSTALLED_BY):
        required = name in REQUIRED
        try:
            checks.append(Check(name, True, metadata.version(name), required))
        except metadata.PackageNotFoundError:
            why = f"not installed{INSTALLED_BY.get(name, '')}"
            checks.append(Check(name, False, why, required))
    return checks


def _devices() -> list[Check]:
    import torch

    threads = Check("cpu", True, f"{os.cpu_count()} cores, {torch.get_num_threads()} threads", True)
    if not torch.cuda.is_available():
        return [threads, Check("cuda", False, "no CUDA device", False)]
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [threads, Check("cuda", True, ", ".join(names), False)]


def _backends() -> list[Check]:
    import torch

    import sleep_kernels

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = sleep_kernels.choose_backend("auto", device)
    checks = [Check("kernels: auto", True, f"chooses {chosen!r} on {device}", True)]
    for name, reason in sleep_kernels.backend_status(device).items():
        required = name in ("reference", "cpu")
        checks.append(Check(f"kernels: {name}", reason is None, reason or "serves", required))
    return checks


def _checkpoints() -> list[Check]:
    from workbench.paths import bundled_checkpoints
    from workbench.training.checkpoints import load_checkpoint

    checks = []
    for name in bundled_checkpoints():
        try:
            load_checkpoint(name)
            checks.append(Check(f"checkpoint {name}", True, "intact", True))
        except Exception as error:  # one damaged folder must not hide the others
            words = str(error) if isinstance(error, WorkbenchError) else _words(error)
            checks.append(Check(f"checkpoint {name}", False, words, True))
    return checks or [Check("checkpoints", False, "none bundled", True)]
