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
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

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
    server = listen(port, address, prefix)
    url = f"http://{_host(address)}:{server.port}{prefix}"
    server.start()
    print(f"sleep workbench at {url} (Ctrl-C ends it)", flush=True)
    threading.Thread(target=_warm, daemon=True, name="warm").start()
    if open_browser:
        webbrowser.open(url)
    if with_parent:
        end_with_parent(server.io_loop)
    server.io_loop.asyncio_loop.set_exception_handler(say_unless_closed)
    try:
        server.io_loop.start()
    finally:
        _stop(server)
    print("sleep workbench: stopped", flush=True)


def say_unless_closed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an error of a loop's task; a message to a page that was left is not an error."""
    from tornado.iostream import StreamClosedError
    from tornado.websocket import WebSocketClosedError

    if not isinstance(context.get("exception"), (StreamClosedError, WebSocketClosedError)):
        loop.default_exception_handler(context)


def listen(port: int, address: str, prefix: str = "") -> Any:
    """Return a Bokeh server that is bound to `port` and serves every page under `prefix`.

    Only pages of this server may open its websockets, and it answers only under its own addresses:
    there is no authentication, and any page in the same browser could use it otherwise. So a proxy
    has to give these addresses (`workbench.views.site.jupyter`); its own address is not let in.
    """
    import panel as pn

    from workbench.views.site.door import guard
    from workbench.views.site.entry import pages
    from workbench.views.site.pages import builder, configure
    from workbench.views.site.sessions import LIFETIME
    from workbench.views.site.shell import NotFound, routes

    import_rest_of_xarray()
    try:
        port = probe_port(port, address)
        configure()
        hosts = [f"{host}:{port}" for host in _names(address)]
        server = pn.io.server.get_server(
            {page.path: builder(page) for page in pages() if page.view},
            port=port,
            address=address,
            prefix=prefix,
            extra_patterns=routes(pages(), prefix),
            title={page.path: page.title for page in pages() if page.view},
            websocket_origin=hosts,
            # Never shown, as "/" is a page; Panel's own index would load remote fonts.
            index=str(Path(__file__).with_name("index.html")),
            default_handler_class=NotFound,
            default_handler_args={"prefix": prefix},
            admin=False,
            show=False,
            start=False,
            **LIFETIME,
        )
        guard(server._tornado, hosts)
        return server
    except OSError as error:
        raise _port_error(error, port, address) from None


def import_rest_of_xarray() -> None:
    """Let xarray import what it leaves to the first array (dask): not safe in two threads."""
    import xarray as xr

    xr.DataArray([0.0])


def end_with_parent(loop: Any) -> None:
    """Stop the event loop once the process that started this one has gone."""
    import psutil

    parent = psutil.Process().parent()

    def look() -> None:
        # an orphan gets another parent, or on Windows keeps the number of the old one
        if parent is None or os.getppid() != parent.pid or not parent.is_running():
            loop.stop()
        else:
            loop.call_later(1.0, look)

    loop.add_callback(look)


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


def _stop(server: Any) -> None:
    from panel.io.state import state

    server.stop()
    if state._thread_pool is not None:
        state._thread_pool.shutdown(wait=False, cancel_futures=True)
        state._thread_pool = None
