"""Where a result comes from: command, commit, versions, machine, hashes."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

VERSIONED = ("sleep-workbench", "torch", "numpy", "safetensors")


def describe_origin(kernels: str) -> dict[str, Any]:
    """Return command, commit (and whether the tree was changed), versions, machine and time.

    `kernels` names the backend of `sleep_kernels` that serves: it decides the last digits, and so
    does the compiler of native ones.
    """
    from sleep_kernels.native import library  # imports torch, which readers of runs do without

    about: dict[str, Any] = {}
    if kernels == "native":
        about = {"compiler": library.compiler_line()}
    elif kernels == "cpu" and library.problem() is not None:
        about = {"no_native_kernels": library.problem()}
    return {
        "command": command(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **versions()},
        "machine": {
            "system": platform.system(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "kernels": kernels,
            **about,
        },
    }


def command() -> str | None:
    """Return the ``workbench`` command line of this process; None where Python called."""
    if Path(sys.argv[0]).stem not in ("workbench", "cli"):
        return None
    return shlex.join(["workbench", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return the installed version of each package that can change a number."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> dict[str, Any] | None:
    """Return the checkout's commit and whether it has uncommitted changes; None outside git."""
    root = Path(__file__).resolve().parents[2]
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"hash": head, "uncommitted_changes": bool(changes)}


def processor() -> str:
    """Return the processor's model name if the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
