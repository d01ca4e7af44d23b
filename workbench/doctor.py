"""What works on this machine, and why the rest does not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from typing import NamedTuple


class Check(NamedTuple):
    """One finding.

    Attributes
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it serves here.
    finding : str
        Version, device or reason.
    required : bool
        Whether the bundled scale needs it.
    """

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
    if importlib.util.find_spec("torch") is not None:
        checks += [*_devices(), *_backends()]
    else:
        checks.append(Check("import torch", False, "not there: install the project again", True))
    compiler = _compiler()
    checks.append(
        Check(
            "torch.compile on the CPU",
            compiler is not None,
            f"compiler {compiler}" if compiler else "no C++ compiler; use training.compile=false",
            False,
        )
    )
    named = os.environ.get("WORKBENCH_CHROMIUM")
    browser = named or shutil.which("chromium")
    checks.append(
        Check(
            "browser tests",
            browser is not None,
            browser or "no Chromium: install it, or name it in $WORKBENCH_CHROMIUM",
            False,
        )
    )
    if importlib.util.find_spec("torch") is not None:
        checks += _checkpoints()
    return checks


def _compiler() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return None
    from workbench.training.loop import find_compiler

    return find_compiler()


def _packages() -> list[Check]:
    from importlib import metadata

    checks = []
    wanted = {
        "torch": True,
        "panel": True,
        "plotly": True,
        "jupyterlab": False,
        "flash-attn": False,
    }
    for name, required in wanted.items():
        try:
            checks.append(Check(name, True, metadata.version(name), required))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", required))
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

    chosen = sleep_kernels.choose_backend("auto", torch.device("cpu"))
    checks = [Check("kernels: auto", True, f"chooses {chosen!r} here", True)]
    for name, reason in sleep_kernels.backend_status().items():
        required = name in ("reference", "cpu")
        checks.append(Check(f"kernels: {name}", reason is None, reason or "serves", required))
    return checks


def _checkpoints() -> list[Check]:
    from workbench.errors import WorkbenchError
    from workbench.paths import bundled_checkpoints
    from workbench.training.checkpoints import load_checkpoint

    checks = []
    for name in bundled_checkpoints():
        try:
            load_checkpoint(name)
            checks.append(Check(f"checkpoint {name}", True, "whole", True))
        except WorkbenchError as error:
            checks.append(Check(f"checkpoint {name}", False, str(error), True))
    return checks or [Check("checkpoints", False, "none bundled", True)]
