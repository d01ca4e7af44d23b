"""The server behind ``workbench serve``: one process, loopback only, every page a function."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import re
import socket
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from tornado.httpserver import HTTPServer

logger = logging.getLogger(__name__)


def serve(
    *,
    port: int,
    address: str = "127.0.0.1",
    open_browser: bool = True,
    prefix: str = "",
    with_parent: bool = False,
) -> None:
    """Serve the dashboards until interrupted, on a loopback address; `port` 0 picks a free one.

    `prefix` is the path of all pages, such as ``/workbench`` behind a proxy; "" is the root.
    `with_parent` ends the server with the process that started it: JupyterLab, shut down from its
    menu, leaves behind what its proxy has started.

    Raises WorkbenchError where the address is not a loopback address, the prefix is not a path, or
    the port cannot be used.
    """
    from workbench.views.site.services import services

    check_loopback(address)
    prefix = clean_prefix(prefix)
    services().runs = Path("runs")  # where `workbench train` puts them

    async def run() -> None:
        server, bound = listen(port, address, prefix)
        url = f"http://{_host(address)}:{bound}{prefix}"
        print(f"sleep workbench at {url} (Ctrl-C ends it)", flush=True)
        threading.Thread(target=_warm, daemon=True, name="warm").start()
        if open_browser:
            webbrowser.open(url)
        try:
            await ended(with_parent)
        finally:
            server.stop()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())
    print("sleep workbench: stopped", flush=True)


def listen(port: int, address: str, prefix: str = "") -> tuple[HTTPServer, int]:
    """Serve every page under `prefix` in the running event loop; return the server and its port.

    It answers only under its own addresses, and other sites cannot load from it: there is no
    authentication, and any page in the same browser could use it otherwise. So a proxy has to give
    these addresses (`workbench.views.site.jupyter`); its own address is not let in.
    """
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application

    import workbench.figures  # noqa: F401  (whole, before threads import parts of it at once)
    from workbench.views.site.door import guard
    from workbench.views.site.entry import pages
    from workbench.views.site.shell import NotFound, routes

    import_rest_of_xarray()
    application = Application(
        [(re.escape(prefix) + pattern, *rest) for pattern, *rest in routes(pages(), prefix)],
        default_handler_class=NotFound,
        default_handler_args={"prefix": prefix},
    )
    server = HTTPServer(application)
    try:
        port = probe_port(port, address)
        server.add_sockets(bind_sockets(port, address))
    except OSError as error:
        raise _port_error(error, port, address) from None
    guard(application, [f"{host}:{port}" for host in _names(address)])
    return server, port


def import_rest_of_xarray() -> None:
    """Let xarray import what it leaves to the first array (dask): not safe in two threads."""
    import xarray as xr

    xr.DataArray([0.0])


async def ended(with_parent: bool) -> None:
    """Wait until the process that started this one has gone; for ever if that does not count."""
    import psutil

    parent = psutil.Process().parent()
    # an orphan gets another parent, or on Windows keeps the number of the old one
    while not with_parent or parent and os.getppid() == parent.pid and parent.is_running():
        await asyncio.sleep(1.0)


def check_loopback(address: str) -> None:
    """Raise WorkbenchError for an address that other machines could reach."""
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise WorkbenchError(
            f"address {address!r}",
            "a loopback address such as 127.0.0.1, as there is no authentication yet",
            "leave --address out, and reach another machine through an SSH tunnel "
            "(ssh -L 5006:127.0.0.1:5006 HOST)",
        )


def clean_prefix(prefix: str) -> str:
    """Return a prefix without a slash at its end, "" for the root.

    Raises WorkbenchError where it is not an absolute path of plain characters.
    """
    cleaned = prefix.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9@%+=:,~._-]+)*", cleaned) or "/.." in cleaned:
        raise WorkbenchError(
            f"prefix {prefix!r}", "a path such as /workbench", "begin it with one slash"
        )
    return cleaned


def _port_error(error: OSError, port: int, address: str) -> WorkbenchError:
    if error.errno == errno.EADDRINUSE:
        return WorkbenchError(
            f"port {port} is in use on {address}",
            "a free port",
            f"choose another, for example --port {port + 1}, or end what uses it",
        )
    return WorkbenchError(
        f"port {port} on {address} cannot be used ({error.strerror or error})",
        "a port this user may open",
        "choose another, for example --port 5007",
    )


def probe_port(port: int, address: str) -> int:
    """Return `port`, or a free one for 0; raises OSError where it cannot be bound.

    Checked before the server starts, as the server would leave its socket open.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # a port whose last owner has just ended counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        return int(probe.getsockname()[1])


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _names(address: str) -> list[str]:
    """Return the hosts a browser on this machine may have in its address bar."""
    return list(dict.fromkeys((_host(address), "localhost", "127.0.0.1")))


def _warm() -> None:
    """Import what the first page and the first step need, so that users do not wait for it."""
    from workbench.theatre.files import MODULE
    from workbench.views.site import assets
    from workbench.views.site.entry import pages
    from workbench.views.site.shell import style

    try:
        style()
        assets.asset(MODULE)
        for page in pages():
            page.load()
        import workbench.training.checkpoints  # noqa: F401

        assets.prepare()
    except Exception:
        logger.exception("warming up failed; the pages will say why")
