"""The launcher's tile: its settings, and the process that jupyter-server-proxy starts."""

import asyncio
import importlib.metadata
import json
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from waiting import LIMIT

from workbench.errors import WorkbenchError
from workbench.views.site import jupyter, server
from workbench.views.site.server import clean_prefix

pytestmark = pytest.mark.process


@pytest.fixture
def process():
    """The settings, checked and completed by jupyter-server-proxy itself."""
    proxy = pytest.importorskip("jupyter_server_proxy.config")
    return proxy.ServerProcess(name=jupyter.NAME, **jupyter.launcher())


def filled(words, port, base_url="/"):
    return [word.format(port=port, base_url=base_url) for word in words]


def test_jupyter_loads_no_panel_for_a_tile():
    script = (
        "import sys, workbench.views.site.jupyter as j; j.launcher(); print('panel' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_the_tile(process):
    group = "jupyter_serverproxy_servers"
    (found,) = importlib.metadata.entry_points(group=group, name=jupyter.NAME)
    assert found.load() is jupyter.launcher
    assert process.launcher_entry.title == "Sleep workbench"
    assert process.launcher_entry.path_info == "workbench/"
    assert Path(process.launcher_entry.icon_path).read_text(encoding="utf-8").startswith("<svg")


def test_the_prefix_lies_below_jupyter_wherever_that_is(process):
    for base, prefix in (("/", "/workbench"), ("/user/ada%40x/", "/user/ada%40x/workbench")):
        command = filled(process.command, 5123, base)
        given = command[command.index("--prefix") + 1]
        assert given == clean_prefix(given) == prefix
        assert command[command.index("--port") + 1] == "5123"


def test_the_host_handed_on_is_one_the_server_lets_in(process, monkeypatch):
    """Only its own addresses; that of Jupyter is not let in."""
    guarded = []
    monkeypatch.setattr("workbench.views.site.door.guard", lambda _, hosts: guarded.extend(hosts))

    async def listen():
        found, port = server.listen(0, "127.0.0.1", "/workbench")
        found.stop()
        return port

    port = asyncio.run(listen())
    assert set(guarded) == {f"127.0.0.1:{port}", f"localhost:{port}"}
    assert process.request_headers_override["Host"].format(port=port) in guarded


@pytest.mark.parametrize("prefix", ["workbench", "/a b", "/a?x", "http://x", "/a/../b"])
def test_a_prefix_that_is_not_a_path_is_refused(prefix):
    with pytest.raises(WorkbenchError, match="/workbench"):
        clean_prefix(prefix)
    assert [clean_prefix(given) for given in ("", "/", "//", "/a/b/")] == ["", "", "", "/a/b"]


def answer(url):
    """Return status and text of a page; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=LIMIT) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""
    except OSError:
        return None


@pytest.mark.slow
def test_the_command_starts_answers_below_its_prefix_and_ends_with_who_started_it(
    process, tmp_path
):
    port = server.probe_port(0, "127.0.0.1")
    command = filled(process.command, port)
    started = tmp_path / "pid"
    script = f"""
        import subprocess, sys
        child = subprocess.Popen({json.dumps(command)}, cwd={str(tmp_path)!r})
        open({str(started)!r}, "w").write(str(child.pid))
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    child = None
    try:
        deadline = time.monotonic() + LIMIT
        while answer(f"http://127.0.0.1:{port}/workbench/") is None:
            assert time.monotonic() < deadline and parent.poll() is None
            time.sleep(0.2)
        child = psutil.Process(int(started.read_text()))
        status, text = answer(f"http://127.0.0.1:{port}/workbench/")
        assert status == 200 and "Sleep workbench" in text
        assert answer(f"http://127.0.0.1:{port}/")[0] == 404
        parent.kill()
        parent.communicate()
        child.wait(timeout=LIMIT)
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.communicate()
        if child is not None and child.is_running():
            child.kill()
