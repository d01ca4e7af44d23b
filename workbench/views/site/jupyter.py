"""The tile in JupyterLab's launcher that opens the dashboards, through jupyter-server-proxy.

Named as an entry point in ``pyproject.toml``. Imports little: Jupyter's own server calls it
when it starts, and starts the dashboards as a process at the first click. Jupyter asks for its
token and refuses other origins first; what it lets through, the proxy passes on under the
dashboards' own address (`workbench.views.site.door`), so that no address of Jupyter is let in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

NAME: Final = "workbench"
"""Of the entry point, and so of the path below Jupyter's address."""
START_SECONDS: Final = 90.0
"""Time limit for the dashboards to answer; a busy laptop takes 10 s to import them."""


def launcher() -> dict[str, Any]:
    """Return how jupyter-server-proxy starts and reaches the dashboards.

    These are settings of a ``ServerProcess``; the proxy fills in ``{port}`` and ``{base_url}``. The
    process runs in the folder that Jupyter was started in, where it finds ``runs/``.
    """
    command = [sys.executable, "-P", "-m", "workbench.cli", "serve", "--no-open", "--with-parent"]
    command += ["--port", "{port}", "--prefix", "{base_url}" + NAME]
    return {
        "command": command,
        "timeout": START_SECONDS,
        # The pages know their prefix, so that their links stay below it.
        "absolute_url": True,
        "request_headers_override": {"Host": "127.0.0.1:{port}"},
        "new_browser_tab": True,
        "launcher_entry": {
            "title": "Sleep workbench",
            "icon_path": str(Path(__file__).with_name("icon.svg")),
            "category": "Notebook",  # the launcher draws a tile's own icon only here
        },
    }
